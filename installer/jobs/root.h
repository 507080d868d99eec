/* Which root the store has. One question, one answer: chosen once a reconcile (a command is one reconcile) and
 * handed to every job, so that what is observed, landed, proven, verified and watched is the same store. */
#ifndef KT_JOBS_ROOT_H
#define KT_JOBS_ROOT_H

#include "installer.h"
#include "kontain/store/store.h"

/* Chooses among --root, or the config's store.roots, and sets installer->root. In the resident agent the runner does,
 * and is asked (runner.h). */
void kt_root_choose(struct kt_installer *installer);

/* Opens the chosen one, as kt_store_open does. */
int kt_installer_open_store(const struct kt_installer *installer, enum kt_store_mode mode, struct kt_store *ret_store,
			    struct kt_error *err);

#endif
