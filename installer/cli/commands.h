/* One function and one file a verb; each returns the program's exit status. */
#ifndef KT_INSTALLER_VERBS_H
#define KT_INSTALLER_VERBS_H

#include "options.h"

int kt_verb_run(struct kt_installer *installer);
int kt_verb_install(struct kt_installer *installer);
int kt_verb_check(struct kt_installer *installer);
int kt_verb_status(struct kt_installer *installer);
int kt_verb_list(struct kt_installer *installer);
int kt_verb_verify(struct kt_installer *installer);
int kt_verb_rollback(struct kt_installer *installer);
int kt_verb_prune(struct kt_installer *installer);
int kt_verb_pin(struct kt_installer *installer);
int kt_verb_unpin(struct kt_installer *installer);
int kt_verb_uninstall(struct kt_installer *installer);

/* Hidden: what the agent, a person's install and the tests run in a child. Each prints one JSON document. */
int kt_verb_probe(struct kt_installer *installer);    /* {"kvm", "host", "checks"}; with -v also before each rung */
int kt_verb_selftest(struct kt_installer *installer); /* {"proof"}, of set --to V or of the live links */
int kt_verb_land(struct kt_installer *installer);     /* {} or {"error"} */
int kt_verb_scrub(struct kt_installer *installer);    /* prints nothing: what it found is noted in the store */
int kt_verb_remove(struct kt_installer *installer);   /* {} or {"error"} */

#endif
