/* Keeps a device that comes and goes from making its node come and go. Pure: the clock is passed in. */
#ifndef KT_AGENT_DAMPING_H
#define KT_AGENT_DAMPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KT_DAMPING_WINDOW_MS (10 * 60 * 1000)
#define KT_DAMPING_FALLS_MAX 16 /* remembered; more in one window are reported as this many */

struct kt_damping {
	bool has_seen;
	bool was_so;                            /* as seen last */
	bool is_shown;                          /* as told last */
	int64_t falls_ms[KT_DAMPING_FALLS_MAX]; /* when it was so no longer, the oldest first */
	size_t fall_count;
	unsigned hold_s; /* of the return that waits, 0 when none does */
	int64_t hold_until_ms;
	uint64_t change_count; /* of what was reported, the first word left out */
	uint64_t held_count;   /* returns that had to wait */
};

/* Takes what is so now, and returns what to report: what is not so at once, what is so again only after it held
 * for as long as the falls before it ask for. While it waits, hold_s is not 0, hold_until_ms is when to look again, and
 * fall_count says why. is_disturbed: something happened to it since the last look, which may have been a fall that
 * nobody saw. */
bool kt_damping_take(struct kt_damping *damping, bool is_so, bool is_disturbed, int64_t now_ms);

/* So often down that its return will wait, or does: there is no hurry to look. */
bool kt_damping_is_shaky(const struct kt_damping *damping);

#endif
