/* The identity that payloads run with. */
#ifndef KT_NODE_NOBODY_H
#define KT_NODE_NOBODY_H

#include "kontain/base/error.h"

/* From root to nobody: no groups, no capabilities, nothing to gain by exec, and limits of its own. No way
 * leads back. */
int kt_nobody_become(struct kt_error *err);

#endif
