/* Landing: stage, prove unseen, activate, prove again through the live links; and taking all of it away again.
 * It may be killed at any instant: what is half done is not there, and the next start sweeps it away. */
#include "land.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kontain/bundle.h"
#include "kontain/clock.h"
#include "kontain/digest.h"
#include "kontain/fs.h"
#include "kontain/own.h"
#include "kontain/statejson.h"
#include "observe.h"
#include "progress.h"
#include "switch.h"
#include "verbs.h"

/* A version that does not work here is remembered and taken away. One that met a cause which may pass (a KVM that
 * only emulates, a time-out), or that the agent tries again because it failed for the first times, stays where it
 * is, unseen: the next attempt copies nothing. What was refused before it was staged left nothing, and a set of that
 * name is another's. */
static void give_up(struct kt_store *store, const struct kt_inventory *before, const char *version, bool is_staged,
		    bool is_retried, const char *manifest_sha256, const struct kt_error *failure)
{
	struct kt_error ignored;
	bool is_believed;

	if (kt_reason_get(failure->reason)->transient)
		return;
	is_believed = kt_store_remember_failure(store, manifest_sha256, failure, kt_clock_boot_ms() / 1000,
						&ignored) == 1;
	if (is_retried && !is_believed)
		return;
	if (is_staged && strcmp(before->current, version) != 0 && strcmp(before->previous, version) != 0)
		kt_store_drop_set(store, version, &ignored);
}

static int land_bundle(const struct kt_installer *installer, struct kt_store *store, const struct kt_bundle *bundle,
		       const char *manifest_sha256, bool is_logged, struct kt_error *err)
{
	const char *version = bundle->manifest.version;
	struct kt_inventory before;
	struct kt_progress progress;
	uint64_t written = 0;
	bool is_staged;
	int failed = kt_store_inventory(store, &before, err);

	if (failed)
		return failed;
	if (before.is_foreign)
		return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION, "%s: %s", store->root, before.damage);
	kt_progress_init(&progress, version, installer->options.quiet, is_logged);
	failed = kt_store_stage(store, bundle, kt_progress_tell, &progress, &written, err);
	is_staged = failed == 0;
	kt_progress_done(&progress, is_staged);
	if (is_staged)
		failed = kt_switch_to(installer, store, &before, version, err);
	if (failed)
		give_up(store, &before, version, is_staged, is_logged, manifest_sha256, err);
	return failed;
}

/* An earlier installer's folders become a version first, so that the landing can be rolled back to it. */
static int adopt(const struct kt_installer *installer, struct kt_store *store, struct kt_error *err)
{
	struct kt_inventory inventory;
	char version[KT_VERSION_MAX];
	int failed = kt_store_inventory(store, &inventory, err);

	if (failed || !inventory.is_adoptable)
		return failed;
	failed = kt_store_adopt(store, version, err);
	if (failed == 0 && !installer->options.quiet)
		fprintf(stderr, "kontain-installer: took over the existing installation in %s as version %s\n",
			store->root, version);
	return failed;
}

int kt_land(const struct kt_installer *installer, bool is_logged, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char manifest_sha256[KT_DIGEST_HEX];
	int failed;

	if (digest == NULL)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	if (installer->options.bundle == NULL)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_MISSING, "no bundle given: use --bundle DIR");
	failed = kt_bundle_open(installer->options.bundle, &bundle, err);
	if (failed)
		return failed;
	kt_digest_add(digest, bundle.manifest_bytes, bundle.manifest_size);
	kt_digest_take(digest, manifest_sha256);
	failed = kt_installer_open_store(installer, KT_STORE_CREATE, &store, err);
	if (failed == 0)
		failed = adopt(installer, &store, err);
	if (failed == 0 && store.lock < 0) /* who adopted holds it */
		failed = kt_store_lock(&store, 0, err);
	if (failed == 0)
		failed = land_bundle(installer, &store, &bundle, manifest_sha256, is_logged, err);
	if (failed == 0) /* what was rolled back from before is history, and so is what this one failed of */
		failed = kt_store_release(&store, NULL, err);
	if (failed == 0)
		failed = kt_store_forget_failure(&store, manifest_sha256, err);
	return failed;
}

/* Prints the answer of a verb that acts. */
static int answer(int failed, const struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *document = failed ? kt_error_print(err) : NULL;

	fputs(document != NULL ? document : "{}\n", stdout);
	return failed ? kt_exit_status(err) : KT_EXIT_DONE;
}

int kt_verb_land(struct kt_installer *installer)
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	return answer(kt_land(installer, true, &err), &err);
}

int kt_refuse_used(const struct kt_installer *installer, const struct kt_store *store, struct kt_error *err)
{
	KT_OWN(kt_users_done) struct kt_users users = {.list = NULL};
	int failed = installer->options.force
			     ? 0
			     : kt_store_find_users(store, installer->options.host, &users, err);

	return failed ? failed : kt_users_refuse(&users, store->root, err);
}

int kt_remove(const struct kt_installer *installer, struct kt_error *err)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	int failed = kt_installer_open_store(installer, KT_STORE_WRITE, &store, err);

	if (failed)
		return failed == -ENOENT ? 0 : failed;
	failed = kt_store_lock(&store, 0, err);
	if (failed == 0)
		failed = kt_refuse_used(installer, &store, err);
	return failed ? failed : kt_store_uninstall(&store, err);
}

int kt_verb_remove(struct kt_installer *installer)
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	return answer(kt_remove(installer, &err), &err);
}
