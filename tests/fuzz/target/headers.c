/* links: kt_pack kt_bundle kt_contract kt_base mutates: tar */
/* What stands in the headers of an entry: whatever is let pass holds no NUL in an extended header and ends in the
 * header of a plain kind, told here by another walk; and it must not matter what stands behind it, or where it
 * lies. */
#include <stdlib.h>
#include <string.h>

#include "../../../installer/pack/headers.h"
#include "fuzz.h"
#include "kontain/base/own.h"

#define BLOCK 512

static size_t octal(const uint8_t *text)
{
	char digits[13] = "";

	memcpy(digits, text, 12);
	return strtoull(digits, NULL, 8);
}

/* Returns where the headers end. */
static size_t headers_check(const uint8_t *bytes, size_t size)
{
	size_t at = 0;

	for (;;) {
		FUZZ_REQUIRE(at + BLOCK <= size);

		char type = (char)bytes[at + 156];
		size_t content = octal(bytes + at + 124), used = 0;

		if (type != 'x' && type != 'g' && type != 'L' && type != 'K') {
			FUZZ_REQUIRE(type == '\0' || (type >= '0' && type <= '6'));
			return at + BLOCK;
		}
		FUZZ_REQUIRE(content > 0 && content <= size - at - BLOCK);
		while (used < content && bytes[at + BLOCK + used])
			used++;
		FUZZ_REQUIRE(used == content || ((type == 'L' || type == 'K') && used == content - 1));
		at += BLOCK + (content + BLOCK - 1) / BLOCK * BLOCK;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_free_mem) uint8_t *copy = malloc(size + 1);
	const char *flaw = kt_headers_flaw(bytes, size), *again;

	FUZZ_REQUIRE(copy);
	if (size > 0)
		memcpy(copy + 1, bytes, size); /* not aligned */
	again = kt_headers_flaw(copy + 1, size);
	FUZZ_REQUIRE(flaw ? again && strcmp(flaw, again) == 0 : !again);
	if (flaw) {
		FUZZ_REQUIRE(*flaw && fuzz_is_visible(flaw));
		return 0;
	}
	fuzz_taken++;
	size = headers_check(bytes, size);
	FUZZ_REQUIRE(!kt_headers_flaw(bytes, size) && kt_headers_flaw(bytes, size - 1));
	return 0;
}
