/* What stands in the headers of a tar's entry and libarchive does not tell. Pure. */
#ifndef KT_PACK_HEADERS_H
#define KT_PACK_HEADERS_H

#include <stddef.h>

#define KT_HEADERS_MAX (64 * 1024) /* of one entry, its extended headers included; a name has 1 KiB at most */

/* The bytes are those that libarchive took for one entry's headers, from the first of them on, and good as such.
 * Returns what no release has, as the end of a sentence about the entry, or NULL. */
const char *kt_headers_flaw(const void *bytes, size_t size);

#endif
