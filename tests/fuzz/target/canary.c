/* links: kt_base */
/* Broken on purpose, to see that the rig finds what is broken: a read beyond a table where a length is believed, and a
 * promise that does not hold. It tries no source of ours. */
#include <string.h>

#include "fuzz.h"

#define TABLE_BYTES 16

static uint8_t entry_read(const uint8_t *bytes, size_t size)
{
	uint8_t table[TABLE_BYTES] = {0};
	size_t room = size - 4 < sizeof(table) ? size - 4 : sizeof(table);

	memcpy(table, bytes + 4, room);
	return table[bytes[3]]; /* the fault: the index is the file's own */
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	volatile uint8_t kept = 0;

	if (size < 4)
		return 0;
	fuzz_taken++;
	if (memcmp(bytes, "OUT", 3) == 0)
		kept = entry_read(bytes, size);
	FUZZ_REQUIRE(memcmp(bytes, "LIE", 3) != 0 || bytes[3] != '!');
	return kept == 1 ? 0 : 0;
}
