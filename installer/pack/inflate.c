/* From a release as published to a plain tar that can be read twice, looked at as it passes.
 *
 * libarchive inflates; what it does not check, this does: gzip's checksum and length (its reader skips the trailer, so
 * that a flipped bit would pass into a km that nobody can trace), compression within compression, and by blocks.c the
 * tar itself. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blocks.h"
#include "kontain/fs.h"
#include "kontain/own.h"
#include "sources.h"

#define READ_BYTES  (256 * 1024)
#define MAGIC_BYTES 8

/* How files that are no plain tar begin. Those with a filter are inflated, the others named. */
static const struct form {
	const char *magic;
	size_t size;
	const char *name;
	int (*filter)(struct archive *);
} forms[] = {
	{"\x1f\x8b", 2, "gzip", archive_read_support_filter_gzip},
	{"\x28\xb5\x2f\xfd", 4, "zstd", archive_read_support_filter_zstd},
	{"\xfd" "7zXZ\0", 6, "xz", archive_read_support_filter_xz},
	{"BZh", 3, "bzip2", archive_read_support_filter_bzip2},
	{"\x1f\x9d", 2, "compress", NULL},
	{"\x04\x22\x4d\x18", 4, "lz4", NULL},
	{"LZIP", 4, "lzip", NULL},
	{"\x89LZO", 4, "lzop", NULL},
	{"\x5d\0\0", 3, "lzma", NULL},
	{"PK\x03\x04", 4, "zip", NULL},
	{"7z\xbc\xaf", 4, "7z", NULL},
	{"Rar!", 4, "rar", NULL},
	{"!<arch>\n", 8, "ar", NULL},
	{"\xed\xab\xee\xdb", 4, "rpm", NULL},
};

static const struct form *form_find(const char magic[MAGIC_BYTES], size_t size)
{
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		if (size >= forms[i].size && memcmp(magic, forms[i].magic, forms[i].size) == 0)
			return &forms[i];
	return NULL;
}

/* CRC-32 of gzip (RFC 1952, 8), by a table that is made once. */
static uint32_t crc_add(uint32_t crc, const unsigned char *bytes, size_t size)
{
	static uint32_t table[256];

	for (uint32_t i = 0; !table[255] && i < 256; i++) {
		uint32_t value = i;

		for (int bit = 0; bit < 8; bit++)
			value = value & 1 ? value >> 1 ^ UINT32_C(0xedb88320) : value >> 1;
		table[i] = value;
	}
	crc = ~crc;
	for (size_t i = 0; i < size; i++)
		crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

static void archive_drop(struct archive **archive)
{
	if (*archive)
		(void)archive_read_free(*archive);
}

struct inflating {
	int from;               /* borrowed */
	int to;                 /* borrowed; -1: nothing is kept */
	struct kt_blocks *blocks;
	unsigned char *buffer;  /* READ_BYTES, borrowed */
	uint32_t crc;
	uint64_t size_bytes;
	struct kt_error *err;
};

static int bytes_take(struct inflating *inflating, size_t size)
{
	int r = kt_place_go_on(inflating->err);

	if (r == 0)
		r = kt_blocks_take(inflating->blocks, inflating->buffer, size, inflating->err);
	inflating->crc = crc_add(inflating->crc, inflating->buffer, size);
	inflating->size_bytes += size;
	if (r < 0 || inflating->to < 0)
		return r;
	r = kt_fs_write_full(inflating->to, inflating->buffer, size);
	return r < 0 ? kt_fail_errno(inflating->err, -r, KT_REASON_IO_ERROR, "cannot write what is inflated") : 0;
}

static uint32_t little_endian(const unsigned char *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Of one member, as every release has: several behind each other do not tell where the first one's trailer is. */
static int gzip_check(const struct inflating *inflating)
{
	unsigned char trailer[8];
	struct stat info;

	if (fstat(inflating->from, &info) == 0 && info.st_size < (off_t)sizeof(trailer))
		return kt_fail(inflating->err, EBADMSG, KT_REASON_BUNDLE_INVALID,
			       "the archive is damaged or cut short (gzip): it has no end");
	if (fstat(inflating->from, &info) < 0 ||
	    pread(inflating->from, trailer, sizeof(trailer), info.st_size - (off_t)sizeof(trailer)) != sizeof(trailer))
		return kt_fail(inflating->err, EIO, KT_REASON_IO_ERROR, "cannot read the end of the archive");
	if (little_endian(trailer) == inflating->crc && little_endian(trailer + 4) == (uint32_t)inflating->size_bytes)
		return 0;
	return kt_fail(inflating->err, EBADMSG, KT_REASON_BUNDLE_INVALID,
		       "the archive is damaged: gzip's checksum is wrong (or it has several parts: gunzip it first)");
}

static int inflate_fail(const struct inflating *inflating, struct archive *archive, const struct form *form)
{
	const char *text = archive_error_string(archive);

	return kt_fail(inflating->err, EBADMSG, KT_REASON_BUNDLE_INVALID,
		       "the archive is damaged or cut short (%s): %.200s", form->name,
		       text ? text : "it cannot be inflated");
}

static int inflate(struct inflating *inflating, const struct form *form)
{
	KT_OWN(archive_drop) struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	la_ssize_t got;

	if (!archive)
		return kt_fail(inflating->err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	/* without its library libarchive would run a program of that name: it says so by a warning */
	if (archive_read_support_format_raw(archive) != ARCHIVE_OK || form->filter(archive) != ARCHIVE_OK)
		return kt_fail(inflating->err, EOPNOTSUPP, KT_REASON_BUNDLE_INVALID,
			       "cannot inflate %s here: unpack it first", form->name);
	if (archive_read_open_fd(archive, inflating->from, READ_BYTES) != ARCHIVE_OK ||
	    archive_read_next_header(archive, &entry) != ARCHIVE_OK)
		return inflate_fail(inflating, archive, form);
	if (archive_filter_count(archive) > 2) /* the filter and the file */
		return kt_fail(inflating->err, EINVAL, KT_REASON_BUNDLE_INVALID, "the archive is compressed twice");
	while ((got = archive_read_data(archive, inflating->buffer, READ_BYTES)) > 0) {
		int r = bytes_take(inflating, (size_t)got);

		if (r < 0)
			return r;
	}
	if (got < 0)
		return inflate_fail(inflating, archive, form);
	return strcmp(form->name, "gzip") == 0 ? gzip_check(inflating) : 0;
}

static int plain_read(struct inflating *inflating)
{
	ssize_t got;

	while ((got = read(inflating->from, inflating->buffer, READ_BYTES)) > 0) {
		int r = bytes_take(inflating, (size_t)got);

		if (r < 0)
			return r;
	}
	return got < 0 ? kt_fail_errno(inflating->err, errno, KT_REASON_IO_ERROR, "cannot read the archive") : 0;
}

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

int kt_inflate(int fd, const struct kt_place *place, struct kt_error *err)
{
	KT_OWN(kt_free_mem) unsigned char *buffer = malloc(READ_BYTES);
	KT_OWN(kt_free_mem) struct kt_blocks *blocks = calloc(1, sizeof(*blocks));
	KT_OWN(kt_close_fd) int plain = -1;
	struct inflating inflating = {.from = fd, .to = -1, .blocks = blocks, .buffer = buffer, .err = err};
	char magic[MAGIC_BYTES];
	ssize_t got = pread(fd, magic, sizeof(magic), 0);
	const struct form *form = got > 0 ? form_find(magic, (size_t)got) : NULL;
	int r;

	if (!buffer || !blocks)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	if (got < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read the archive");
	if (form && !form->filter)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "this is a file of %s: name its unpacked tree, or a tar by gzip, zstd, xz or bzip2",
			       form->name);
	plain = form ? nameless_open(place, err) : fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (plain < 0)
		return form ? plain : kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot read the archive");
	inflating.to = form ? plain : -1;
	r = form ? inflate(&inflating, form) : plain_read(&inflating);
	if (r == 0)
		r = kt_blocks_end(blocks, err);
	return r < 0 ? r : kt_take_fd(&plain);
}
