/* kontain-pack needs: has an image's root all that its programs name? */
#ifndef KT_PACK_NEEDS_H
#define KT_PACK_NEEDS_H

#include <stddef.h>

#include "kontain/base/error.h"

extern const char kt_needs_help[];
/* Of each program, named by its path in the root: its interpreter and libraries, and theirs, are in the root. They are
 * printed, a line each. ElfInvalid names the first that is not, and who needs it. */
int kt_needs_check(const char *root, char *const programs[], size_t count, struct kt_error *err);

#endif
