/* A device node that is made anew is removed, made, and given its mode within a moment: one round is enough for it, and
 * the one to believe is the last. So a burst is let pass, but not for long.
 *
 * Nor can events keep the agent busy: after a round it rests nine times as long as the round had a CPU (so much that a
 * device which vanishes right then is still told of within a second), and whoever flips a mode day and night costs the
 * node a tenth of a core. */
#include "debounce.h"

void kt_pace_begin(struct kt_pace *pace)
{
	pace->first_event_ms = 0;
	pace->last_event_ms = 0;
}

void kt_pace_end(struct kt_pace *pace, int64_t cpu_ms, int64_t ended_ms, int64_t scheduled_ms, bool is_shaky)
{
	int64_t gap_ms = cpu_ms * 9;

	pace->ended_ms = ended_ms;
	pace->gap_ms = is_shaky                      ? KT_PACE_GAP_SHAKY_MS
		       : gap_ms < KT_PACE_GAP_MIN_MS   ? KT_PACE_GAP_MIN_MS
		       : gap_ms > KT_PACE_GAP_MAX_MS ? KT_PACE_GAP_MAX_MS
						     : gap_ms;
	pace->scheduled_ms = scheduled_ms;
}

void kt_pace_event(struct kt_pace *pace, int64_t now_ms)
{
	if (pace->first_event_ms == 0)
		pace->first_event_ms = now_ms;
	pace->last_event_ms = now_ms;
}

int64_t kt_pace_due_ms(const struct kt_pace *pace)
{
	int64_t due_ms = pace->last_event_ms + KT_PACE_QUIET_MS;

	if (pace->first_event_ms == 0)
		return pace->scheduled_ms;
	if (due_ms > pace->first_event_ms + KT_PACE_BURST_MS)
		due_ms = pace->first_event_ms + KT_PACE_BURST_MS;
	if (due_ms < pace->ended_ms + pace->gap_ms)
		due_ms = pace->ended_ms + pace->gap_ms;
	return due_ms < pace->scheduled_ms ? due_ms : pace->scheduled_ms;
}
