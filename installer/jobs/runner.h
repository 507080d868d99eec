/* The resident agent is two processes. The head looks, decides and writes the state file; it is confined so that it can
 * do nothing else. The hands run a verb when the head asks for one, and read nothing but that. */
#ifndef KT_JOBS_RUNNER_H
#define KT_JOBS_RUNNER_H

#include "kontain/child.h"
#include "cli/options.h"
#include "stuck.h"

struct kt_runner; /* the head's end of it */

/* Makes two of this process, both out of the network. Comes back in the head, confined to its system calls, with
 * installer->hands set; the hands stay with the process that was started, and end with the head. */
int kt_runner_start(struct kt_installer *installer, struct kt_error *err);

/* In the head: as kt_installer_call, done by the hands. */
int kt_runner_call(struct kt_runner *hands, const char *verb, const char *to, unsigned timeout_ms,
		  struct kt_child_result *ret_result, struct kt_error *err);

/* In the head: as kt_stuck_look, of the hands' children. */
bool kt_runner_look(struct kt_runner *hands, struct kt_stuck *stuck, unsigned grace_ms);

/* In the head: the verification that goes on beside the rounds. 1 while it runs, 0 when none does, else -errno. start:
 * one is begun where none runs. */
int kt_runner_scrub(struct kt_runner *hands, bool start, struct kt_error *err);

/* What the hands and all that they ran have taken, up to their last answer. */
int64_t kt_runner_cpu_us(const struct kt_runner *hands);

#endif
