/* A gzip file's bytes, inflated by zlib, which holds each member to its checksum and length. */
#ifndef KT_PACK_GZIP_H
#define KT_PACK_GZIP_H

#include <sys/types.h>

#include "kontain/base/error.h"

struct kt_gzip;

/* fd is borrowed, and read from where it is. NULL when memory is gone. */
struct kt_gzip *kt_gzip_open(int fd);
/* The next bytes, borrowed until the next call. 0 at the end: every member was whole, and nothing but zeros stands
 * behind the last. */
ssize_t kt_gzip_read(struct kt_gzip *gzip, const void **ret_bytes, struct kt_error *err);
void kt_gzip_close(struct kt_gzip **gzip); /* for KT_OWN */

#endif
