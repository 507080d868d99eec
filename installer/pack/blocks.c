/* What libarchive lets pass and a bundle's maker must not: an archive that ends where a block ends and is taken for
 * whole, a name with a NUL in it that is cut there, sizes that are only known to be too much when the disk is full. So
 * the blocks are looked at while they are inflated, before anything else reads them.
 *
 * Everything in tar is a block of 512 bytes: a header, or data padded to whole blocks. An extended header ('x' or 'g'
 * of pax, 'L' or 'K' of GNU) is a header with data that describes the member behind it. Two blocks of zeros are the
 * end. */
#include "blocks.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kontain/paths.h"
#include "place.h"

#define BEHIND_MAX (1024 * 1024) /* zeros that fill up a record: the largest that GNU tar's -b is used for */

/* Offsets into a header (tar(5)). */
#define AT_NAME     0
#define NAME_BYTES  100
#define AT_SIZE     124
#define SIZE_BYTES  12
#define AT_CHECKSUM 148
#define SUM_BYTES   8
#define AT_TYPE     156

static int refuse(const struct kt_blocks *blocks, const char *what, struct kt_error *err)
{
	char name[NAME_BYTES + 1], shown[KT_SHOWN_MAX];

	(void)snprintf(name, sizeof(name), "%.*s", NAME_BYTES, (const char *)blocks->block + AT_NAME);
	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s %s", kt_path_show(name, shown), what);
}

static int damaged(const char *what, struct kt_error *err)
{
	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the archive is damaged or no tar: %s", what);
}

/* Octal digits between spaces, or where the first bit is set the rest as a binary number. */
static bool number_parse(const unsigned char *field, size_t size, uint64_t *ret_number)
{
	uint64_t number = 0;
	size_t at = 0, digits = 0;

	if (field[0] & 0x80) {
		number = field[0] & 0x3f;
		if (field[0] & 0x40) /* negative */
			return false;
		for (at = 1; at < size; at++) {
			if (number >> 55)
				return false;
			number = number << 8 | field[at];
		}
		*ret_number = number;
		return true;
	}
	while (at < size && field[at] == ' ')
		at++;
	for (; at < size && field[at] >= '0' && field[at] <= '7'; at++, digits++)
		number = number << 3 | (uint64_t)(field[at] - '0'); /* 12 digits at most: no overflow */
	*ret_number = number;
	return digits > 0 && (at == size || field[at] == ' ' || field[at] == '\0');
}

static bool is_zero(const unsigned char *block)
{
	for (size_t i = 0; i < KT_BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

static bool is_header(const unsigned char *block)
{
	uint64_t wanted, sum = SUM_BYTES * ' ';

	for (size_t i = 0; i < KT_BLOCK; i++)
		sum += i >= AT_CHECKSUM && i < AT_CHECKSUM + SUM_BYTES ? 0 : block[i];
	return number_parse(block + AT_CHECKSUM, SUM_BYTES, &wanted) && wanted == sum;
}

/* ---- extended headers ---- */

/* One "LENGTH KEY=VALUE\n" of pax; the length counts all of it. Returns its bytes, 0 when it is none. */
static size_t record_take(struct kt_blocks *blocks, const char *record, size_t left)
{
	static const char *const names[] = {"path", "linkpath", "GNU.sparse.name"};
	size_t length = 0, at = 0;

	for (; at < left && at < 8 && record[at] >= '0' && record[at] <= '9'; at++)
		length = length * 10 + (size_t)(record[at] - '0');
	if (at == 0 || at == left || record[at] != ' ' || length > left || length < at + 4 ||
	    record[length - 1] != '\n')
		return 0;

	const char *key = record + at + 1, *equals = memchr(key, '=', length - at - 2);

	if (!equals)
		return 0;

	const char *value = equals + 1;
	size_t key_size = (size_t)(equals - key), size = length - 1 - (size_t)(value - record);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == key_size && memcmp(names[i], key, key_size) == 0 && memchr(value, '\0', size))
			return 0;
	if (key_size != 4 || memcmp(key, "size", 4) != 0)
		return length;
	blocks->has_size = true;
	blocks->size = 0;
	for (size_t i = 0; i < size; i++) {
		if (value[i] < '0' || value[i] > '9' || i > 17)
			return 0;
		blocks->size = blocks->size * 10 + (uint64_t)(value[i] - '0');
	}
	return size > 0 ? length : 0;
}

static int meta_check(struct kt_blocks *blocks, struct kt_error *err)
{
	size_t size = blocks->meta_size, at = 0;
	char type = blocks->meta_type;

	blocks->meta_type = 0;
	if (type == 'L' || type == 'K') {
		const char *end = memchr(blocks->meta, '\0', size);

		return !end || end == blocks->meta + size - 1 ? 0 : damaged("a long name has a NUL in it", err);
	}
	while (at < size) {
		size_t length = record_take(blocks, blocks->meta + at, size - at);

		if (length == 0)
			return damaged("an extended header is malformed, or a name has a NUL in it", err);
		at += length;
	}
	/* for all that follow: a size among them would make nonsense of every one */
	return type == 'g' && blocks->has_size ? damaged("a global header names a size", err) : 0;
}

/* ---- headers ---- */

static int meta_begin(struct kt_blocks *blocks, uint64_t size, struct kt_error *err)
{
	if (size == 0 || size > sizeof(blocks->meta))
		return refuse(blocks, "has an extended header that is empty or too large", err);
	blocks->meta_type = (char)blocks->block[AT_TYPE];
	blocks->meta_size = (size_t)size;
	blocks->meta_filled = 0;
	return 0;
}

static int member_begin(struct kt_blocks *blocks, uint64_t size, struct kt_error *err)
{
	char type = (char)blocks->block[AT_TYPE];

	if (++blocks->members > KT_PACK_ENTRIES_MAX)
		return kt_fail(err, E2BIG, KT_REASON_BUNDLE_INVALID, "the archive has more than %d entries",
			       KT_PACK_ENTRIES_MAX);
	if (type != '0' && type != '\0' && size > 0)
		return refuse(blocks, "has content and is no plain file", err);
	/* each is below the limit, so that the sum cannot overflow */
	if (size > KT_PACK_BYTES_MAX || (blocks->total_bytes += size) > KT_PACK_BYTES_MAX)
		return refuse(blocks, "is too much: the archive has more than 4096 MiB of files", err);
	return 0;
}

static int header_take(struct kt_blocks *blocks, struct kt_error *err)
{
	char type = (char)blocks->block[AT_TYPE];
	uint64_t size;
	int r;

	if (!is_header(blocks->block) || !number_parse(blocks->block + AT_SIZE, SIZE_BYTES, &size))
		return damaged(blocks->members ? "a header's checksum is wrong" : "it does not begin with a header",
			       err);
	if (type == 'S')
		return refuse(blocks, "is sparse: pack the release without --sparse", err);
	if (type != '\0' && !strchr("0123456xgLK", type))
		return refuse(blocks, "is of a kind that no release has", err);
	if (type != '\0' && strchr("xgLK", type)) {
		r = meta_begin(blocks, size, err);
	} else {
		size = blocks->has_size ? blocks->size : size;
		blocks->has_size = false;
		r = member_begin(blocks, size, err);
	}
	blocks->data_left = (size + KT_BLOCK - 1) / KT_BLOCK * KT_BLOCK;
	return r;
}

static int block_take(struct kt_blocks *blocks, struct kt_error *err)
{
	if (is_zero(blocks->block)) {
		blocks->zero_blocks++;
		return blocks->has_size ? damaged("an extended header describes nothing", err) : 0;
	}
	if (blocks->zero_blocks > 0)
		return damaged("a block of zeros in its middle", err);
	return header_take(blocks, err);
}

/* Data goes by unseen, but that of extended headers is kept. Returns the bytes taken. */
static size_t data_take(struct kt_blocks *blocks, const unsigned char *bytes, size_t size)
{
	if (size > blocks->data_left)
		size = (size_t)blocks->data_left;
	if (blocks->meta_type) {
		size_t wanted = blocks->meta_size - blocks->meta_filled;
		size_t kept = size < wanted ? size : wanted;

		memcpy(blocks->meta + blocks->meta_filled, bytes, kept);
		blocks->meta_filled += kept;
	}
	blocks->data_left -= size;
	return size;
}

static int behind_take(struct kt_blocks *blocks, const unsigned char *bytes, size_t size, struct kt_error *err)
{
	blocks->behind += size;
	if (blocks->behind > BEHIND_MAX)
		return damaged("it goes on behind its end", err);
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return damaged("something stands behind its end", err);
	return 0;
}

_Static_assert(KT_PACK_BYTES_MAX == UINT64_C(4096) << 20, "what the text says");

int kt_blocks_take(struct kt_blocks *blocks, const void *bytes, size_t size, struct kt_error *err)
{
	const unsigned char *next = bytes;
	int r = 0;

	while (r == 0 && size > 0) {
		size_t taken = KT_BLOCK - blocks->filled;

		if (blocks->zero_blocks >= 2)
			return behind_take(blocks, next, size, err);
		if (blocks->data_left > 0) {
			taken = data_take(blocks, next, size);
			if (blocks->data_left == 0 && blocks->meta_type)
				r = meta_check(blocks, err);
		} else {
			taken = taken < size ? taken : size;
			memcpy(blocks->block + blocks->filled, next, taken);
			blocks->filled = (blocks->filled + taken) % KT_BLOCK;
			if (blocks->filled == 0)
				r = block_take(blocks, err);
		}
		next += taken;
		size -= taken;
	}
	return r;
}

int kt_blocks_end(const struct kt_blocks *blocks, struct kt_error *err)
{
	if (blocks->zero_blocks >= 2)
		return 0;
	return damaged(blocks->members || blocks->filled ? "it is cut short" : "it is empty", err);
}
