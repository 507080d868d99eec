/* What a program of the networked half gives up at its start. */
#ifndef KONTAIN_PRIVILEGES_H
#define KONTAIN_PRIVILEGES_H

#include <stdint.h>

#include "kontain/base/error.h"

/* No new privileges, an empty bounding set, and of the capabilities that this process has only these (bits by number,
 * linux/capability.h): one that it does not have is not missed. */
int kt_privileges_keep(uint64_t capabilities, struct kt_error *err);

#endif
