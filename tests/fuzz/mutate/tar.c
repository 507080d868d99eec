/* A tar's headers carry a checksum, which no mutation hits, and everything in it is a block of 512 bytes, which few
 * keep. So some mutations are of whole blocks or of one field of a header, and seven times of eight every header's
 * checksum is put right again. What is no tar (gzip, zstd) is mutated as any bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define BLOCK 512

static const struct field {
	size_t at, size;
} fields[] = {
	{0, 100},   /* name */
	{100, 8},   /* mode */
	{124, 12},  /* size */
	{156, 1},   /* type */
	{157, 100}, /* target of a link */
	{257, 8},   /* magic and version */
	{345, 155}, /* prefix of the name */
};

static const char types[] = "01256xgLKS7\0";

static uint64_t octal(const uint8_t *text, size_t size)
{
	uint64_t number = 0;

	for (size_t i = 0; i < size && ((text[i] >= '0' && text[i] <= '7') || text[i] == ' '); i++)
		number = text[i] == ' ' ? number : number * 8 + (uint64_t)(text[i] - '0');
	return number;
}

static bool is_zero(const uint8_t *block)
{
	for (size_t i = 0; i < BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

/* Where the next header is, from `at` on; size when there is none. */
static size_t header_find(const uint8_t *bytes, size_t size, size_t at)
{
	while (at + BLOCK <= size && is_zero(bytes + at))
		at += BLOCK;
	return at + BLOCK <= size ? at : size;
}

static size_t header_skip(const uint8_t *bytes, size_t size, size_t at)
{
	uint64_t data = octal(bytes + at + 124, 12);

	return data > size ? size : at + BLOCK + (size_t)(data + BLOCK - 1) / BLOCK * BLOCK;
}

static void checksum_mend(uint8_t *header)
{
	unsigned sum = 8 * ' ';
	char text[9];

	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? 0 : header[i];
	(void)snprintf(text, sizeof(text), "%06o", sum & 0777777);
	memcpy(header + 148, text, 7);
	header[155] = ' ';
}

static void checksums_mend(uint8_t *bytes, size_t size)
{
	for (size_t at = 0; (at = header_find(bytes, size, at)) < size; at = header_skip(bytes, size, at))
		checksum_mend(bytes + at);
}

static void field_mutate(uint8_t *bytes, size_t size, unsigned choice)
{
	size_t headers = 0, at = 0;

	for (; (at = header_find(bytes, size, at)) < size; at = header_skip(bytes, size, at))
		headers++;
	if (headers == 0)
		return;
	headers = choice % headers;
	for (at = header_find(bytes, size, 0); headers > 0; headers--)
		at = header_find(bytes, size, header_skip(bytes, size, at));

	const struct field *field = &fields[choice / 256 % (sizeof(fields) / sizeof(fields[0]))];

	if (field->size == 1)
		bytes[at + field->at] = (uint8_t)types[choice / 4096 % (sizeof(types) - 1)];
	else
		(void)LLVMFuzzerMutate(bytes + at + field->at, strnlen((char *)bytes + at + field->at, field->size),
				       field->size);
}

/* One block, or a few: left out, or there once more. */
static size_t blocks_mutate(uint8_t *bytes, size_t size, size_t most, unsigned choice)
{
	size_t count = size / BLOCK, first = choice % count, length = 1 + choice / 256 % 3;

	if (length > count - first)
		length = count - first;

	uint8_t *start = bytes + first * BLOCK, *behind = start + length * BLOCK;
	size_t moved = size - (size_t)(behind - bytes);

	if (choice & 0x10000) {
		memmove(start, behind, moved);
		return size - length * BLOCK;
	}
	if (size + length * BLOCK > most)
		return size;
	memmove(behind + length * BLOCK, behind, moved);
	memcpy(behind, start, length * BLOCK);
	return size + length * BLOCK;
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed)
{
	unsigned choice = seed / 32;

	if (size < BLOCK || octal(bytes + 148, 6) == 0)
		return LLVMFuzzerMutate(bytes, size, most);
	switch (seed % 4) {
	case 0:
		size = LLVMFuzzerMutate(bytes, size, most);
		break;
	case 1:
		size = blocks_mutate(bytes, size, most, choice);
		break;
	default:
		field_mutate(bytes, size, choice);
		break;
	}
	if (seed / 4 % 8 != 0)
		checksums_mend(bytes, size);
	return size;
}
