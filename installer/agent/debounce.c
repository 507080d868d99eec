/* A device node that is made anew is removed, made, and given its mode within a moment: one reconcile is enough for
 * it, and the one to believe is the last. So a burst is let pass, but not for long.
 *
 * Nor can events keep the agent busy: after a reconcile it rests nine times as long as the reconcile had a CPU (so
 * much that a device which vanishes right then is still told of within a second), and whoever flips a mode day and
 * night costs the node a tenth of a core. */
#include "debounce.h"

void kt_debounce_begin(struct kt_debounce *debounce)
{
	debounce->first_event_ms = 0;
	debounce->last_event_ms = 0;
}

void kt_debounce_end(struct kt_debounce *debounce, int64_t cpu_ms, int64_t ended_ms, int64_t scheduled_ms,
		     bool is_shaky)
{
	int64_t gap_ms = cpu_ms * 9;

	debounce->ended_ms = ended_ms;
	debounce->gap_ms = is_shaky                        ? KT_DEBOUNCE_GAP_SHAKY_MS :
			   gap_ms < KT_DEBOUNCE_GAP_MIN_MS ? KT_DEBOUNCE_GAP_MIN_MS :
			   gap_ms > KT_DEBOUNCE_GAP_MAX_MS ? KT_DEBOUNCE_GAP_MAX_MS :
							     gap_ms;
	debounce->scheduled_ms = scheduled_ms;
}

void kt_debounce_event(struct kt_debounce *debounce, int64_t now_ms)
{
	if (debounce->first_event_ms == 0)
		debounce->first_event_ms = now_ms;
	debounce->last_event_ms = now_ms;
}

int64_t kt_debounce_due_ms(const struct kt_debounce *debounce)
{
	int64_t due_ms = debounce->last_event_ms + KT_DEBOUNCE_QUIET_MS;

	if (debounce->first_event_ms == 0)
		return debounce->scheduled_ms;
	if (due_ms > debounce->first_event_ms + KT_DEBOUNCE_BURST_MS)
		due_ms = debounce->first_event_ms + KT_DEBOUNCE_BURST_MS;
	if (due_ms < debounce->ended_ms + debounce->gap_ms)
		due_ms = debounce->ended_ms + debounce->gap_ms;
	return due_ms < debounce->scheduled_ms ? due_ms : debounce->scheduled_ms;
}
