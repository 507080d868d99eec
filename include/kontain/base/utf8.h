/* UTF-8, one character at a time (RFC 3629). Shared by those who print strings that others wrote. */
#ifndef KONTAIN_UTF8_H
#define KONTAIN_UTF8_H

#include <stddef.h>

/* Bytes of the character that a NUL-terminated text starts with, 1..4; 0 when these bytes are no UTF-8
 * (overlong, a surrogate, beyond U+10FFFF, cut short). */
static inline size_t kt_utf8_length(const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;
	size_t length = byte[0] < 0x80 ? 1 : byte[0] < 0xc2 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : 4;

	if (byte[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
	if ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] > 0x9f) ||
	    (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] > 0x8f))
		return 0;
	return length;
}

/* Makes one line of valid text of what others wrote: a byte that is no UTF-8 becomes '?', a control character a
 * blank. */
static inline void kt_utf8_one_line(char *text)
{
	for (char *c = text; *c;) {
		size_t length = kt_utf8_length(c);

		if (length == 0)
			*c = '?';
		else if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
		c += length == 0 ? 1 : length;
	}
}

#endif
