/* Back to a version that lies here: links move, nothing is copied. It is verified to its last byte, as nobody looked
 * at it while another was current, and then proven like any other before it serves. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "jobs/root.h"
#include "jobs/switch.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"
#include "print.h"

/* The hold is there before the agent sees the links move, and gone again when they moved back. The version that is
 * current now is one that a person wants. */
static int switch_and_hold(const struct kt_installer *installer, struct kt_store *store,
			   const struct kt_inventory *before, const char *version, struct kt_error *err)
{
	struct kt_inventory after;
	struct kt_error ignored;
	int failed = before->manifest_sha256[0] != '\0' ?
			     kt_store_hold(store, before->manifest_sha256, before->current, err) :
			     0;

	if (failed)
		return failed;
	failed = kt_switch_to(installer, store, before, version, err);
	if (failed)
		kt_store_release(store, before->manifest_sha256, &ignored);
	else if (kt_store_inventory(store, &after, &ignored) == 0)
		failed = kt_store_release(store, after.manifest_sha256, err);
	return failed;
}

/* What is damaged here stays as it is until its bundle is installed again: the agent has another. */
static int check_whole(const struct kt_installer *installer, const struct kt_store *store, const char *version,
		       struct kt_error *err)
{
	struct kt_verify how = {.version = version, .is_switch_next = true, .is_noted = !installer->options.dry_run};

	int failed = kt_store_verify(store, &how, err);

	if (failed == 0 || err->reason == KT_REASON_NO_VERSION)
		return failed;
	return kt_fail_prefix(err, "version %s cannot be made current", version);
}

/* A dry run takes nothing over. */
static int look_whole(const struct kt_installer *installer, const struct kt_store *store, const char *version,
		      struct kt_error *err)
{
	struct kt_look look;

	kt_store_look(store, version, &look);
	return look.is_old ? 0 : check_whole(installer, store, version, err);
}

static int roll_back(const struct kt_installer *installer, const char **ret_version, bool *ret_done,
		     struct kt_error *err)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	struct kt_inventory inventory;
	static char previous[KT_VERSION_MAX];
	const char *version = installer->options.to;
	int failed = kt_installer_open_store(installer, KT_STORE_WRITE, &store, err);

	if (failed == 0)
		failed = kt_store_lock(&store, 0, err);
	if (failed == 0)
		failed = kt_store_inventory(&store, &inventory, err);
	if (failed)
		return failed;
	memcpy(previous, inventory.previous, sizeof previous); /* outlives the call */
	if (version == NULL)
		version = previous;
	if (version[0] == '\0')
		return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "there is no previous version in %s", store.root);
	*ret_version = version;
	*ret_done = strcmp(version, inventory.current) == 0;
	if (*ret_done)
		return kt_store_read_set(&store, version, &manifest, err);
	if (installer->options.dry_run)
		return look_whole(installer, &store, version, err);
	failed = check_whole(installer, &store, version, err);
	if (failed == 0) /* as it is now: an earlier layout was taken over, and its current set has another manifest */
		failed = kt_store_inventory(&store, &inventory, err);
	if (failed)
		return failed;
	return switch_and_hold(installer, &store, &inventory, version, err);
}

int kt_command_rollback(const struct kt_installer *installer)
{
	struct kt_error err = {.reason = KT_REASON_NONE};
	KT_OWN(kt_document_done) struct kt_document document = {.root = NULL};
	const char *version = NULL;
	bool was_current = false;

	if (roll_back(installer, &version, &was_current, &err) != 0)
		return kt_print_error(&err);
	kt_print_result_begin(&document);
	kt_document_item(&document, "items");
	kt_document_text(&document, "name", version);
	kt_document_text(&document, "outcome", installer->options.dry_run && !was_current ? "not current" : "current");
	return kt_print_result(&installer->options, &document, "rollback", !was_current,
			       was_current                ? "nothing to do: version %s is current" :
			       installer->options.dry_run ? "would make version %s current" :
							    "version %s is current and proven",
			       version);
}
