/* The bytes of a file that may be compressed, inflated, portion by portion. */
#ifndef KT_PACK_STREAM_H
#define KT_PACK_STREAM_H

#include <sys/types.h>

#include "kontain/base/error.h"

struct kt_stream;

/* fd is borrowed, and read from its start. BundleInvalid names a compression or an archive that is not read here, and
 * says of an empty file that it is. */
int kt_stream_open(int fd, struct kt_stream **ret_stream, struct kt_error *err);
/* The next bytes, borrowed until the next call. 0 at the end, which is the end of the file too. BundleInvalid says what
 * is wrong: damaged, cut short, something behind its end, compressed twice. */
ssize_t kt_stream_read(struct kt_stream *stream, const void **ret_bytes, struct kt_error *err);
void kt_stream_close(struct kt_stream **stream); /* for KT_OWN */

#endif
