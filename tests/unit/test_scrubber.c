/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* When every byte is to be read again, and what counts as found amiss. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/agent/scrubber.h"

#define NOW   1000000
#define HOURS (60 * 60)

static void test_when_it_is_due(void **state)
{
	static const struct {
		const char *name;
		const char *current;
		bool is_whole, is_unread;
		int64_t verified_at;
		unsigned spread_percent;
		bool is_due;
	} rows[] = {
		{"nothing is landed", "", false, false, 0, 100, false},
		{"read an hour ago", "1", true, false, NOW - HOURS, 100, false},
		{"read just before the interval", "1", true, false, NOW - 6 * HOURS + 1, 100, false},
		{"read an interval ago", "1", true, false, NOW - 6 * HOURS, 100, true},
		{"sooner here than elsewhere", "1", true, false, NOW - 6 * HOURS * 9 / 10, 90, true},
		{"later here than elsewhere", "1", true, false, NOW - 6 * HOURS, 110, false},
		{"never read", "1", true, true, 0, 100, true},
		{"read, and touched since", "1", true, true, NOW - 1, 100, true},
		{"damaged: landed anew first", "1", false, true, 0, 100, false},
		{"read in the future", "1", true, false, NOW + HOURS, 100, true},
		{"the clock was set back a little", "1", true, false, NOW + 30, 100, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_scrubber scrubber = {.spread_percent = rows[i].spread_percent};
		struct kt_inventory inventory = {.is_whole = rows[i].is_whole,
						 .is_unread = rows[i].is_unread,
						 .verified_at = rows[i].verified_at};

		strcpy(inventory.current, rows[i].current);
		kt_scrubber_date(&scrubber, rows[i].verified_at, NOW, 1);
		if (kt_scrubber_is_due(&scrubber, &inventory, 6 * HOURS, 1) != rows[i].is_due)
			fail_msg("%s", rows[i].name);
	}
}

/* The wall clock of a whole fleet jumps: nothing is due for that, and nothing is late. */
static void test_wall_clock_jumps(void **state)
{
	static const int64_t jumps_s[] = {0, HOURS, -2 * HOURS, 7 * 24 * HOURS, -7 * 24 * HOURS};
	struct kt_inventory inventory = {.current = "1", .is_whole = true, .verified_at = NOW - HOURS};
	const int64_t start_ms = 50000;

	(void)state;
	for (size_t i = 0; i < sizeof(jumps_s) / sizeof(jumps_s[0]); i++) {
		struct kt_scrubber scrubber = {.spread_percent = 100};
		int64_t now_ms = start_ms, late_ms = start_ms + INT64_C(5) * HOURS * 1000;

		inventory.verified_at = NOW - HOURS;
		kt_scrubber_date(&scrubber, inventory.verified_at, NOW, now_ms);
		for (int round = 0; round < 3; round++) {
			kt_scrubber_date(&scrubber, inventory.verified_at, NOW + jumps_s[i] + round, now_ms);
			assert_false(kt_scrubber_is_due(&scrubber, &inventory, 6 * HOURS, now_ms));
		}
		kt_scrubber_date(&scrubber, inventory.verified_at, NOW + jumps_s[i], late_ms);
		assert_false(kt_scrubber_is_due(&scrubber, &inventory, 6 * HOURS, late_ms - 1));
		assert_true(kt_scrubber_is_due(&scrubber, &inventory, 6 * HOURS, late_ms));
		/* read again, by the new time */
		inventory.verified_at = NOW + jumps_s[i];
		kt_scrubber_date(&scrubber, inventory.verified_at, NOW + jumps_s[i] + 10, late_ms);
		assert_false(kt_scrubber_is_due(&scrubber, &inventory, 6 * HOURS, late_ms + INT64_C(5) * HOURS * 1000));
	}
}

/* What stays unread (a lock that is never free, a filesystem that cannot be written) is not read without end. */
static void test_vain_ones_wait(void **state)
{
	static const int64_t waits_s[] = {30, 60, 120, 240, 300, 300};
	struct kt_scrubber scrubber = {.spread_percent = 100};
	struct kt_inventory inventory = {.current = "1", .is_whole = true, .is_unread = true};
	int64_t now_ms = 5;

	(void)state;
	for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
		assert_true(kt_scrubber_is_due(&scrubber, &inventory, 300, now_ms));
		kt_scrubber_began(&scrubber, 300, now_ms);
		kt_scrubber_note(&scrubber, &inventory);
		now_ms += waits_s[i] * 1000;
		assert_false(kt_scrubber_is_due(&scrubber, &inventory, 300, now_ms - 1));
	}
	inventory.is_unread = false; /* one that was not in vain ends it */
	kt_scrubber_note(&scrubber, &inventory);
	inventory.is_unread = true;
	kt_scrubber_began(&scrubber, 300, now_ms);
	assert_true(kt_scrubber_is_due(&scrubber, &inventory, 300, now_ms + 30000));
	for (unsigned i = 0; i < 10000; i++)
		kt_scrubber_began(&scrubber, 604800, now_ms);
	assert_int_equal(scrubber.not_before_ms, now_ms + INT64_C(604800) * 1000);
}

static void test_damage_is_counted_once(void **state)
{
	static const struct {
		const char *damage;
		enum kt_reason reason;
		bool is_foreign;
		uint64_t mismatches;
		const char *last;
	} rounds[] = {
		{"", KT_REASON_NONE, false, 0, ""},
		{"km is missing", KT_REASON_STORE_FILE_LOST, false, 1, "StoreFileLost: km is missing"},
		{"km is missing", KT_REASON_STORE_FILE_LOST, false, 1, "StoreFileLost: km is missing"},
		{"", KT_REASON_NONE, false, 1, "StoreFileLost: km is missing"},
		{"km is missing", KT_REASON_STORE_FILE_LOST, false, 2, "StoreFileLost: km is missing"},
		{"km changed", KT_REASON_STORE_FILE_CHANGED, false, 3, "StoreFileChanged: km changed"},
		{"bin is another's", KT_REASON_FOREIGN_INSTALLATION, true, 3, "StoreFileChanged: km changed"},
	};
	struct kt_scrubber scrubber;

	(void)state;
	kt_scrubber_init(&scrubber);
	assert_in_range(scrubber.spread_percent, 90, 110);
	for (size_t i = 0; i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		struct kt_inventory inventory = {.current = "1",
						 .is_whole = rounds[i].damage[0] == '\0',
						 .is_foreign = rounds[i].is_foreign,
						 .damage_reason = rounds[i].reason};

		strcpy(inventory.damage, rounds[i].damage);
		kt_scrubber_note(&scrubber, &inventory);
		assert_int_equal(scrubber.mismatches, rounds[i].mismatches);
		assert_string_equal(scrubber.last_mismatch, rounds[i].last);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_when_it_is_due),
		cmocka_unit_test(test_wall_clock_jumps),
		cmocka_unit_test(test_vain_ones_wait),
		cmocka_unit_test(test_damage_is_counted_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
