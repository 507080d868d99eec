/* links: kt_pack kt_bundle kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/pack/headers.h"
#include "kontain/base/own.h"

#define BLOCK 512

struct headers {
	char bytes[16 * BLOCK];
	size_t size;
};

static void header_add(struct headers *headers, char type, const char *size)
{
	char *block = headers->bytes + headers->size;

	memset(block, 0, BLOCK);
	memcpy(block, "lib/a", 5);
	memcpy(block + 124, size, strlen(size) < 12 ? strlen(size) : 12);
	block[156] = type;
	headers->size += BLOCK;
}

static void extended_add(struct headers *headers, char type, const char *text, size_t size)
{
	char number[16];

	snprintf(number, sizeof(number), "%011zo", size);
	header_add(headers, type, number);
	memset(headers->bytes + headers->size, 0, (size + BLOCK - 1) / BLOCK * BLOCK);
	memcpy(headers->bytes + headers->size, text, size);
	headers->size += (size + BLOCK - 1) / BLOCK * BLOCK;
}

/* In a block of its exact size, so that a byte too far is seen. */
static const char *flaw_of(const struct headers *headers, size_t size)
{
	KT_OWN(kt_free_mem) char *block = malloc(size ? size : 1);

	memcpy(block, headers->bytes, size);
	return kt_headers_flaw(block, size);
}

static void expect(const struct headers *headers, const char *said)
{
	const char *flaw = flaw_of(headers, headers->size);

	if (!flaw != !said || (flaw && !strstr(flaw, said)))
		fail_msg("expected %s, got %s", said ? said : "nothing", flaw ? flaw : "nothing");
}

static void test_kinds(void **state)
{
	static const struct {
		char type;
		const char *said;
	} rows[] = {
		{'0', NULL},   {'\0', NULL},  {'1', NULL},   {'2', NULL},      {'3', NULL},           {'4', NULL},
		{'5', NULL},   {'6', NULL},   {'7', "kind"}, {'A', "kind"},    {'D', "kind"},         {'N', "kind"},
		{'V', "kind"}, {'X', "kind"}, {'Z', "kind"}, {'\xff', "kind"}, {'M', "multi-volume"}, {'S', "sparse"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct headers headers = {.size = 0};

		extended_add(&headers, 'x', "13 comment=x\n", 13);
		header_add(&headers, rows[i].type, "00000000000");
		expect(&headers, rows[i].said);
	}
}

static void test_sizes(void **state)
{
	static const struct {
		const char *size;
		const char *said;
	} rows[] = {
		{"00000000000", NULL},
		{"0", NULL},
		{"   17 ", NULL},
		{"777777777777", NULL},
		{"\x80\1\1\1\1\1\1\1\1\1\1\1", NULL},
		{"", "not a number"},
		{"            ", "not a number"},
		{"twelve bytes", "not a number"},
		{"12x", "not a number"},
		{"8", "not a number"},
		{"-1", "not a number"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct headers headers = {.size = 0};

		header_add(&headers, '0', rows[i].size);
		expect(&headers, rows[i].said);
	}
}

static void test_extended_headers(void **state)
{
	static const struct {
		char type;
		const char *text;
		size_t size;
		const char *said;
	} rows[] = {
		{'x', "14 path=lib/b\n", 14, NULL},
		{'g', "14 comment=ab\n", 14, NULL},
		{'L', "lib/long", 8, NULL},
		{'L', "lib/long\0", 9, NULL}, /* as GNU writes it */
		{'K', "target\0", 7, NULL},
		{'x', "14 path=li\0/b\n", 14, "NUL"},
		{'g', "14 path=li\0/b\n", 14, "NUL"},
		{'x', "14 path=lib/b\n\0", 15, "NUL"},
		{'L', "lib\0/long\0", 10, "NUL"},
		{'K', "\0target\0", 8, "NUL"},
		{'x', "", 0, "empty"},
		{'L', "", 0, "empty"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct headers headers = {.size = 0};

		extended_add(&headers, 'g', "14 comment=ab\n", 14);
		extended_add(&headers, rows[i].type, rows[i].text, rows[i].size);
		header_add(&headers, '0', "00000000000");
		expect(&headers, rows[i].said);
	}
}

static void test_cut(void **state)
{
	struct headers headers = {.size = 0};
	char text[700];

	(void)state;
	memset(text, 'n', sizeof(text));
	extended_add(&headers, 'L', text, sizeof(text));
	extended_add(&headers, 'x', "14 path=lib/b\n", 14);
	header_add(&headers, '0', "00000000000");
	expect(&headers, NULL);
	for (size_t cut = 0; cut < headers.size; cut++)
		assert_non_null(flaw_of(&headers, cut));

	headers.size = 0;
	header_add(&headers, 'x', "\x80\1\1\1\1\1\1\1\1\1\1\1"); /* more than there is of anything */
	header_add(&headers, '0', "00000000000");
	expect(&headers, "too large");
	headers.size = 0;
	header_add(&headers, 'x', "777777777777");
	header_add(&headers, '0', "00000000000");
	expect(&headers, "too large");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_extended_headers),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
