/* Nothing that a file inflates to may count as nothing: headers, padding, what is left out and what stands behind the
 * end fill a disk as well as files do. */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"

#define PORTION_MAX (16 * 1024)
#define BEHIND_MAX  (1024 * 1024) /* zeros that fill up a record: the largest that GNU tar's -b is used for */

/* A file without a name in the place; where the file system knows none, with one for a moment. */
static int nameless_open(const struct kt_place *place, struct kt_error *err)
{
	int fd = openat(place->dir, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
		fd = openat(place->dir, ".inflated", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0)
			(void)unlinkat(place->dir, ".inflated", 0);
	}
	return fd < 0 ? kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot make a file for what is inflated") : fd;
}

int kt_spool_open(int fd, const struct kt_place *place, struct kt_spool *ret_spool, struct kt_error *err)
{
	KT_OWN(kt_spool_done) struct kt_spool spool = {.fd = -1, .allowed_bytes = UINT64_MAX};
	int r = kt_stream_open(fd, &spool.stream, err);

	if (r < 0)
		return r;
	spool.fd = nameless_open(place, err);
	if (spool.fd < 0)
		return spool.fd;
	*ret_spool = spool;
	spool = (struct kt_spool){.fd = -1};
	return 0;
}

void kt_spool_done(struct kt_spool *spool)
{
	kt_stream_close(&spool->stream);
	kt_close_fd(&spool->fd);
}

_Static_assert(KT_PACK_BYTES_MAX == UINT64_C(4096) << 20, "what the text says");

static int portion_take(struct kt_spool *spool, struct kt_error *err)
{
	const void *bytes = NULL;
	ssize_t got = kt_stream_read(spool->stream, &bytes, err);
	int r;

	if (got <= 0)
		return (int)got;
	if (spool->size_bytes + (uint64_t)got > KT_PACK_BYTES_MAX)
		return kt_fail(err, EFBIG, KT_REASON_BUNDLE_INVALID,
			       "the archive holds more than 4096 MiB, all that is in it counted");
	r = kt_fs_write_full(spool->fd, bytes, (size_t)got);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot write what is inflated");
	spool->rest = bytes;
	spool->rest_bytes = (size_t)got;
	return 0;
}

ssize_t kt_spool_next(struct kt_spool *spool, const void **ret_bytes, struct kt_error *err)
{
	int r = kt_place_go_on(err);
	size_t size;

	if (r == 0 && spool->size_bytes >= spool->allowed_bytes)
		r = kt_fail(err, EFBIG, KT_REASON_BUNDLE_INVALID,
			    "an entry of the archive, at byte %" PRIu64 ", has headers that are too large",
			    spool->size_bytes);
	if (r == 0 && spool->rest_bytes == 0)
		r = portion_take(spool, err);
	if (r < 0)
		return r;
	size = spool->rest_bytes < PORTION_MAX ? spool->rest_bytes : PORTION_MAX;
	*ret_bytes = spool->rest;
	spool->rest += size;
	spool->rest_bytes -= size;
	spool->size_bytes += size;
	return (ssize_t)size;
}

static int damaged(const char *what, struct kt_error *err)
{
	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the archive is damaged or cut short: %s", what);
}

/* Are the bytes between two offsets, which were handed out, zeros? 1, 0 or -errno. */
static int is_zero(const struct kt_spool *spool, uint64_t from, uint64_t to)
{
	char bytes[4096];

	while (from < to) {
		size_t wanted = to - from < sizeof(bytes) ? (size_t)(to - from) : sizeof(bytes);
		ssize_t got = pread(spool->fd, bytes, wanted, (off_t)from);

		if (got <= 0)
			return got < 0 ? kt_negative_errno() : -EIO;
		for (ssize_t i = 0; i < got; i++)
			if (bytes[i])
				return 0;
		from += (uint64_t)got;
	}
	return 1;
}

int kt_spool_end(struct kt_spool *spool, uint64_t from, uint64_t to, struct kt_error *err)
{
	int r = to - from != KT_SPOOL_END_BYTES ? 0 : is_zero(spool, to - KT_SPOOL_END_BYTES, to);
	const void *bytes;
	ssize_t got;

	if (r == 0)
		return damaged("it does not end in two blocks of zeros", err);
	while (r > 0 && (got = kt_spool_next(spool, &bytes, err)) != 0) {
		if (got < 0)
			return (int)got;
		if (spool->size_bytes - to > BEHIND_MAX)
			return damaged("it goes on behind its end", err);
	}
	if (r > 0)
		r = is_zero(spool, to, spool->size_bytes);
	if (r == 0)
		return damaged("something stands behind its end", err);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read what was inflated") : 0;
}
