/* Landing: stage, prove unseen, activate, prove again through the live links; and taking all of it away again.
 * It may be killed at any instant: what is half done is not there, and the next start sweeps it away. */
#include "land.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jobs.h"
#include "kontain/base/clock.h"
#include "kontain/base/digest.h"
#include "kontain/base/fs.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"
#include "kontain/bundle/bundle.h"
#include "kontain/contract/message.h"
#include "kontain/contract/statejson.h"
#include "progress.h"
#include "root.h"
#include "switch.h"

/* A version that does not work here is remembered and taken away, as far as this landing brought it. One that met a
 * cause which may pass (a KVM that only emulates, a time-out), or that the agent tries again because it failed for
 * the first times, stays where it is, unseen: the next attempt copies nothing. What was refused before it was staged
 * left nothing, and a set of that name is another's. */
static void give_up(struct kt_store *store, const struct kt_inventory *before, const char *version,
		    const struct kt_staged *staged, bool is_retried, const char *manifest_sha256,
		    const struct kt_error *failure)
{
	struct kt_error ignored;
	bool is_believed;

	if (kt_reason_get(failure->reason)->transient)
		return;
	is_believed =
		kt_store_remember_failure(store, manifest_sha256, failure, kt_clock_boot_ms() / 1000, &ignored) == 1;
	if (is_retried && !is_believed)
		return;
	if (strcmp(before->current, version) != 0 && strcmp(before->previous, version) != 0)
		kt_store_drop_staged(store, version, staged, &ignored);
}

static void tell_removed(void *context, const char *version, enum kt_fate fate, const struct kt_user *user)
{
	const bool *is_logged = context;

	(void)user;
	if (fate == KT_FATE_REMOVED && *is_logged)
		kt_log(KT_LOG_INFO, "removing an old version", "version", version, NULL);
}

/* What config's store.keep leaves, beside what is current, previous, pinned or used. Whatever stands in its way is no
 * fault of the landing. */
static void retain(const struct kt_installer *installer, struct kt_store *store, const char *spared, bool is_logged)
{
	struct kt_prune prune = {.keep_count = installer->config.store_keep,
				 .spared = spared,
				 .tell = tell_removed,
				 .context = &is_logged};
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (kt_store_prune(store, &prune, NULL, &err) != 0 && is_logged)
		kt_log(KT_LOG_WARN, "cannot remove old versions", "reason", kt_reason_name(err.reason), "err", err.text,
		       NULL);
}

/* A disk that is full of old versions is not full: they go, and it is looked again. */
static int stage(const struct kt_installer *installer, struct kt_store *store, struct kt_bundle *bundle,
		 struct kt_progress *progress, bool is_logged, struct kt_staged *ret_staged, struct kt_error *err)
{
	int failed = kt_store_stage(store, bundle, kt_progress_tell, progress, ret_staged, err);

	if (failed == 0 || err->reason != KT_REASON_DISK_FULL)
		return failed;
	retain(installer, store, bundle->manifest.version, is_logged);
	return kt_store_stage(store, bundle, kt_progress_tell, progress, ret_staged, err);
}

/* A landing that leaves what it was to mend has failed, and the next one waits longer. */
static int check_result(const struct kt_store *store, struct kt_error *err)
{
	struct kt_inventory after;
	int failed = kt_store_inventory(store, &after, err);

	if (failed || after.is_whole)
		return failed;
	return kt_fail(err, EUCLEAN, after.damage_reason, "installed, and still not whole: %.200s", after.damage);
}

static int land_bundle(const struct kt_installer *installer, struct kt_store *store, struct kt_bundle *bundle,
		       const char *manifest_sha256, bool is_logged, struct kt_error *err)
{
	const char *version = bundle->manifest.version;
	struct kt_inventory before;
	struct kt_progress progress;
	struct kt_staged staged = {.has_new_set = false};
	int failed = kt_store_inventory(store, &before, err);

	if (failed)
		return failed;
	if (before.is_foreign)
		return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION, "%s: %s", store->root, before.damage);
	kt_progress_init(&progress, version, installer->options.quiet, is_logged);
	failed = stage(installer, store, bundle, &progress, is_logged, &staged, err);
	kt_progress_done(&progress, failed == 0);
	if (failed == 0)
		failed = kt_switch_to(installer, store, &before, version, err);
	if (failed == 0)
		failed = check_result(store, err);
	if (failed)
		give_up(store, &before, version, &staged, is_logged, manifest_sha256, err);
	else
		retain(installer, store, version, is_logged);
	return failed;
}

/* The folders go with the adoption, and such a link with them. */
static void left_out_tell(void *context, const char *path, const char *how)
{
	const struct kt_installer *installer = context;

	if (!installer->options.quiet)
		fprintf(stderr, "kontain-installer: the link %s is left out: it %s\n", path, how);
}

/* An earlier installer's folders become a version first, so that the landing can be rolled back to it. */
static int adopt(const struct kt_installer *installer, struct kt_store *store, struct kt_error *err)
{
	struct kt_inventory inventory;
	char version[KT_VERSION_MAX];
	int failed = kt_store_inventory(store, &inventory, err);

	if (failed || !inventory.is_adoptable)
		return failed;
	failed = kt_store_adopt(store, left_out_tell, (void *)installer, version, err);
	if (failed == 0 && !installer->options.quiet)
		fprintf(stderr, "kontain-installer: adopted the existing installation in %s as version %s\n",
			store->root, version);
	return failed;
}

/* An agent's job says whose; what a person installs is no agent's. */
static int note_activator(const struct kt_installer *installer, const struct kt_store *store, const char *version,
			  bool is_job, struct kt_error *err)
{
	struct kt_activator activator;
	bool is_known = is_job && kt_activator_of_parent(installer->options.host, version, &activator);

	return kt_store_note_activator(store, is_known ? &activator : NULL, err);
}

int kt_land(const struct kt_installer *installer, bool is_logged, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char manifest_sha256[KT_DIGEST_HEX];
	int failed;

	if (digest == NULL)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
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
	if (failed == 0)
		failed = note_activator(installer, &store, bundle.manifest.version, is_logged, err);
	if (failed == 0) /* what was rolled back from before is history, and so is what this one failed of */
		failed = kt_store_release(&store, NULL, err);
	if (failed == 0)
		failed = kt_store_forget_failure(&store, manifest_sha256, err);
	return failed;
}

/* Prints the answer of a job that acts. */
static int answer(int failed, const struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *document = failed ? kt_error_print(err) : NULL;

	puts(document != NULL ? document : "{}");
	return failed ? kt_exit_status(err) : KT_EXIT_DONE;
}

int kt_job_land(const struct kt_installer *installer, const char *version)
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	(void)version;
	return answer(kt_land(installer, true, &err), &err);
}

int kt_remove(const struct kt_installer *installer, bool *ret_root_kept, struct kt_error *err)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	int failed = kt_installer_open_store(installer, KT_STORE_WRITE, &store, err);

	*ret_root_kept = false;
	if (failed)
		return failed == -ENOENT ? 0 : failed;
	failed = kt_store_lock(&store, 0, err);
	return failed ? failed : kt_store_uninstall(&store, installer->options.force, ret_root_kept, err);
}

int kt_job_remove(const struct kt_installer *installer, const char *version)
{
	struct kt_error err = {.reason = KT_REASON_NONE};
	bool is_root_kept;

	(void)version;
	return answer(kt_remove(installer, &is_root_kept, &err), &err);
}

int kt_job_sweep(const struct kt_installer *installer, const char *version)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_state_kept kept = {.count = 0};
	struct kt_error err = {.reason = KT_REASON_NONE};
	int failed = kt_installer_open_store(installer, KT_STORE_WRITE, &store, &err);

	(void)version;
	if (failed == 0)
		failed = kt_store_lock(&store, 0, &err);
	if (failed == 0)
		failed = kt_store_clear_kept(&store, &kept, &err);
	if (failed)
		return answer(failed, &err);

	KT_OWN(kt_free_mem) char *document = kt_kept_print(&kept);

	puts(document != NULL ? document : "{}");
	return KT_EXIT_DONE;
}
