/* What comes out of an archive's compression: counted as a whole, kept in a nameless file, so that it can be read twice
 * and is the same both times. */
#ifndef KT_PACK_SPOOL_H
#define KT_PACK_SPOOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "place.h"
#include "stream.h"

#define KT_SPOOL_END_BYTES 1024 /* two blocks of zeros: tar(5) */

struct kt_spool {
	struct kt_stream *stream; /* owned */
	int fd;                   /* owned: all that came out so far */
	const char *rest;         /* of the stream's last portion */
	size_t rest_bytes;
	uint64_t size_bytes;    /* handed out so far: KT_PACK_BYTES_MAX at most */
	uint64_t allowed_bytes; /* at which the next portion is refused: set while headers are read */
};

/* fd is borrowed; the file lies in the place. */
int kt_spool_open(int fd, const struct kt_place *place, struct kt_spool *ret_spool, struct kt_error *err);
void kt_spool_done(struct kt_spool *spool); /* for KT_OWN */

/* The next bytes, borrowed until the next call; 0 at the end. */
ssize_t kt_spool_next(struct kt_spool *spool, const void **ret_bytes, struct kt_error *err);
/* The reader met the end between two offsets: two blocks of zeros stand there, and behind them nothing but a few more
 * zeros. Reads the stream to its end. */
int kt_spool_end(struct kt_spool *spool, uint64_t from, uint64_t to, struct kt_error *err);

#endif
