/* config and bundle -> kt_desired. */
#ifndef KT_INSTALLER_DESIRED_H
#define KT_INSTALLER_DESIRED_H

#include "options.h"
#include "plan.h"

/* Reads the bundle's manifest, which is some 1 KB. */
void kt_desired_read(const struct kt_installer *installer, struct kt_desired *desired);

#endif
