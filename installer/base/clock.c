#include "kontain/base/clock.h"

#include <sys/resource.h>
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
