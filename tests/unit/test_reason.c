/* links: kt_contract kt_base */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/contract/reason.h"

static bool needs_no_remedy(enum kt_reason reason)
{
	return reason == KT_REASON_NONE || reason == KT_REASON_READY || reason == KT_REASON_STARTING ||
	       reason == KT_REASON_ABSENT;
}

static void test_each_row_is_whole(void **state)
{
	(void)state;
	for (int i = 0; i < KT_REASON_COUNT; i++) {
		const struct kt_reason_info *info = kt_reason_get((enum kt_reason)i);

		assert_true(isupper((unsigned char)info->name[0]));
		for (const char *c = info->name; *c; c++)
			assert_true(isalpha((unsigned char)*c));
		assert_int_equal(kt_reason_find(info->name), i); /* so the name is in one row only */
		assert_non_null(info->remedy);
		if (needs_no_remedy((enum kt_reason)i)) {
			assert_string_equal(info->remedy, "");
			continue;
		}
		assert_true(strlen(info->remedy) > 20);
		assert_true(isupper((unsigned char)info->remedy[0]));
		assert_int_equal(info->remedy[strlen(info->remedy) - 1], '.');
	}
}

static void test_unknown_numbers_and_names(void **state)
{
	(void)state;
	assert_string_equal(kt_reason_name(KT_REASON_COUNT), "Internal");
	assert_string_equal(kt_reason_name((enum kt_reason) - 1), "Internal");
	assert_string_equal(kt_reason_name((enum kt_reason)100000), "Internal");
	assert_int_equal(kt_reason_find("NoSuchReason"), KT_REASON_COUNT);
	assert_int_equal(kt_reason_find(""), KT_REASON_COUNT);
	assert_int_equal(kt_reason_find("ready"), KT_REASON_COUNT);
}

/* A bundle is remembered as failed only for what the bundle itself did; the node's own causes never count against
 * it. */
static void test_what_is_remembered(void **state)
{
	(void)state;
	for (int i = 0; i < KT_REASON_COUNT; i++) {
		const struct kt_reason_info *info = kt_reason_get((enum kt_reason)i);

		if (info->fault != KT_FAULT_VERSION)
			assert_true(info->transient);
	}
	assert_true(kt_reason_get(KT_REASON_BUSY)->transient);
	assert_true(kt_reason_get(KT_REASON_KM_HUNG)->transient);
	assert_true(kt_reason_get(KT_REASON_DISK_FULL)->transient);
	assert_false(kt_reason_get(KT_REASON_KM_ABORTED)->transient);
	assert_false(kt_reason_get(KT_REASON_KM_PRETENDS)->transient);
	assert_true(kt_reason_get(KT_REASON_KM_KILLED)->transient);
	assert_false(kt_reason_get(KT_REASON_SELF_TEST_FAILED)->transient);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row_is_whole),
		cmocka_unit_test(test_unknown_numbers_and_names),
		cmocka_unit_test(test_what_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
