/* What each process of the privileged half gives up. The resident agent is two, see hands.h. */
#ifndef KT_JOBS_RIGHTS_H
#define KT_JOBS_RIGHTS_H

#include "kontain/landlock.h"
#include "cli/options.h"

/* Out of the pod's network, which its containers share, for this process and all that it starts. */
int kt_rights_network(struct kt_error *err);

/* The hands: the capabilities of the verbs, and a filter that refuses the ways back to the network and out of the
 * process; every verb, and km below it, inherits both. */
int kt_rights_runner(struct kt_error *err);

/* The head: no capability, and only the system calls of a program that reads, waits and writes a file. */
int kt_rights_agent(struct kt_error *err);

/* The head, once it knows its files: it reads the bundle, the store's roots and the kernel's own word, writes the
 * state's folder, and opens nothing else. ret_text is for the log: the ABI of Landlock, or why there is none. */
int kt_rights_agent_files(const struct kt_installer *installer, char ret_text[KT_LANDLOCK_TEXT_MAX],
			  struct kt_error *err);

/* A hidden verb, whoever started it: the capabilities that it needs, and no more files than it needs where it makes no
 * mounts. A verb of people is left as it is. */
int kt_rights_job(const char *verb, const struct kt_options *options, struct kt_error *err);

#endif
