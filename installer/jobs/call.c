#include "call.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "jobs.h"
#include "kontain/base/own.h"
#include "kontain/contract/message.h"
#include "kontain/contract/statejson.h"
#include "runner.h"
#include "spawn.h"

/* Both built-in payloads, the bundle's own, and the mounts around them. */
#define PAYLOADS_A_PROOF 4

int kt_job_call(const struct kt_installer *installer, const char *job, const char *version, unsigned timeout_ms,
		struct kt_child_result *ret_result, struct kt_error *err)
{
	unsigned most_ms = kt_job_find(job)->timeout_max_ms;
	struct kt_request request = {.timeout_ms = timeout_ms != 0 && timeout_ms < most_ms ? timeout_ms : most_ms};

	snprintf(request.job, sizeof request.job, "%s", job);
	snprintf(request.version, sizeof request.version, "%s", version != NULL ? version : "");
	return installer->runner != NULL ? kt_runner_call(installer->runner, &request, ret_result, err) :
					   kt_spawn_run(installer, &request, ret_result, err);
}

enum kt_reason kt_job_signal_reason(int signal)
{
	switch (signal) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGABRT:
	case SIGSYS:
	case SIGTRAP:
		return KT_REASON_INTERNAL; /* a program's own end */
	default:
		return KT_REASON_JOB_KILLED; /* by somebody, or by a limit: SIGXFSZ, SIGXCPU */
	}
}

int kt_job_judge(const char *job, const struct kt_child_result *result, struct kt_error *err)
{
	struct kt_error failure = {.reason = KT_REASON_NONE}, parse = {.reason = KT_REASON_NONE};

	if (result->timed_out)
		return kt_fail(err, ETIMEDOUT, KT_REASON_DISK_SLOW,
			       "%s was stopped after %u s: reading the bundle or writing the store takes too long", job,
			       kt_job_find(job)->timeout_max_ms / 1000);
	if (result->signal != 0)
		return kt_fail(err, ECHILD, kt_job_signal_reason(result->signal), "%s was killed by signal %d (%s)",
			       job, result->signal, strsignal(result->signal));
	if (result->exit_status == 0)
		return 0;
	if (kt_error_parse(result->output, result->output_size, &failure, &parse) != 0)
		return kt_fail(err, EPROTO, KT_REASON_INTERNAL, "%s failed (exit status %d): %.200s", job,
			       result->exit_status, result->errors);
	*err = failure;
	return -(failure.code != 0 ? failure.code : EPROTO);
}

int kt_job_do(const struct kt_installer *installer, const char *job, struct kt_child_result *ret_result,
	      struct kt_error *err)
{
	int failed = kt_job_call(installer, job, NULL, 0, ret_result, err);

	return failed ? failed : kt_job_judge(job, ret_result, err);
}

void kt_job_blame(struct kt_verdict *verdict, const char *what, enum kt_reason on_timeout,
		  const struct kt_child_result *result, const struct kt_error *err)
{
	if (result->timed_out)
		kt_verdict_set(verdict, false, on_timeout, "the %s was stopped after %u ms%s", what,
			       result->duration_ms, result->stuck ? " and is stuck in the kernel" : "");
	else if (result->signal != 0)
		kt_verdict_set(verdict, false, kt_job_signal_reason(result->signal),
			       "the %s was killed by signal %d (%s)", what, result->signal, strsignal(result->signal));
	else if (result->errors == NULL && err->reason != KT_REASON_NONE) /* it was not started: who tried knows why */
		kt_verdict_set(verdict, false, err->reason, "%s failed: %s", what, err->text);
	else
		kt_verdict_set(verdict, false, KT_REASON_INTERNAL, "%s failed (exit status %d, %.200s): %s", what,
			       result->exit_status, result->errors != NULL ? result->errors : "not started", err->text);
}

unsigned kt_proof_deadline_ms(const struct kt_config *config)
{
	return config->proof_timeout_s * 1000 * PAYLOADS_A_PROOF;
}

void kt_proof_ask(const struct kt_installer *installer, const char *version, struct kt_state_proof *ret_proof)
{
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};
	struct kt_error err = {.reason = KT_REASON_NONE};
	unsigned timeout_ms = kt_proof_deadline_ms(&installer->config);

	if (kt_job_call(installer, "selftest", version, timeout_ms, &result, &err) == 0 && !result.timed_out &&
	    kt_proof_parse(result.output, result.output_size, ret_proof, &err) == 0)
		return;
	memset(ret_proof, 0, sizeof *ret_proof);
	ret_proof->ran = true;
	kt_job_blame(&ret_proof->verdict, "proof", KT_REASON_KM_HUNG, &result, &err);
}
