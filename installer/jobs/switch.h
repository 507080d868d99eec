/* Making a set that lies in the store the current one, with proof before and after. Lock held. */
#ifndef KT_JOBS_SWITCH_H
#define KT_JOBS_SWITCH_H

#include "installer.h"
#include "kontain/store/store.h"

/* Proves the set before anyone sees it, moves the links, proves it again through them, and moves them back when that
 * fails. On failure the links name what `before` says. */
int kt_switch_to(const struct kt_installer *installer, struct kt_store *store, const struct kt_inventory *before,
		 const char *version, struct kt_error *err);

#endif
