/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* What is told of a thing that comes and goes: rows of what is seen, at which second, and what is told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/agent/damping.h"

struct look {
	int at_s;
	bool is_so;
	bool told;
	unsigned hold_s; /* of a return that waits */
	bool is_disturbed;
};

static const struct {
	const char *name;
	struct look looks[24];
	unsigned changes;
	unsigned held;
} rows[] = {
	{"so from the start", {{0, true, true, 0, false}, {60, true, true, 0, false}}, 0, 0},
	{"so at last", {{0, false, false, 0, false}, {60, false, false, 0, false}, {61, true, true, 0, false}}, 1, 0},
	{"two repairs wait for nothing",
	 {{0, true, true, 0, false},
	  {1, false, false, 0, false},
	  {2, true, true, 0, false},
	  {3, false, false, 0, false},
	  {4, true, true, 0, false}},
	 4,
	 0},
	{"the third return holds for 30 s",
	 {{0, true, true, 0, false},
	  {1, false, false, 0, false},
	  {2, true, true, 0, false},
	  {3, false, false, 0, false},
	  {4, true, true, 0, false},
	  {5, false, false, 0, false},
	  {6, true, false, 30, false},
	  {35, true, false, 30, false},
	  {36, true, true, 0, false},
	  {37, true, true, 0, false}},
	 6,
	 1},
	{"a fall while it waits counts, and the wait begins anew",
	 {{0, true, true, 0, false},
	  {1, false, false, 0, false},
	  {2, true, true, 0, false},
	  {3, false, false, 0, false},
	  {4, true, true, 0, false},
	  {5, false, false, 0, false},
	  {6, true, false, 30, false},
	  {7, false, false, 0, false},
	  {8, true, false, 60, false},
	  {67, true, false, 60, false},
	  {68, true, true, 0, false}},
	 6,
	 2},
	{"longer and longer, up to 300 s",
	 {{0, true, true, 0, false},
	  {1, false, false, 0, false},
	  {2, true, true, 0, false},
	  {3, false, false, 0, false},
	  {4, true, true, 0, false},
	  {5, false, false, 0, false},
	  {6, true, false, 30, false},
	  {7, false, false, 0, false},
	  {8, true, false, 60, false},
	  {9, false, false, 0, false},
	  {10, true, false, 120, false},
	  {11, false, false, 0, false},
	  {12, true, false, 300, false},
	  {13, false, false, 0, false},
	  {14, true, false, 300, false},
	  {313, true, false, 300, false},
	  {314, true, true, 0, false}},
	 6,
	 5},
	{"falls of more than ten minutes ago are forgotten",
	 {{0, true, true, 0, false},
	  {1, false, false, 0, false},
	  {2, true, true, 0, false},
	  {3, false, false, 0, false},
	  {4, true, true, 0, false},
	  {601, false, false, 0, false},
	  {602, true, true, 0, false},
	  {610, false, false, 0, false},
	  {611, true, true, 0, false}},
	 8,
	 0},
	{"what is long not so falls once",
	 {{0, true, true, 0, false},
	  {1, false, false, 0, false},
	  {2, false, false, 0, false},
	  {3, false, false, 0, false},
	  {4, false, false, 0, false},
	  {5, true, true, 0, false}},
	 2,
	 0},
	{"a fall that nobody saw begins the wait anew",
	 {{0, true, true, 0, false},
	  {1, false, false, 0, false},
	  {2, true, true, 0, false},
	  {3, false, false, 0, false},
	  {4, true, true, 0, false},
	  {5, false, false, 0, false},
	  {6, true, false, 30, false},
	  {20, true, false, 30, true},
	  {49, true, false, 30, false},
	  {50, true, true, 0, false},
	  {51, true, true, 0, true}},
	 6,
	 1},
	{"so again when nobody looked for long",
	 {{0, true, true, 0, false},
	  {1, false, false, 0, false},
	  {2, true, true, 0, false},
	  {3, false, false, 0, false},
	  {4, true, true, 0, false},
	  {5, false, false, 0, false},
	  {6, true, false, 30, false},
	  {9000, true, true, 0, false}},
	 6,
	 1},
};

static void test_rows(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kt_damping damping = {.has_seen = false};

		for (size_t j = 0; j == 0 || rows[i].looks[j].at_s > 0; j++) {
			const struct look *look = &rows[i].looks[j];
			bool told = kt_damping_take(&damping, look->is_so, look->is_disturbed,
						    INT64_C(1000000) + look->at_s * 1000);

			if (told != look->told || damping.hold_s != look->hold_s)
				fail_msg("%s: at %d s: told %d, holds for %u s", rows[i].name, look->at_s, told,
					 damping.hold_s);
			if (damping.hold_s > 0)
				assert_true(damping.hold_until_ms > INT64_C(1000000) + look->at_s * 1000);
		}
		if (damping.change_count != rows[i].changes || damping.held_count != rows[i].held)
			fail_msg("%s: %u changes, %u held back", rows[i].name, (unsigned)damping.change_count,
				 (unsigned)damping.held_count);
	}
}

/* However it comes and goes: not so is told at once, and what holds is believed within the bound. */
static void test_promises(void **context)
{
	struct kt_damping damping = {.has_seen = false};
	uint64_t random = 88172645463325252ULL;
	int64_t now_ms = 5;

	(void)context;
	for (int i = 0; i < 200000; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;

		bool is_so = random & 1;
		bool told = kt_damping_take(&damping, is_so, random & 2, now_ms);

		if (!is_so)
			assert_false(told);
		assert_true(damping.fall_count <= KT_DAMPING_FALLS_MAX);
		if (damping.hold_s > 0)
			assert_true(damping.hold_until_ms > now_ms && damping.hold_until_ms <= now_ms + 300 * 1000);
		now_ms += (int64_t)(random >> 8 & 0xffff);
	}
	assert_true(damping.held_count > 0);
	assert_true(kt_damping_take(&damping, false, false, now_ms) == false);
	(void)kt_damping_take(&damping, true, true, now_ms + 1);
	assert_true(kt_damping_take(&damping, true, false, now_ms + 1 + 300 * 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_promises),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
