/* A series is there when its value is known: a figure of a state that may not be believed is left out rather than kept,
 * while the two questions people alert on (ready, kvm_available) always have an answer. */
#include "metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kontain/base/own.h"
#include "kontain/base/utf8.h"

/* Escaped as the format wants it: backslash, quote and line feed; UTF-8 throughout. */
static void print_label(FILE *out, const char *name, const char *value)
{
	fprintf(out, "%s=\"", name);
	while (*value) {
		size_t length = kt_utf8_length(value);

		if (length == 0)
			fputc('?', out);
		else if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			fprintf(out, "\\%c", *value);
		else
			fwrite(value, 1, length, out);
		value += length ? length : 1;
	}
	fputc('"', out);
}

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void print_build(FILE *out)
{
	print_head(out, "kontaind_build_info", "gauge", "Build information.");
	fputs("kontaind_build_info{", out);
	print_label(out, "version", KONTAIN_VERSION);
	fputs("} 1\n", out);
}

static void print_verdicts(FILE *out, const struct kt_metrics_input *input)
{
	const struct kt_state *state = input->state;
	bool is_probed = state && state->kvm.probed;
	enum kt_reason reason = !state    ? input->why->reason :
				is_probed ? state->kvm.verdict.reason :
					    KT_REASON_STARTING;

	print_head(out, "kontaind_ready", "gauge", "1 when this node can run Kontain payloads, as proven last.");
	fprintf(out, "kontaind_ready %d\n", state && state->node.ok);
	print_head(out, "kontaind_kvm_available", "gauge",
		   "1 when a guest ran on KVM, or Kontain's own module answers; reason says why not.");
	fputs("kontaind_kvm_available{", out);
	print_label(out, "reason", kt_reason_name(reason));
	fprintf(out, "} %d\n", is_probed && state->kvm.verdict.ok);
}

static void print_reason(FILE *out, const char *name, enum kt_reason reason, bool value)
{
	fprintf(out, "%s{", name);
	print_label(out, "reason", kt_reason_name(reason));
	fprintf(out, "} %d\n", value);
}

/* One series each, of the reason that holds: it changes rarely, and a node has some seventy it could be. */
static void print_reasons(FILE *out, const struct kt_metrics_input *input)
{
	const struct kt_state *state = input->state;

	print_head(out, "kontaind_node_reason", "gauge", "Always 1; why this node can run payloads, or not.");
	print_reason(out, "kontaind_node_reason", state ? state->node.reason : input->why->reason, true);
	print_head(out, "kontaind_rollout_settled", "gauge",
		   "1 when this node is done with the version asked for; reason says how or why not.");
	print_reason(out, "kontaind_rollout_settled", state ? state->rollout.reason : input->why->reason,
		     state && state->rollout.ok);
}

static void print_desired(FILE *out, const struct kt_state_versions *versions)
{
	if (!versions->desired[0])
		return;
	print_head(out, "kontaind_desired_version_info", "gauge", "The version that is asked for.");
	fputs("kontaind_desired_version_info{", out);
	print_label(out, "version", versions->desired);
	fputs("} 1\n", out);
}

static void print_refused(FILE *out, const struct kt_state *state)
{
	if (!kt_state_is_refused(state))
		return;
	print_head(out, "kontaind_refused_version_info", "gauge",
		   "The version that is asked for and did not become current, and why.");
	fputs("kontaind_refused_version_info{", out);
	print_label(out, "version", state->store.upgrade.version);
	fputc(',', out);
	print_label(out, "reason", kt_reason_name(state->rollout.reason));
	fputs("} 1\n", out);
}

static void print_policy(FILE *out, const struct kt_metrics_input *input)
{
	if (!input->is_policy_known)
		return;
	print_head(out, "kontaind_policy_enforced", "gauge",
		   "Whether the own-node policy refused a foreign label in a dry run: 1, or 0 when it was taken.");
	fprintf(out, "kontaind_policy_enforced %d\n", input->is_policy_in_force);
}

static void print_version(FILE *out, const struct kt_state_versions *versions)
{
	if (!versions->current[0])
		return;
	print_head(out, "kontaind_version_info", "gauge", "The version that is current and the SHA-256 of its km.");
	fputs("kontaind_version_info{", out);
	print_label(out, "version", versions->current);
	fputc(',', out);
	print_label(out, "digest", versions->km_digest);
	fputs("} 1\n", out);
}

static void print_store(FILE *out, const struct kt_state_store *store)
{
	print_head(out, "kontaind_store_mismatches_total", "counter",
		   "Landed files found lost or changed since the installer's start.");
	fprintf(out, "kontaind_store_mismatches_total %" PRIu64 "\n", store->mismatches);
	print_head(out, "kontaind_store_verify_interval_seconds", "gauge",
		   "How often every landed byte is compared with its digest in the background.");
	fprintf(out, "kontaind_store_verify_interval_seconds %u\n", store->verify_interval_s);
	if (store->verified_at == 0)
		return;
	print_head(out, "kontaind_store_verified_timestamp_seconds", "gauge",
		   "When every byte of the current version was last compared with its digest.");
	fprintf(out, "kontaind_store_verified_timestamp_seconds %" PRId64 "\n", store->verified_at);
}

static void print_installer(FILE *out, const struct kt_state *state)
{
	print_head(out, "kontaind_installs_total", "counter", "Landings of a version since the installer's start.");
	fprintf(out, "kontaind_installs_total{result=\"ok\"} %" PRIu64 "\n", state->store.installs_ok);
	fprintf(out, "kontaind_installs_total{result=\"failed\"} %" PRIu64 "\n", state->store.installs_failed);
	print_store(out, &state->store);
	if (!state->kvm.probed)
		return;
	print_head(out, "kontaind_probe_duration_seconds", "gauge", "Duration of the last KVM check.");
	fprintf(out, "kontaind_probe_duration_seconds %u.%06u\n", state->kvm.duration_us / 1000000,
		state->kvm.duration_us % 1000000);
}

static void print_reconciles(FILE *out, const struct kt_state_reconciles *reconciles)
{
	if (reconciles->count == 0)
		return;
	print_head(out, "kontaind_reconciles_total", "counter", "Proofs of this node since the installer's start.");
	fprintf(out, "kontaind_reconciles_total %" PRIu64 "\n", reconciles->count);
	print_head(out, "kontaind_reconcile_duration_seconds", "gauge", "What the last reconcile took.");
	fprintf(out, "kontaind_reconcile_duration_seconds %u.%03u\n", reconciles->duration_ms / 1000,
		reconciles->duration_ms % 1000);
	print_head(out, "kontaind_reconcile_cpu_seconds", "gauge",
		   "CPU of the last reconcile, its children's included.");
	fprintf(out, "kontaind_reconcile_cpu_seconds %u.%06u\n", reconciles->cpu_us / 1000000,
		reconciles->cpu_us % 1000000);
	print_head(out, "kontaind_ready_changes_total", "counter",
		   "How often this node became ready, or no longer so.");
	fprintf(out, "kontaind_ready_changes_total %" PRIu64 "\n", reconciles->ready_changes);
	print_head(out, "kontaind_ready_held_back_total", "counter",
		   "Returns to ready that had to wait, as there were too many before.");
	fprintf(out, "kontaind_ready_held_back_total %" PRIu64 "\n", reconciles->held_back);
	print_head(out, "kontaind_stuck_processes", "gauge", "Processes that were killed and stay in the kernel.");
	fprintf(out, "kontaind_stuck_processes %d\n", reconciles->stuck_pid != 0);
}

static void print_requests(FILE *out, const struct kt_metrics_input *input)
{
	if (input->request_count == 0)
		return;
	print_head(out, "kontaind_api_requests_total", "counter",
		   "Requests to the API server by the code of the answer; error: none came.");
	for (size_t i = 0; i < input->request_count; i++) {
		fputs("kontaind_api_requests_total{", out);
		print_label(out, "verb", input->requests[i].verb);
		fputc(',', out);
		print_label(out, "code", input->requests[i].code);
		fprintf(out, "} %" PRIu64 "\n", input->requests[i].count);
	}
}

static void print_watch(FILE *out, const struct kt_metrics_input *input)
{
	if (!input->is_watch_known)
		return;
	print_head(out, "kontaind_watch_up", "gauge",
		   "Whether the node is watched: 1, or 0 when what others change is found at the heartbeat.");
	fprintf(out, "kontaind_watch_up %d\n", input->is_watching);
	print_head(out, "kontaind_report_undone_total", "counter",
		   "How often somebody else removed or altered what was reported on the node, as the watch saw it.");
	fprintf(out, "kontaind_report_undone_total %" PRIu64 "\n", input->undone);
}

void kt_metrics_answer(const struct kt_metrics_input *input, struct kt_http_reply *reply)
{
	KT_OWN(kt_close_file) FILE *out = open_memstream(&reply->body, &reply->size);

	reply->code = 200;
	reply->content_type = "text/plain; version=0.0.4; charset=utf-8";
	if (!out)
		return;
	print_build(out);
	print_verdicts(out, input);
	print_reasons(out, input);
	if (input->state) {
		print_desired(out, &input->state->versions);
		print_refused(out, input->state);
		print_version(out, &input->state->versions);
		print_installer(out, input->state);
		print_reconciles(out, &input->state->reconciles);
	}
	print_requests(out, input);
	print_watch(out, input);
	print_policy(out, input);
	if (input->has_age) {
		print_head(out, "kontaind_state_age_seconds", "gauge",
			   "Time since the installer last checked the node.");
		fprintf(out, "kontaind_state_age_seconds %" PRId64 "\n", input->age_s > 0 ? input->age_s : 0);
	}
}
