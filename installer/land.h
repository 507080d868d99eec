/* Landing a bundle and taking everything away: what the agent runs in a child, and a person's command itself. */
#ifndef KT_INSTALLER_LAND_H
#define KT_INSTALLER_LAND_H

#include "options.h"

/* Lands --bundle and makes it current, proven; progress goes to stderr. On failure the old version serves. */
int kt_land(const struct kt_installer *installer, struct kt_error *err);
/* 0 also when there is no store. */
int kt_remove(const struct kt_installer *installer, struct kt_error *err);

#endif
