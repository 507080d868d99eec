/* Landing a bundle and taking everything away: what the agent runs in a child, and a person's command itself. */
#ifndef KT_JOBS_LAND_H
#define KT_JOBS_LAND_H

#include "installer.h"
#include "kontain/store/store.h"

/* Lands --bundle and makes it current, proven; progress goes to stderr. is_logged, as the agent does it: also its
 * start and its end; and what failed is tried again. On failure the old version serves. */
int kt_land(const struct kt_installer *installer, bool is_logged, struct kt_error *err);
/* 0 also when there is no store. InUse while a version is held, or the root mounted, unless --force; *ret_root_kept:
 * with it, the root itself stays, empty, as somebody has it mounted. */
int kt_remove(const struct kt_installer *installer, bool *ret_root_kept, struct kt_error *err);

#endif
