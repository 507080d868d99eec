/* links: kt_pack kt_bundle kt_contract kt_base mutates: tar */
/* The blocks of a tar as they go by: it must not matter in which portions they come. */
#include <stdlib.h>
#include <string.h>

#include "../../../installer/pack/blocks.h"
#include "../../../installer/pack/place.h"
#include "fuzz.h"
#include "kontain/own.h"

/* All of it in portions of `portion` bytes, the last one shorter. */
static int portions_take(struct kt_blocks *blocks, const uint8_t *bytes, size_t size, size_t portion,
			 struct kt_error *err)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < size; at += portion)
		r = kt_blocks_take(blocks, bytes + at, size - at < portion ? size - at : portion, err);
	return r < 0 ? r : kt_blocks_end(blocks, err);
}

/* What holds of every tar that was let pass: whole blocks at its start, zeros at its end, caps kept. */
static void tar_check(const struct kt_blocks *blocks, const uint8_t *bytes, size_t size)
{
	size_t last = size;

	FUZZ_REQUIRE(size >= 2 * KT_BLOCK && blocks->zero_blocks == 2);
	FUZZ_REQUIRE(blocks->members <= KT_PACK_ENTRIES_MAX && blocks->total_bytes <= KT_PACK_BYTES_MAX);
	FUZZ_REQUIRE(blocks->total_bytes <= size && blocks->members <= size / KT_BLOCK);
	FUZZ_REQUIRE(blocks->behind <= 1024 * 1024 && blocks->behind <= size - 2 * KT_BLOCK);
	FUZZ_REQUIRE((size - blocks->behind) % KT_BLOCK == 0);
	while (last > 0 && bytes[last - 1] == 0)
		last--;
	FUZZ_REQUIRE(size - last >= 2 * KT_BLOCK + blocks->behind);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const size_t portions[] = {13, KT_BLOCK, KT_BLOCK + 1};
	KT_OWN(kt_free_mem) struct kt_blocks *whole = calloc(1, sizeof(*whole));
	struct kt_error err = {.code = 0};
	int r;

	FUZZ_REQUIRE(whole != NULL);
	r = portions_take(whole, bytes, size, size ? size : 1, &err);
	for (size_t i = 0; i < sizeof(portions) / sizeof(portions[0]); i++) {
		KT_OWN(kt_free_mem) struct kt_blocks *parts = calloc(1, sizeof(*parts));
		struct kt_error parts_err = {.code = 0};

		FUZZ_REQUIRE(parts && portions_take(parts, bytes, size, portions[i], &parts_err) == r);
		FUZZ_REQUIRE(strcmp(err.text, parts_err.text) == 0);
		FUZZ_REQUIRE(r < 0 || (parts->members == whole->members && parts->behind == whole->behind));
	}
	if (r < 0) {
		fuzz_check_refusal(r, &err);
		return 0;
	}
	fuzz_taken++;
	tar_check(whole, bytes, size);
	return 0;
}
