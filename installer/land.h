/* Landing a bundle and taking everything away: what the agent runs in a child, and a person's command itself. */
#ifndef KT_INSTALLER_LAND_H
#define KT_INSTALLER_LAND_H

#include "kontain/store.h"
#include "options.h"

/* Lands --bundle and makes it current, proven; progress goes to stderr. is_logged, as the agent does it: also its
 * start and its end; and what failed is tried again. On failure the old version serves. */
int kt_land(const struct kt_installer *installer, bool is_logged, struct kt_error *err);
/* InUse while anybody holds a version; 0 with --force. */
int kt_refuse_used(const struct kt_installer *installer, const struct kt_store *store, struct kt_error *err);
/* 0 also when there is no store. InUse while a version is held, unless --force. */
int kt_remove(const struct kt_installer *installer, struct kt_error *err);

#endif
