#include "observe.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "jobs/call.h"
#include "jobs/root.h"
#include "kontain/base/child.h"
#include "kontain/base/clock.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/statejson.h"

/* The probe ended in the middle of a check, for which it has left the verdict of a device that does not answer. That is
 * so after a time-out; after any other end the device is not to blame. */
static void blame_check(const struct kt_child_result *result, struct kt_probe *probe)
{
	struct kt_verdict *verdict = &probe->kvm.verdict;
	const char *during = "its first check";

	for (size_t i = 0; i < probe->checks.count; i++)
		if (probe->checks.list[i].result == KT_CHECK_FAILED)
			during = probe->checks.list[i].name;

	if (result->timed_out)
		kt_verdict_set(verdict, false, KT_REASON_GUEST_HUNG, "%.300s; the probe was stopped after %u ms%s",
			       verdict->message, result->duration_ms,
			       result->stuck ? " and is stuck in the kernel" : "");
	else if (result->signal != 0)
		kt_verdict_set(verdict, false, kt_job_signal_reason(result->signal),
			       "the probe was killed by signal %d (%s) during the check \"%s\"", result->signal,
			       strsignal(result->signal), during);
	else
		kt_verdict_set(verdict, false, KT_REASON_INTERNAL,
			       "the probe failed (exit status %d) during the check \"%s\"", result->exit_status,
			       during);
	for (size_t i = 0; i < probe->checks.count; i++) {
		struct kt_check *check = &probe->checks.list[i];

		if (check->result == KT_CHECK_FAILED && check->reason == KT_REASON_GUEST_HUNG) {
			check->reason = verdict->reason;
			snprintf(check->message, sizeof check->message, "%s", verdict->message);
		}
	}
}

void kt_observe_node(const struct kt_installer *installer, struct kt_observed *observed)
{
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};
	struct kt_probe probe = {.kvm.probed = false};
	struct kt_error err = {.reason = KT_REASON_NONE};

	/* the last document that it wrote whole: it writes one before each check, and one at its end */
	if (kt_job_call(installer, "probe", NULL, 0, &result, &err) != 0 ||
	    kt_probe_parse(result.output, result.output_size, &probe, &err) != 0) {
		kt_job_blame(&probe.kvm.verdict, "KVM probe", KT_REASON_GUEST_HUNG, &result, &err);
		kt_job_blame(&probe.host.verdict, "host probe", KT_REASON_GUEST_HUNG, &result, &err);
	} else if (result.timed_out || result.exit_status != 0) {
		blame_check(&result, &probe);
	}
	observed->probe = probe;
}

static void describe_store(const struct kt_store *store, struct kt_state_store *ret_store)
{
	ret_store->found = true;
	kt_verdict_set(&ret_store->verdict, true, KT_REASON_READY, "%s on %s%s", store->root, store->filesystem,
		       store->journalling ? "" : "; not journaled: a power failure may lose data");
	snprintf(ret_store->root, sizeof ret_store->root, "%s", store->root);
	snprintf(ret_store->filesystem, sizeof ret_store->filesystem, "%s", store->filesystem);
	ret_store->journalling = store->journalling;
}

void kt_observe_store(const struct kt_installer *installer, const struct kt_desired *desired,
		      struct kt_observed *observed, struct kt_state_store *ret_store)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_error err = {.reason = KT_REASON_NONE}, ignored;

	memset(&observed->inventory, 0, sizeof observed->inventory);
	observed->store_open = false;
	observed->failed_before = false;
	observed->is_held = false;
	if (kt_installer_open_store(installer, KT_STORE_WRITE, &store, &observed->store_error) != 0) {
		ret_store->found = false;
		kt_verdict_fail(&ret_store->verdict, &observed->store_error);
		/* What was landed before the store went read-only or noexec can still be listed. */
		if (kt_installer_open_store(installer, KT_STORE_READ, &store, &err) == 0)
			kt_store_inventory(&store, &observed->inventory, &err);
		return;
	}
	if (kt_store_inventory(&store, &observed->inventory, &observed->store_error) != 0) {
		kt_verdict_fail(&ret_store->verdict, &observed->store_error);
		return;
	}
	observed->store_open = true;
	describe_store(&store, ret_store);
	(void)kt_store_list_kept(&store, false, &ret_store->kept, &ignored);
	observed->is_held = kt_store_is_held(&store, desired->manifest_sha256);
	if (desired->version[0] != '\0' &&
	    kt_store_recall_failure(&store, desired->manifest_sha256, &observed->failure) == 1)
		observed->failed_before = true;
}

void kt_observe_contender(const struct kt_installer *installer, const struct kt_desired *desired,
			  struct kt_observed *observed)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	const char *host = installer->options.host, *current = observed->inventory.current;
	struct kt_activator other, own;
	struct kt_error ignored;

	observed->contender[0] = '\0';
	if (current[0] == '\0' ||
	    (!desired->absent && strcmp(observed->inventory.manifest_sha256, desired->manifest_sha256) == 0) ||
	    kt_installer_open_store(installer, KT_STORE_READ, &store, &ignored) != 0 ||
	    !kt_store_read_activator(&store, &other) || strcmp(other.version, current) != 0 ||
	    !kt_activator_of_parent(host, "", &own) || kt_activator_is_same(&own, &other) ||
	    !kt_activator_lives(host, &other))
		return;
	if (desired->absent)
		snprintf(observed->contender, sizeof observed->contender,
			 "the installation was removed here, and another agent (process %d on %s) installed version %s "
			 "again: an agent that removes and one that installs run on this node",
			 other.pid, other.name, current);
	else
		snprintf(observed->contender, sizeof observed->contender,
			 "version %s was activated here, and another agent (process %d on %s) activated %s in its "
			 "place: two agents with different bundles run on this node",
			 desired->version, other.pid, other.name, current);
}

void kt_inventory_versions(const struct kt_inventory *inventory, struct kt_state_versions *ret_versions)
{
	snprintf(ret_versions->current, sizeof ret_versions->current, "%s", inventory->current);
	snprintf(ret_versions->previous, sizeof ret_versions->previous, "%s", inventory->previous);
	snprintf(ret_versions->km_version, sizeof ret_versions->km_version, "%s", inventory->km_version);
	snprintf(ret_versions->km_digest, sizeof ret_versions->km_digest, "%s", inventory->km_digest);
	ret_versions->list_count = inventory->set_count;
	memcpy(ret_versions->list, inventory->sets, sizeof ret_versions->list);
}

void kt_state_stamp(struct kt_state *state)
{
	if (kt_fs_boot_id(state->boot_id) != 0)
		state->boot_id[0] = '\0'; /* no reader believes a state without one */
	state->observed_at = time(NULL);
	state->observed_boot_s = (uint64_t)kt_clock_boot_ms() / 1000;
	kt_state_promise(state, 0); /* true now; only the agent promises more */
}
