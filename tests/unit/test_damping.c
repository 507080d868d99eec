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

/* Seconds, and the seconds that it is held for. */
/* clang-format off */
#define UP(at)         {at, true, true, 0, false}
#define DOWN(at)       {at, false, false, 0, false}
#define HELD(at, hold) {at, true, false, hold, false}
#define TWO_FALLS      UP(0), DOWN(1), UP(2), DOWN(3), UP(4)
/* clang-format on */

static const struct {
	const char *name;
	struct look looks[24];
	unsigned changes;
	unsigned held;
} rows[] = {
	{"so from the start", {UP(0), UP(60)}, 0, 0},
	{"so at last", {DOWN(0), DOWN(60), UP(61)}, 1, 0},
	{"two repairs wait for nothing", {TWO_FALLS}, 4, 0},
	{"the third return holds for 30 s", {TWO_FALLS, DOWN(5), HELD(6, 30), HELD(35, 30), UP(36), UP(37)}, 6, 1},
	{"a fall while it waits counts, and the wait begins anew",
	 {TWO_FALLS, DOWN(5), HELD(6, 30), DOWN(7), HELD(8, 60), HELD(67, 60), UP(68)},
	 6,
	 2},
	{"longer and longer, up to 300 s",
	 {TWO_FALLS, DOWN(5), HELD(6, 30), DOWN(7), HELD(8, 60), DOWN(9), HELD(10, 120), DOWN(11), HELD(12, 300),
	  DOWN(13), HELD(14, 300), HELD(313, 300), UP(314)},
	 6,
	 5},
	{"falls of more than ten minutes ago are forgotten", {TWO_FALLS, DOWN(601), UP(602), DOWN(610), UP(611)}, 8, 0},
	{"what is long not so falls once", {UP(0), DOWN(1), DOWN(2), DOWN(3), DOWN(4), UP(5)}, 2, 0},
	{"a fall that nobody saw begins the wait anew",
	 {TWO_FALLS,
	  DOWN(5),
	  HELD(6, 30),
	  {20, true, false, 30, true},
	  HELD(49, 30),
	  UP(50),
	  {51, true, true, 0, true}},
	 6,
	 1},
	{"so again when nobody looked for long", {TWO_FALLS, DOWN(5), HELD(6, 30), UP(9000)}, 6, 1},
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
