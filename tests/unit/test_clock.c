/* links: kt_base */
/* The alarm goes by the clock that goes on in a machine that sleeps. That it rings on one that wakes is the kernel's
 * word for timers of CLOCK_BOOTTIME (timerfd_create(2)); here, that it is one. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "kontain/base/clock.h"
#include "kontain/base/own.h"

static void test_alarm(void **state)
{
	KT_OWN(kt_close_fd) int alarm = kt_clock_alarm_open();
	struct pollfd polled = {.fd = alarm, .events = POLLIN};
	char path[64], text[512] = "";
	int64_t start_ms = kt_clock_boot_ms();

	(void)state;
	assert_true(alarm >= 0);
	assert_int_equal(poll(&polled, 1, 20), 0); /* none is set */
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", alarm);

	KT_OWN(kt_close_file) FILE *info = fopen(path, "r");

	assert_non_null(info);
	assert_true(fread(text, 1, sizeof(text) - 1, info) > 0);
	assert_non_null(strstr(text, "clockid: 7")); /* CLOCK_BOOTTIME */
	assert_int_equal(CLOCK_BOOTTIME, 7);
	kt_clock_alarm_set(alarm, 100);
	assert_int_equal(poll(&polled, 1, 60000), 1);
	assert_true(kt_clock_boot_ms() - start_ms >= 100);
	kt_clock_alarm_set(alarm, 60000); /* silent again, though nobody read it */
	assert_int_equal(poll(&polled, 1, 20), 0);
	for (int64_t past_ms = -5; past_ms <= 0; past_ms += 5) {
		kt_clock_alarm_set(alarm, past_ms);
		assert_int_equal(poll(&polled, 1, 60000), 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
