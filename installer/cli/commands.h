/* One function and one file a verb; each returns the program's exit status. */
#ifndef KT_CLI_COMMANDS_H
#define KT_CLI_COMMANDS_H

#include "options.h"

int kt_command_run(struct kt_installer *installer);
int kt_command_install(struct kt_installer *installer);
int kt_command_check(struct kt_installer *installer);
int kt_command_status(struct kt_installer *installer);
int kt_command_list(struct kt_installer *installer);
int kt_command_verify(struct kt_installer *installer);
int kt_command_rollback(struct kt_installer *installer);
int kt_command_prune(struct kt_installer *installer);
int kt_command_pin(struct kt_installer *installer);
int kt_command_unpin(struct kt_installer *installer);
int kt_command_uninstall(struct kt_installer *installer);

/* Hidden: what the agent, a person's install and the tests run in a child. Each prints one JSON document. */
int kt_job_probe(struct kt_installer *installer);    /* {"kvm", "host", "checks"}; with -v also before each rung */
int kt_job_selftest(struct kt_installer *installer); /* {"proof"}, of set --to V or of the live links */
int kt_job_land(struct kt_installer *installer);     /* {} or {"error"} */
int kt_job_scrub(struct kt_installer *installer);    /* prints nothing: what it found is noted in the store */
int kt_job_remove(struct kt_installer *installer);   /* {} or {"error"} */

#endif
