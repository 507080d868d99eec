/* The resident agent. */
#ifndef KT_AGENT_AGENT_H
#define KT_AGENT_AGENT_H

#include "jobs/installer.h"

/* Reconciles until a signal ends the process; comes back only when it cannot begin, or after one reconcile with
 * --once, and then *ret_is_fine says whether the node is as it should be. */
int kt_agent_run(struct kt_installer *installer, bool *ret_is_fine, struct kt_error *err);

#endif
