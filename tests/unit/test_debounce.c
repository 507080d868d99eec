/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* When the next reconcile is due, row by row: a reconcile from 1000 to 1000 + took, the next one scheduled for
 * 61000. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../installer/agent/debounce.h"

static const struct {
	const char *name;
	int took_ms;
	int cpu_ms;
	bool is_shaky;
	int events_ms[8]; /* 0 ends them */
	int due_ms;
} rows[] = {
	{"nothing happens", 30, 30, false, {0}, 61000},
	{"one event", 30, 30, false, {5000}, 5100},
	{"a burst is one", 30, 30, false, {5000, 5010, 5090}, 5190},
	{"a burst that does not end", 30, 30, false, {5000, 5080, 5160, 5240, 5290}, 5300},
	{"an event right after a reconcile", 30, 30, false, {1031}, 1430},
	{"an event during a reconcile", 30, 30, false, {1010}, 1430},
	{"a reconcile that cost more rests longer", 70, 60, false, {1101}, 1610},
	{"but not for ever", 300, 300, false, {1301}, 2100},
	{"one that only took long does not", 20000, 30, false, {21001}, 21400},
	{"there is no hurry where the return would wait", 30, 30, true, {1100}, 6030},
	{"the schedule comes first", 30, 30, false, {60990}, 61000},
};

static void test_rows(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kt_debounce debounce = {.scheduled_ms = 1000};
		int64_t due_ms;

		kt_debounce_event(&debounce, 900);
		kt_debounce_begin(&debounce);
		for (size_t j = 0; rows[i].events_ms[j] > 0 && rows[i].events_ms[j] < 1000 + rows[i].took_ms; j++)
			kt_debounce_event(&debounce, rows[i].events_ms[j]);
		kt_debounce_end(&debounce, rows[i].cpu_ms, 1000 + rows[i].took_ms, 61000, rows[i].is_shaky);
		for (size_t j = 0; rows[i].events_ms[j] > 0; j++)
			if (rows[i].events_ms[j] >= 1000 + rows[i].took_ms)
				kt_debounce_event(&debounce, rows[i].events_ms[j]);
		due_ms = kt_debounce_due_ms(&debounce);
		if (due_ms != rows[i].due_ms)
			fail_msg("%s: due at %d", rows[i].name, (int)due_ms);
	}
}

/* An event a millisecond, for a minute, and reconciles of 40 ms: they take at most a tenth of the time. */
static void test_storm(void **context)
{
	struct kt_debounce debounce = {.scheduled_ms = 1};
	int64_t busy_ms = 0, now_ms = 1;

	(void)context;
	while (now_ms < 60000) {
		if (now_ms < kt_debounce_due_ms(&debounce)) {
			kt_debounce_event(&debounce, ++now_ms);
			continue;
		}
		kt_debounce_begin(&debounce);
		kt_debounce_end(&debounce, 40, now_ms + 40, now_ms + 60000, false);
		busy_ms += 40;
		now_ms += 40;
	}
	assert_true(busy_ms > 1000);
	assert_true(busy_ms <= 6000 + 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
