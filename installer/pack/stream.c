/* libarchive inflates by its filters alone: its "raw" format takes the file for one entry without a form. The filter is
 * said and not guessed, so that there is one at most: a bomb in a bomb stays a bomb that is not lit. */
#include "stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gzip.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"
#include "place.h"

#define READ_BYTES  (64 * 1024)
#define WINDOW_MIB  512 /* beside what is there already: xz -9 takes 65 MiB, zstd --ultra -22 128 MiB */
#define MAGIC_BYTES 8

/* How files begin that are no plain tar. */
enum reader { BY_NOBODY, BY_LIBARCHIVE, BY_ZLIB };
static const struct form {
	const char *magic;
	size_t size;
	const char *name;
	enum reader reader;
	int filter; /* of libarchive */
} forms[] = {
	{"\x1f\x8b", 2, "gzip", BY_ZLIB, ARCHIVE_FILTER_GZIP},
	{"\x28\xb5\x2f\xfd", 4, "zstd", BY_LIBARCHIVE, ARCHIVE_FILTER_ZSTD},
	{"\xfd"
	 "7zXZ\0",
	 6, "xz", BY_LIBARCHIVE, ARCHIVE_FILTER_XZ},
	{"BZh", 3, "bzip2", BY_LIBARCHIVE, ARCHIVE_FILTER_BZIP2},
	{"\x1f\x9d", 2, "compress", BY_NOBODY, 0},
	{"\x04\x22\x4d\x18", 4, "lz4", BY_NOBODY, 0},
	{"\x02\x21\x4c\x18", 4, "lz4", BY_NOBODY, 0}, /* its legacy format */
	{"LZIP", 4, "lzip", BY_NOBODY, 0},
	{"LRZI", 4, "lrzip", BY_NOBODY, 0},
	{"\x89LZO", 4, "lzop", BY_NOBODY, 0},
	{"\x5d\0\0", 3, "lzma", BY_NOBODY, 0},
	{"PK\x03\x04", 4, "zip", BY_NOBODY, 0},
	{"PK\x05\x06", 4, "zip", BY_NOBODY, 0}, /* an empty one */
	{"7z\xbc\xaf", 4, "7z", BY_NOBODY, 0},
	{"Rar!", 4, "rar", BY_NOBODY, 0},
	{"!<arch>\n", 8, "ar", BY_NOBODY, 0},
	{"\xed\xab\xee\xdb", 4, "rpm", BY_NOBODY, 0},
	{"070701", 6, "cpio", BY_NOBODY, 0},
	{"070702", 6, "cpio", BY_NOBODY, 0},
	{"070707", 6, "cpio", BY_NOBODY, 0},
	{"\xc7\x71", 2, "cpio", BY_NOBODY, 0},
	{"\x71\xc7", 2, "cpio", BY_NOBODY, 0},
	{"MSCF", 4, "cab", BY_NOBODY, 0},
	{"xar!", 4, "xar", BY_NOBODY, 0},
	{"hsqs", 4, "squashfs", BY_NOBODY, 0},
};
static const struct form plain = {"", 0, "tar", BY_LIBARCHIVE, ARCHIVE_FILTER_NONE};

struct kt_stream {
	int fd;
	const struct form *form;
	struct archive *archive; /* owned, or */
	struct kt_gzip *gzip;    /* owned */
	bool has_begun;
	bool is_limited;
	struct rlimit before; /* of the whole process, where is_limited */
};

/* libarchive lets xz have the window that the file asks for, of up to 4 GiB: as long as a stream is open, memory ends
 * where no release's would. Where /proc tells nothing there is no limit. */
static void memory_limit(struct kt_stream *stream)
{
	unsigned long long pages = 0; /* the sixth: data and stack (proc_pid_statm(5)) */
	struct rlimit limit;
	uint64_t wanted;
	char text[256];

	if (kt_proc_read("", "self/statm", text, sizeof(text)) < 0 ||
	    sscanf(text, "%*u %*u %*u %*u %*u %llu", &pages) != 1 || getrlimit(RLIMIT_DATA, &limit) < 0)
		return;
	wanted = pages * (uint64_t)sysconf(_SC_PAGESIZE) + ((uint64_t)WINDOW_MIB << 20);
	stream->before = limit;
	limit.rlim_cur = limit.rlim_cur < wanted ? limit.rlim_cur : wanted;
	stream->is_limited = setrlimit(RLIMIT_DATA, &limit) == 0;
}

/* A skippable frame, whose magic number has sixteen values, may come first: pzstd puts one there. */
static bool is_skippable(const char *magic, size_t size)
{
	return size >= 4 && ((unsigned char)magic[0] & 0xf0) == 0x50 && memcmp(magic + 1, "\x2a\x4d\x18", 3) == 0;
}

static const struct form *form_find(const char *magic, size_t size)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if ((size >= forms[i].size && memcmp(magic, forms[i].magic, forms[i].size) == 0) ||
		    (forms[i].filter == ARCHIVE_FILTER_ZSTD && is_skippable(magic, size)))
			return &forms[i];
	return &plain;
}

static int damaged(const struct kt_stream *stream, const char *what, struct kt_error *err)
{
	return kt_fail(err, EBADMSG, KT_REASON_BUNDLE_INVALID, "the archive is damaged or cut short (%s): %.200s",
		       stream->form->name, what ? what : "it cannot be inflated");
}

static int by_libarchive(struct kt_stream *stream, struct kt_error *err)
{
	struct archive_entry *entry;

	stream->archive = archive_read_new();
	if (!stream->archive)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	/* without its library libarchive would run a program of that name: it says so by a warning */
	if (archive_read_support_format_raw(stream->archive) != ARCHIVE_OK ||
	    archive_read_append_filter(stream->archive, stream->form->filter) != ARCHIVE_OK)
		return kt_fail(err, EOPNOTSUPP, KT_REASON_BUNDLE_INVALID, "cannot inflate %s here: unpack it first",
			       stream->form->name);
	if (archive_read_open_fd(stream->archive, stream->fd, READ_BYTES) != ARCHIVE_OK ||
	    archive_read_next_header(stream->archive, &entry) != ARCHIVE_OK) {
		char what[80];

		/* libarchive says that no format is this, whatever the filter met */
		(void)snprintf(what, sizeof(what), "it cannot be inflated, or not in %d MiB of memory", WINDOW_MIB);
		return damaged(stream, what, err);
	}
	return 0;
}

int kt_stream_open(int fd, struct kt_stream **ret_stream, struct kt_error *err)
{
	KT_OWN(kt_stream_close) struct kt_stream *stream = calloc(1, sizeof(*stream));
	char magic[MAGIC_BYTES];
	ssize_t got = pread(fd, magic, sizeof(magic), 0);
	int r = 0;

	if (!stream)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	if (got < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read the archive");
	if (got == 0)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the archive is empty");
	stream->fd = fd;
	stream->form = form_find(magic, (size_t)got);
	memory_limit(stream);
	switch (stream->form->reader) {
	case BY_NOBODY:
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "this is a file of %s: name its unpacked tree, or a tar by gzip, zstd, xz or bzip2",
			       stream->form->name);
	case BY_LIBARCHIVE:
		r = by_libarchive(stream, err);
		break;
	case BY_ZLIB:
		stream->gzip = kt_gzip_open(fd);
		r = stream->gzip ? 0 : kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
		break;
	}
	if (r == 0)
		*ret_stream = kt_take_ptr(&stream);
	return r;
}

void kt_stream_close(struct kt_stream **stream)
{
	if (!*stream)
		return;
	if ((*stream)->archive)
		(void)archive_read_free((*stream)->archive);
	kt_gzip_close(&(*stream)->gzip);
	if ((*stream)->is_limited)
		(void)setrlimit(RLIMIT_DATA, &(*stream)->before);
	free(*stream);
	*stream = NULL;
}

/* A filter may end before the file does, and libarchive says nothing of it (its reader of bzip2): then zeros alone may
 * follow. */
static int rest_check(const struct kt_stream *stream, struct kt_error *err)
{
	int64_t at = archive_filter_bytes(stream->archive, -1);
	char bytes[4096];
	ssize_t got;

	while (at >= 0 && (got = pread(stream->fd, bytes, sizeof(bytes), at)) != 0) {
		if (got < 0)
			return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read the archive");
		for (ssize_t i = 0; i < got; i++)
			if (bytes[i])
				return damaged(stream, "something stands behind its end", err);
		at += got;
	}
	return 0;
}

static ssize_t libarchive_read(struct kt_stream *stream, const void **ret_bytes, struct kt_error *err)
{
	int64_t offset;
	size_t size;
	int r;

	do { /* a block may be empty */
		r = archive_read_data_block(stream->archive, ret_bytes, &size, &offset);
	} while (r == ARCHIVE_OK && size == 0);
	if (r == ARCHIVE_OK)
		return (ssize_t)size;
	return r == ARCHIVE_EOF ? rest_check(stream, err) : damaged(stream, archive_error_string(stream->archive), err);
}

/* What is inside is a tar: nothing that would have to be inflated again. */
static int begin_check(const struct kt_stream *stream, const void *bytes, size_t size, struct kt_error *err)
{
	const struct form *inner = form_find(bytes, size);

	if (inner == &plain)
		return 0;
	if (inner->reader != BY_NOBODY)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the archive is compressed twice: %s in %s",
			       inner->name, stream->form->name);
	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "this is a file of %s in %s, not a tar", inner->name,
		       stream->form->name);
}

ssize_t kt_stream_read(struct kt_stream *stream, const void **ret_bytes, struct kt_error *err)
{
	ssize_t got =
		stream->gzip ? kt_gzip_read(stream->gzip, ret_bytes, err) : libarchive_read(stream, ret_bytes, err);
	int r = 0;

	if (got == 0 && !stream->has_begun)
		r = kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the archive is empty");
	if (got > 0 && !stream->has_begun)
		r = begin_check(stream, *ret_bytes, (size_t)got, err);
	stream->has_begun = stream->has_begun || got > 0;
	return r < 0 ? r : got;
}
