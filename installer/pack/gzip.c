/* libarchive reads every other compression. Its reader of gzip skips the trailer and ends at the first byte that
 * begins no member (3.6 has it as a TODO): a flipped bit would pass into a km that nobody can trace. */
#include "gzip.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include "place.h"

#define PORTION     (64 * 1024)
#define GZIP_WINDOW (15 + 16) /* inflateInit2: the largest window, and a gzip header (zlib.h) */
#define MAGIC_FIRST 0x1f      /* RFC 1952, 2.3.1 */

struct kt_gzip {
	int fd;
	z_stream stream;
	bool is_open;    /* the stream is zlib's */
	bool is_between; /* a member has ended: another may follow, zeros, or nothing */
	bool is_padding; /* zeros follow: nothing else may */
	unsigned char from[PORTION], to[PORTION];
};

struct kt_gzip *kt_gzip_open(int fd)
{
	struct kt_gzip *gzip = calloc(1, sizeof(*gzip));

	if (!gzip)
		return NULL;
	gzip->fd = fd;
	gzip->is_open = inflateInit2(&gzip->stream, GZIP_WINDOW) == Z_OK;
	if (!gzip->is_open)
		kt_gzip_close(&gzip);
	return gzip;
}

void kt_gzip_close(struct kt_gzip **gzip)
{
	if (*gzip && (*gzip)->is_open)
		(void)inflateEnd(&(*gzip)->stream);
	free(*gzip);
	*gzip = NULL;
}

static int damaged(const char *what, struct kt_error *err)
{
	return kt_fail(err, EBADMSG, KT_REASON_BUNDLE_INVALID, "the archive is damaged or cut short (gzip): %s", what);
}

/* 1 when there is more to inflate, 0 at the end of the file. */
static int input_fill(struct kt_gzip *gzip, struct kt_error *err)
{
	int r = kt_place_go_on(err);
	ssize_t got;

	if (r < 0 || gzip->stream.avail_in > 0)
		return r < 0 ? r : 1;
	got = read(gzip->fd, gzip->from, sizeof(gzip->from));
	if (got < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read the archive");
	gzip->stream.next_in = gzip->from;
	gzip->stream.avail_in = (unsigned)got;
	return got > 0;
}

/* What stands behind a member: the next one (pigz, cat), or zeros that fill up a block (tapes, and tars of them). */
static int between_read(struct kt_gzip *gzip, struct kt_error *err)
{
	if (!gzip->is_padding && *gzip->stream.next_in == MAGIC_FIRST) {
		gzip->is_between = false;
		return inflateReset(&gzip->stream) == Z_OK ? 0 : damaged("it cannot be inflated", err);
	}
	gzip->is_padding = true;
	for (; gzip->stream.avail_in > 0; gzip->stream.avail_in--)
		if (*gzip->stream.next_in++)
			return damaged("something stands behind its end", err);
	return 0;
}

static int member_read(struct kt_gzip *gzip, struct kt_error *err)
{
	int status = inflate(&gzip->stream, Z_NO_FLUSH);

	gzip->is_between = status == Z_STREAM_END;
	if (status == Z_OK || status == Z_STREAM_END)
		return 0;
	if (status == Z_MEM_ERROR)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	return damaged(gzip->stream.msg ? gzip->stream.msg : "it cannot be inflated", err);
}

ssize_t kt_gzip_read(struct kt_gzip *gzip, const void **ret_bytes, struct kt_error *err)
{
	gzip->stream.next_out = gzip->to;
	gzip->stream.avail_out = sizeof(gzip->to);
	while (gzip->stream.avail_out > 0) {
		int r = input_fill(gzip, err);

		if (r == 0 && !gzip->is_between)
			return damaged("it has no end", err);
		if (r == 0)
			break;
		if (r > 0)
			r = gzip->is_between ? between_read(gzip, err) : member_read(gzip, err);
		if (r < 0)
			return r;
	}
	*ret_bytes = gzip->to;
	return (ssize_t)(sizeof(gzip->to) - gzip->stream.avail_out);
}
