#include "observe.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "hands.h"
#include "kontain/clock.h"
#include "kontain/child.h"
#include "kontain/fs.h"
#include "kontain/own.h"
#include "kontain/statejson.h"

/* A probe that loads modules may wait for firmware and udev; a guest has its own, shorter deadline. */
#define PROBE_TIMEOUT_MS 20000
/* Of a child's answer: the largest is a probe's, some 4 KiB before each of its rungs. */
#define ANSWER_MAX (128 * 1024)
/* Both built-in payloads, the bundle's own, and the mounts around them. */
#define PAYLOADS_A_PROOF 4

int kt_installer_open_store(const struct kt_installer *installer, enum kt_store_mode mode, struct kt_store *ret_store,
			    struct kt_error *err)
{
	const char *host = installer->options.host;
	struct kt_error first = {.reason = KT_REASON_NONE};
	int failed;

	if (installer->options.root != NULL)
		return kt_store_open(host, installer->options.root, mode, ret_store, err);
	for (size_t i = 0; i < installer->config.root_count; i++) {
		struct kt_error this = {.reason = KT_REASON_NONE};

		failed = kt_store_open(host, installer->config.roots[i], mode, ret_store, &this);
		if (failed == 0)
			return 0;
		/* The first root's trouble is the one to name: the others are its stand-ins. */
		if (first.reason == KT_REASON_NONE)
			first = this;
	}
	*err = first;
	return -first.code;
}

#define ARGUMENTS_MAX 20

/* This program's own command line with another verb. */
static void arguments_fill(const struct kt_installer *installer, const char *verb, const char *to,
			   const char *argv[ARGUMENTS_MAX])
{
	const struct kt_options *options = &installer->options;
	bool is_probe = strcmp(verb, "probe") == 0;
	size_t n = 0;

	argv[n++] = "/proc/self/exe";
	argv[n++] = verb;
	argv[n++] = "--host";
	argv[n++] = options->host[0] != '\0' ? options->host : "/";
	argv[n++] = "--dev";
	argv[n++] = options->dev;
	if (options->config != NULL) {
		argv[n++] = "--config";
		argv[n++] = options->config;
	}
	if (options->root != NULL) {
		argv[n++] = "--root";
		argv[n++] = options->root;
	}
	if (options->bundle != NULL && strcmp(verb, "land") == 0) {
		argv[n++] = "--bundle";
		argv[n++] = options->bundle;
	}
	if (is_probe)
		argv[n++] = "-v"; /* tells each rung before it is climbed */
	else if (options->quiet || options->verbose)
		argv[n++] = options->quiet ? "-q" : "-v";
	if (options->dry_run && is_probe)
		argv[n++] = "--dry-run";
	if (to != NULL) {
		argv[n++] = "--to";
		argv[n++] = to;
	}
	argv[n] = NULL;
}

int kt_installer_call(const struct kt_installer *installer, const char *verb, const char *to, unsigned timeout_ms,
		      struct kt_child_result *ret_result, struct kt_error *err)
{
	const char *argv[ARGUMENTS_MAX];
	struct kt_child_spec spec = {.argv = argv,
				     .timeout_ms = timeout_ms,
				     .output_max = ANSWER_MAX,
				     /* what it has to say of its progress belongs into our log */
				     .passes_errors = strcmp(verb, "land") == 0};

	if (installer->hands != NULL)
		return kt_hands_call(installer->hands, verb, to, timeout_ms, ret_result, err);
	arguments_fill(installer, verb, to, argv);
	return kt_child_run(&spec, ret_result, err);
}

int kt_installer_start(const struct kt_installer *installer, const char *verb, pid_t *ret_pid, int *ret_pidfd,
		       struct kt_error *err)
{
	const char *argv[ARGUMENTS_MAX];
	struct kt_child_spec spec = {.argv = argv};

	arguments_fill(installer, verb, NULL, argv);
	return kt_child_start(&spec, ret_pid, ret_pidfd, err);
}

/* Why a child gave no answer that can be read. */
static void blame(struct kt_verdict *verdict, const char *verb, enum kt_reason on_timeout,
		  const struct kt_child_result *result, const struct kt_error *err)
{
	if (result->timed_out)
		kt_verdict_set(verdict, false, on_timeout, "the %s was stopped after %u ms%s", verb,
			       result->duration_ms, result->stuck ? " and is stuck in the kernel" : "");
	else if (result->signal != 0)
		kt_verdict_set(verdict, false, KT_REASON_INTERNAL, "the %s was ended by signal %d", verb,
			       result->signal);
	else
		kt_verdict_set(verdict, false, KT_REASON_INTERNAL, "the %s gave no answer (status %d, %.200s): %s", verb,
			       result->exit_status, result->errors != NULL ? result->errors : "not started", err->text);
}

/* The last document that the probe wrote whole: it writes one before each rung, and one at its end. */
static int last_answer(const struct kt_child_result *result, struct kt_probe *ret_probe, struct kt_error *err)
{
	const char *end = result->output != NULL ? memrchr(result->output, '\n', result->output_size) : NULL;
	const char *before = end != NULL ? memrchr(result->output, '\n', (size_t)(end - result->output)) : NULL;
	const char *start = before != NULL ? before + 1 : result->output;

	if (end == NULL)
		return kt_fail(err, ENODATA, KT_REASON_INTERNAL, "it wrote no line");
	return kt_probe_parse(start, (size_t)(end - start), ret_probe, err);
}

/* The probe ended in the middle: its last word names the rung, and how it ended is said behind it. */
static void blame_rung(const struct kt_child_result *result, struct kt_probe *probe)
{
	struct kt_verdict *verdict = &probe->kvm.verdict;

	if (result->timed_out)
		kt_verdict_set(verdict, false, KT_REASON_GUEST_HUNG, "%.300s; the probe was stopped after %u ms%s",
			       verdict->message, result->duration_ms,
			       result->stuck ? " and is stuck in the kernel" : "");
	else if (result->signal != 0)
		kt_verdict_set(verdict, false, KT_REASON_INTERNAL, "%.300s: the probe was ended by signal %d",
			       verdict->message, result->signal);
	else
		kt_verdict_set(verdict, false, KT_REASON_INTERNAL, "%.300s: the probe ended with status %d",
			       verdict->message, result->exit_status);
	for (size_t i = 0; i < probe->checks.count; i++) {
		struct kt_rung *rung = &probe->checks.list[i];

		if (rung->result == KT_RUNG_FAILED && rung->reason == KT_REASON_GUEST_HUNG) {
			rung->reason = verdict->reason;
			snprintf(rung->message, sizeof rung->message, "%s", verdict->message);
		}
	}
}

void kt_observe_node(const struct kt_installer *installer, struct kt_observed *observed)
{
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};
	struct kt_probe probe = {.kvm.probed = false};
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (kt_installer_call(installer, "probe", NULL, PROBE_TIMEOUT_MS, &result, &err) != 0 ||
	    last_answer(&result, &probe, &err) != 0) {
		blame(&probe.kvm.verdict, "KVM probe", KT_REASON_GUEST_HUNG, &result, &err);
		blame(&probe.host.verdict, "host probe", KT_REASON_GUEST_HUNG, &result, &err);
	} else if (result.timed_out || result.exit_status != 0) {
		blame_rung(&result, &probe);
	}
	observed->kvm = probe.kvm;
	observed->host = probe.host;
	observed->checks = probe.checks;
}

void kt_observe_proof(const struct kt_installer *installer, const char *version, struct kt_state_proof *ret_proof)
{
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};
	struct kt_error err = {.reason = KT_REASON_NONE};
	unsigned timeout_ms = installer->config.proof_timeout_s * 1000 * PAYLOADS_A_PROOF;

	if (kt_installer_call(installer, "selftest", version, timeout_ms, &result, &err) == 0 && !result.timed_out &&
	    kt_proof_parse(result.output, result.output_size, ret_proof, &err) == 0)
		return;
	memset(ret_proof, 0, sizeof *ret_proof);
	ret_proof->ran = true;
	blame(&ret_proof->verdict, "proof", KT_REASON_KM_HUNG, &result, &err);
}

static void describe_store(const struct kt_store *store, struct kt_state_store *ret_store)
{
	ret_store->found = true;
	kt_verdict_set(&ret_store->verdict, true, KT_REASON_READY, "%s on %s%s", store->root, store->filesystem,
		       store->journalling ? "" : ", which keeps no journal: a power cut may cost more than the last write");
	snprintf(ret_store->root, sizeof ret_store->root, "%s", store->root);
	snprintf(ret_store->filesystem, sizeof ret_store->filesystem, "%s", store->filesystem);
	ret_store->journalling = store->journalling;
}

void kt_observe_store(const struct kt_installer *installer, const struct kt_desired *desired,
		      struct kt_observed *observed, struct kt_state_store *ret_store)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_error err = {.reason = KT_REASON_NONE};

	memset(&observed->inventory, 0, sizeof observed->inventory);
	observed->store_open = false;
	observed->failed_before = false;
	observed->is_held = false;
	if (kt_installer_open_store(installer, KT_STORE_WRITE, &store, &observed->store_error) != 0) {
		ret_store->found = false;
		kt_verdict_fail(&ret_store->verdict, &observed->store_error);
		/* What was landed before the store went read-only or noexec can still be told. */
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
	observed->is_held = kt_store_is_held(&store, desired->manifest_sha256);
	if (desired->version[0] != '\0' &&
	    kt_store_recall_failure(&store, desired->manifest_sha256, &observed->failure) == 1)
		observed->failed_before = true;
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
