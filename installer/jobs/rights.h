/* What each process of the privileged half gives up. The resident agent is two, see runner.h. */
#ifndef KT_JOBS_RIGHTS_H
#define KT_JOBS_RIGHTS_H

#include <sys/types.h>

#include "installer.h"
#include "jobs.h"
#include "kontain/base/landlock.h"

/* Out of the pod's network, which its containers share, for this process and all that it starts. */
int kt_rights_network(struct kt_error *err);

/* The runner: the capabilities of all jobs, and a filter that refuses the ways back to the network and out of the
 * process; every job, and km below it, inherits both. */
int kt_rights_runner(struct kt_error *err);

/* The agent's own user and group, so that nothing of root's is its own: between kontaind's 65532 and what distributions
 * give out (adduser(8) ends at 59999). It owns the folder of its state and nothing else. */
#define KT_AGENT_UID 65531

/* Before the agent is that user: makes the folder of its state, or gives it one in which nothing but a state lies. A
 * folder with other files in it stays whose it is: AccessDenied, unless everybody may write there. */
int kt_rights_state_folder(const char *state, struct kt_error *err);

/* The agent: a user of its own, no capability but to read what Landlock will leave it, and only the system calls of
 * a program that reads, waits and writes a file. It ends with its runner. */
int kt_rights_agent(pid_t runner, struct kt_error *err);

/* The agent, once it knows its files: it reads the bundle, the store's roots and what the kernel tells, writes the
 * state's folder, and opens nothing else. ret_text is for the log: the ABI of Landlock, or why there is none. */
int kt_rights_agent_files(const struct kt_installer *installer, char ret_text[KT_LANDLOCK_TEXT_MAX],
			  struct kt_error *err);

/* A job, whoever started it: the rights of its row. A person's command is left as it is. */
int kt_rights_job(const struct kt_job *job, const char *dev, struct kt_error *err);

#endif
