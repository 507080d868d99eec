/* config and bundle -> kt_desired. */
#ifndef KT_AGENT_DESIRED_H
#define KT_AGENT_DESIRED_H

#include "jobs/installer.h"
#include "plan.h"

/* Reads the bundle's manifest, which is some 1 KB. */
void kt_desired_read(const struct kt_installer *installer, struct kt_desired *desired);

#endif
