/* The blocks of a tar archive, looked at as they go by. Pure. */
#ifndef KT_PACK_BLOCKS_H
#define KT_PACK_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/error.h"

#define KT_BLOCK      512           /* tar(5) */
#define KT_BLOCKS_META (64 * 1024)  /* of one extended header; a name has 1 KiB at most */

struct kt_blocks {
	unsigned char block[KT_BLOCK];
	size_t filled;
	uint64_t data_left;     /* of the member whose header was seen, padding included */
	char meta_type;         /* 'x', 'g', 'L', 'K' while such a header's data goes by, else 0 */
	size_t meta_size;       /* as its header says */
	size_t meta_filled;
	char meta[KT_BLOCKS_META];
	bool has_size;          /* the next member's size comes from an extended header */
	uint64_t size;
	unsigned zero_blocks;   /* seen in a row; two are the end */
	uint64_t behind;        /* bytes after the end */
	uint64_t total_bytes;
	size_t members;
};

/* Takes the next bytes of an archive. BundleInvalid says what is wrong with it, as soon as it is seen: a header that is
 * damaged or of a kind that no release has, a name with a NUL in it, more than a bundle may have. */
int kt_blocks_take(struct kt_blocks *blocks, const void *bytes, size_t size, struct kt_error *err);
/* There is no more: was it the end? */
int kt_blocks_end(const struct kt_blocks *blocks, struct kt_error *err);

#endif
