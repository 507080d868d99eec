/* What time it is, in the units that the rest of the code counts in. */
#ifndef KONTAIN_CLOCK_H
#define KONTAIN_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define KT_CLOCK_TEXT_MAX 32

/* CLOCK_MONOTONIC: for deadlines and durations. */
int64_t kt_clock_us(void);
int64_t kt_clock_ms(void);
/* CLOCK_BOOTTIME: goes on while a machine sleeps, after which what was seen or sent before is old. */
int64_t kt_clock_boot_ms(void);
/* A timer of CLOCK_BOOTTIME: an owned descriptor or -errno. It is readable once the time has come, and at once on a
 * machine that slept over it; poll(2)'s own timeout stands still while a machine sleeps. */
int kt_clock_alarm_open(void);
void kt_clock_alarm_set(int alarm, int64_t after_ms); /* no more readable until then */
/* User and system time; who as in getrusage(2). */
int64_t kt_clock_cpu_us(int who);

/* Unix seconds as RFC 3339 in UTC; false and "" for what no calendar has. */
bool kt_clock_text(int64_t seconds, char ret_text[KT_CLOCK_TEXT_MAX]);

#endif
