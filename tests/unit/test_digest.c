/* links: kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/digest.h"
#include "kontain/base/own.h"

/* FIPS 180-2, appendix B, and the empty message. */
static const struct {
	const char *message;
	const char *digest;
} rows[] = {
	{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

/* One digest for all rows, each fed whole and byte by byte: taking one makes it ready for the next. */
static void test_known_answers(void **state)
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char hex[KT_DIGEST_HEX];

	(void)state;
	assert_non_null(digest);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		kt_digest_add(digest, rows[i].message, strlen(rows[i].message));
		kt_digest_take(digest, hex);
		assert_string_equal(hex, rows[i].digest);
		for (const char *c = rows[i].message; *c; c++)
			kt_digest_add(digest, c, 1);
		kt_digest_take(digest, hex);
		assert_string_equal(hex, rows[i].digest);
	}
}

static void test_free_nothing(void **state)
{
	struct kt_digest *digest = NULL;

	(void)state;
	kt_digest_free(&digest);
	assert_null(digest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_answers),
		cmocka_unit_test(test_free_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
