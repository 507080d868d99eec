/* Asking for a job, wherever it runs: below the runner in the resident agent, below this process else. */
#ifndef KT_JOBS_CALL_H
#define KT_JOBS_CALL_H

#include "installer.h"
#include "kontain/base/child.h"
#include "kontain/contract/state.h"

/* version: NULL for none. timeout_ms: at most what the job's row allows, which 0 stands for. */
int kt_job_call(const struct kt_installer *installer, const char *job, const char *version, unsigned timeout_ms,
		struct kt_child_result *ret_result, struct kt_error *err);

/* Runs a job that answers when it is done, or its error. 0: *ret_result has what it said. */
int kt_job_do(const struct kt_installer *installer, const char *job, struct kt_child_result *ret_result,
	      struct kt_error *err);

/* How such a job ended: 0, or its own error, or why there is none. Pure. */
int kt_job_judge(const char *job, const struct kt_child_result *result, struct kt_error *err);

/* Why a process of ours ended by that signal: SIGKILL comes from outside, all others are our own fault. */
enum kt_reason kt_job_signal_reason(int signal);

/* Why a job gave no answer that can be read. */
void kt_job_blame(struct kt_verdict *verdict, const char *what, enum kt_reason on_timeout,
		  const struct kt_child_result *result, const struct kt_error *err);

/* The proof of a set (NULL: through the live links), by the job selftest. */
void kt_proof_ask(const struct kt_installer *installer, const char *version, struct kt_state_proof *ret_proof);
/* It is stopped after that. */
unsigned kt_proof_deadline_ms(const struct kt_config *config);

#endif
