/* links: kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/error.h"
#include "kontain/base/utf8.h"

static void test_fail_fills(void **state)
{
	struct kt_error err = {0};

	(void)state;
	assert_int_equal(kt_fail(&err, ENOENT, KT_REASON_BUNDLE_MISSING, "no bundle at %s", "/bundle"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_int_equal(err.reason, KT_REASON_BUNDLE_MISSING);
	assert_string_equal(err.text, "no bundle at /bundle");
}

static void test_failure_never_reads_as_success(void **state)
{
	struct kt_error err = {0};

	(void)state;
	assert_int_equal(kt_fail(&err, 0, KT_REASON_INTERNAL, "x"), -EIO);
	assert_int_equal(kt_fail(&err, -ENOENT, KT_REASON_INTERNAL, "x"), -ENOENT);
	assert_int_equal(err.code, ENOENT);
	assert_int_equal(kt_fail(KT_ERROR_IGNORED, EPERM, KT_REASON_INTERNAL, "x"), -EPERM);
	assert_int_equal(kt_fail_errno(KT_ERROR_IGNORED, EPERM, KT_REASON_INTERNAL, "x"), -EPERM);
	assert_true(kt_fail_prefix(KT_ERROR_IGNORED, "x") < 0);
}

static void test_codes_bring_their_reason(void **state)
{
	static const struct {
		int code;
		enum kt_reason wanted;
		const char *words;
	} rows[] = {
		{EMFILE, KT_REASON_FILE_LIMIT, "open files"},    {ENFILE, KT_REASON_FILE_LIMIT, "open files"},
		{ENOSPC, KT_REASON_DISK_FULL, "No space"},       {EDQUOT, KT_REASON_DISK_FULL, "quota"},
		{EROFS, KT_REASON_STORE_READ_ONLY, "Read-only"}, {EIO, KT_REASON_IO_ERROR, "error"},
		{ENOSYS, KT_REASON_KERNEL_TOO_OLD, "Linux 5.8"}, {ENOENT, KT_REASON_BUNDLE_INVALID, "No such file"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_error err = {0};
		int r = kt_fail_errno(&err, rows[i].code, KT_REASON_BUNDLE_INVALID, "cannot write %s", "a/b");

		assert_int_equal(r, -rows[i].code);
		assert_int_equal(err.reason, rows[i].wanted);
		assert_memory_equal(err.text, "cannot write a/b: ", strlen("cannot write a/b: "));
		assert_non_null(strstr(err.text, rows[i].words));
	}
}

static void test_prefix_and_own_text_as_argument(void **state)
{
	struct kt_error err = {0};

	(void)state;
	(void)kt_fail(&err, EINVAL, KT_REASON_ELF_INVALID, "no header");
	assert_int_equal(kt_fail_prefix(&err, "bin/%s", "km"), -EINVAL);
	assert_string_equal(err.text, "bin/km: no header");
	assert_int_equal(err.reason, KT_REASON_ELF_INVALID);
	(void)kt_fail(&err, EIO, KT_REASON_IO_ERROR, "again: %s", err.text);
	assert_string_equal(err.text, "again: bin/km: no header");
}

/* A long text is cut, never in the middle of a character: the JSON writer and the API server refuse broken UTF-8. */
static void test_cut_leaves_whole_characters(void **state)
{
	static const char *const characters[] = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x90\xa7", "a"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (int shift = 0; shift < 4; shift++) {
			char longer[900] = "";
			struct kt_error err = {0};

			memset(longer, 'x', (size_t)shift);
			while (strlen(longer) + 5 < sizeof(longer))
				strcat(longer, characters[i]);
			(void)kt_fail(&err, EIO, KT_REASON_IO_ERROR, "%s", longer);
			assert_in_range(strlen(err.text), sizeof(err.text) - 5, sizeof(err.text) - 1);
			for (const char *c = err.text; *c; c += kt_utf8_length(c))
				assert_int_not_equal(kt_utf8_length(c), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fail_fills),
		cmocka_unit_test(test_failure_never_reads_as_success),
		cmocka_unit_test(test_codes_bring_their_reason),
		cmocka_unit_test(test_prefix_and_own_text_as_argument),
		cmocka_unit_test(test_cut_leaves_whole_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
