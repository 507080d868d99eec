/* links: kt_bundle kt_contract kt_base */
/* The ELF reader: whatever it says of a file are strings of that file. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/bundle/elf.h"

/* Begins and ends in the bytes. */
static bool is_string_of(const char *text, const void *bytes, size_t size)
{
	const char *start = bytes;

	return text >= start && text < start + size && memchr(text, '\0', (size_t)(start + size - text));
}

static void elf_check(const struct kt_elf *elf, const void *bytes, size_t size)
{
	FUZZ_REQUIRE(kt_elf_is_elf(bytes, size) && size >= 64);
	FUZZ_REQUIRE(elf->type >= 1 && elf->type <= 4);
	FUZZ_REQUIRE(!elf->is_executable_dyn || elf->type == 3);
	FUZZ_REQUIRE(elf->needed_count <= KT_ELF_NEEDED_MAX);
	if (elf->type == 1 || elf->type == 4)
		FUZZ_REQUIRE(!elf->interpreter && !elf->runpath && elf->needed_count == 0);
	if (elf->interpreter)
		FUZZ_REQUIRE(is_string_of(elf->interpreter, bytes, size) && elf->interpreter[0] &&
			     strlen(elf->interpreter) < 4096);
	if (elf->runpath)
		FUZZ_REQUIRE(is_string_of(elf->runpath, bytes, size));
	for (size_t i = 0; i < elf->needed_count; i++)
		FUZZ_REQUIRE(is_string_of(elf->needed[i], bytes, size) && elf->needed[i][0]);
}

static size_t place_of(const char *text, const void *bytes)
{
	return text ? (size_t)(text - (const char *)bytes) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	/* the same one byte further, where nothing is aligned */
	KT_OWN(kt_free_mem) uint8_t *room = malloc(size + 1);
	struct kt_error err = {.code = 0}, moved_err = {.code = 0};
	struct kt_elf elf = {.type = 0xffff}, moved = {.type = 0xffff};
	int r = kt_elf_read(bytes, size, &elf, &err);

	FUZZ_REQUIRE(room != NULL);
	memcpy(room + 1, bytes, size);
	FUZZ_REQUIRE(kt_elf_read(room + 1, size, &moved, &moved_err) == r);
	FUZZ_REQUIRE(strcmp(err.text, moved_err.text) == 0);
	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(err.reason == KT_REASON_ELF_INVALID || err.reason == KT_REASON_ARCH_MISMATCH);
		FUZZ_REQUIRE(elf.type == 0xffff);
		return 0;
	}
	fuzz_taken++;
	elf_check(&elf, bytes, size);
	FUZZ_REQUIRE(elf.type == moved.type && elf.needed_count == moved.needed_count);
	FUZZ_REQUIRE(place_of(elf.interpreter, bytes) == place_of(moved.interpreter, room + 1));
	FUZZ_REQUIRE(place_of(elf.runpath, bytes) == place_of(moved.runpath, room + 1));
	return 0;
}
