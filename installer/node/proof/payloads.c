/* The bytes come by the assembler's .incbin, so that no file of ours has to be found at run time. */
#include "payloads.h"

#define EMBED(symbol, file)                      \
	__asm__(".pushsection .rodata\n"         \
		".balign 16\n"                   \
		"kt_payload_" symbol "_start:\n" \
		".incbin \"" file "\"\n"         \
		"kt_payload_" symbol "_end:\n"   \
		".popsection\n")

EMBED("integer", KT_PAYLOAD_INTEGER);
EMBED("sse2", KT_PAYLOAD_SSE2);
EMBED("dynamic", KT_PAYLOAD_DYNAMIC);

extern const unsigned char kt_payload_integer_start[], kt_payload_integer_end[];
extern const unsigned char kt_payload_sse2_start[], kt_payload_sse2_end[];
extern const unsigned char kt_payload_dynamic_start[], kt_payload_dynamic_end[];

const struct kt_payload *kt_payload_integer(void)
{
	static struct kt_payload payload = {.name = "integer", .bytes = kt_payload_integer_start};

	payload.size = (size_t)(kt_payload_integer_end - kt_payload_integer_start);
	return &payload;
}

const struct kt_payload *kt_payload_sse2(void)
{
	static struct kt_payload payload = {.name = "sse2", .bytes = kt_payload_sse2_start};

	payload.size = (size_t)(kt_payload_sse2_end - kt_payload_sse2_start);
	return &payload;
}

const struct kt_payload *kt_payload_dynamic(void)
{
	static struct kt_payload payload = {.name = "dynamic", .bytes = kt_payload_dynamic_start};

	payload.size = (size_t)(kt_payload_dynamic_end - kt_payload_dynamic_start);
	return &payload;
}
