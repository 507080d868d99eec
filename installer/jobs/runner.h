/* The resident agent is two processes. The agent observes, decides and writes the state file; it is confined so that it
 * can do nothing else. The runner runs a job when the agent asks for one, and reads nothing but that. */
#ifndef KT_JOBS_RUNNER_H
#define KT_JOBS_RUNNER_H

#include "installer.h"
#include "kontain/base/child.h"
#include "kontain/contract/message.h"
#include "stuck.h"

struct kt_runner; /* the agent's end of it */

/* Makes two of this process, both out of the network, both with the config that was read once before. Comes back in the
 * agent, confined to its system calls, with installer->runner set; the runner stays with the process that was started,
 * and ends with the agent. */
int kt_runner_start(struct kt_installer *installer, struct kt_error *err);

/* In the agent, all that follows. As kt_spawn_run, done by the runner. */
int kt_runner_call(struct kt_runner *runner, const struct kt_request *request, struct kt_child_result *ret_result,
		   struct kt_error *err);

/* As kt_stuck_look, of the runner's children. */
bool kt_runner_look(struct kt_runner *runner, struct kt_stuck *stuck, unsigned grace_ms);

/* Has the runner choose the store's root for the reconcile that begins. */
void kt_runner_root(struct kt_runner *runner, char ret_root[KT_CONFIG_PATH_MAX]);

/* The verification in the background: starts it where none runs. */
int kt_runner_verify(struct kt_runner *runner, struct kt_error *err);
/* As of the last reply. */
bool kt_runner_is_verifying(const struct kt_runner *runner);

/* What the runner and all that it ran have taken, as of the last reply. */
int64_t kt_runner_cpu_us(const struct kt_runner *runner);

#endif
