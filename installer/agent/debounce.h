/* When the next reconcile of the agent is due. Pure: the clock is passed in. */
#ifndef KT_AGENT_DEBOUNCE_H
#define KT_AGENT_DEBOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#define KT_DEBOUNCE_QUIET_MS     100 /* after the last event of a burst */
#define KT_DEBOUNCE_BURST_MS     300 /* a burst that does not end is not waited for any longer */
#define KT_DEBOUNCE_GAP_MIN_MS   400
#define KT_DEBOUNCE_GAP_MAX_MS   800
#define KT_DEBOUNCE_GAP_SHAKY_MS 5000 /* of a node that is down and whose return will wait */

struct kt_debounce {
	int64_t ended_ms;       /* when the last reconcile ended */
	int64_t gap_ms;         /* rest that no event shortens */
	int64_t scheduled_ms;   /* the next reconcile, whatever happens */
	int64_t first_event_ms; /* since the last reconcile began to look; 0: none */
	int64_t last_event_ms;
};

/* A reconcile begins: what was seen before it, it will see. */
void kt_debounce_begin(struct kt_debounce *debounce);
/* cpu_ms: what it cost, its children included. */
void kt_debounce_end(struct kt_debounce *debounce, int64_t cpu_ms, int64_t ended_ms, int64_t scheduled_ms,
		     bool is_shaky);

/* Something was seen that asks for a reconcile. now_ms is not 0. */
void kt_debounce_event(struct kt_debounce *debounce, int64_t now_ms);

int64_t kt_debounce_due_ms(const struct kt_debounce *debounce);

#endif
