/* libarchive reads the headers; three things it makes something else of, and says nothing: a name with a NUL in it ends
 * there, a size that is no number is 0, and an entry of an unknown kind is a plain file (as POSIX has it), a part of a
 * multi-volume archive or an old sparse file without a map among them. */
#include "headers.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define BLOCK 512

/* Offsets into a header (tar(5)). */
#define AT_SIZE    124
#define SIZE_BYTES 12
#define AT_TYPE    156

/* Octal digits between spaces or NULs. Larger numbers than twelve digits hold are written in binary, with the first bit
 * set: libarchive knows those, and they are beyond every cap. */
static bool size_parse(const unsigned char *field, uint64_t *ret_size)
{
	size_t at = 0, digits = 0;

	*ret_size = UINT64_MAX;
	if (field[0] & 0x80)
		return true;
	*ret_size = 0;
	while (at < SIZE_BYTES && field[at] == ' ')
		at++;
	for (; at < SIZE_BYTES && field[at] >= '0' && field[at] <= '7'; at++, digits++)
		*ret_size = *ret_size << 3 | (uint64_t)(field[at] - '0');
	return digits > 0 && (at == SIZE_BYTES || field[at] == ' ' || field[at] == '\0');
}

/* Names that are too long for a header stand in the content of one that comes first; GNU's end in a NUL. */
static bool has_nul(const unsigned char *text, size_t size, unsigned char type)
{
	const unsigned char *found = memchr(text, '\0', size);

	return found && !((type == 'L' || type == 'K') && found == text + size - 1);
}

static const char *kind_flaw(unsigned char type)
{
	if (type == 'S')
		return "is sparse: pack the release without --sparse";
	if (type == 'M')
		return "is the rest of a file in a multi-volume archive: pack the release in one";
	return type == '\0' || (type >= '0' && type <= '6') ? NULL : "is of a kind that no release has";
}

const char *kt_headers_flaw(const void *bytes, size_t size)
{
	const unsigned char *header = bytes;
	uint64_t content;

	for (size_t left = size; left >= BLOCK; left -= BLOCK + (size_t)content, header += BLOCK + content) {
		unsigned char type = header[AT_TYPE];

		if (!size_parse(header + AT_SIZE, &content))
			return "has a size that is not a number";
		if (!type || !strchr("xgLK", type))
			return kind_flaw(type);
		if (content == 0 || content > left - BLOCK)
			return "has an extended header that is empty or too large";
		if (has_nul(header + BLOCK, (size_t)content, type))
			return "has an extended header with a NUL in it";
		content = (content + BLOCK - 1) / BLOCK * BLOCK;
		if (content > left - BLOCK)
			break;
	}
	return "has headers without an end";
}
