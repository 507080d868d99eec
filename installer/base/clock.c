#include "kontain/base/clock.h"
#include "kontain/base/error.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>

static int64_t read_us(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t kt_clock_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t kt_clock_ms(void)
{
	return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t kt_clock_boot_ms(void)
{
	return read_us(CLOCK_BOOTTIME) / 1000;
}

int kt_clock_alarm_open(void)
{
	int alarm = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);

	return alarm < 0 ? kt_negative_errno() : alarm;
}

void kt_clock_alarm_set(int alarm, int64_t after_ms)
{
	/* 0 and 0 would be no time at all */
	struct itimerspec when = {.it_value = {.tv_nsec = 1}};

	if (after_ms > 0)
		when.it_value = (struct timespec){.tv_sec = after_ms / 1000, .tv_nsec = after_ms % 1000 * 1000000};
	(void)timerfd_settime(alarm, 0, &when, NULL);
}

int64_t kt_clock_cpu_us(int who)
{
	struct rusage usage = {.ru_utime = {0}};

	(void)getrusage(who, &usage);
	return (int64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
	       usage.ru_stime.tv_usec;
}

bool kt_clock_text(int64_t seconds, char ret_text[KT_CLOCK_TEXT_MAX])
{
	time_t when = (time_t)seconds;
	struct tm parts;

	ret_text[0] = '\0';
	return gmtime_r(&when, &parts) && strftime(ret_text, KT_CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%SZ", &parts) > 0;
}
