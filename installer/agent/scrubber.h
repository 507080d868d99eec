/* The deep verification in the background: when it is due, the process that does it, and what was found wrong. */
#ifndef KT_AGENT_SCRUBBER_H
#define KT_AGENT_SCRUBBER_H

#include "jobs/installer.h"
#include "plan.h"

/* Where the last one left something unread: 30 s, 60 s ... up to the interval. */
#define KT_SCRUB_AGAIN_S 30

struct kt_scrubber {
	bool is_running;         /* as the runner said last */
	unsigned spread_percent; /* of the interval, so that a fleet's disks are not all read in one hour */
	unsigned vain_count;     /* started in a row without leaving all of it read */
	int64_t not_before_ms;   /* by the boot clock, as all that is in ms here */
	int64_t verified_at;     /* as the store has it, in Unix seconds */
	int64_t verified_ms;     /* the same moment */
	bool is_dated;           /* it was, and is not in the future */
	uint64_t mismatches;
	char last_mismatch[sizeof(((struct kt_state_store *)0)->last_mismatch)];
	char damage[sizeof(((struct kt_inventory *)0)->damage)]; /* that was counted and is still there */
};

void kt_scrubber_init(struct kt_scrubber *scrubber);

/* Counts damage once, when it comes. */
void kt_scrubber_note(struct kt_scrubber *scrubber, const struct kt_inventory *inventory);
/* When the store was verified last: a wall clock that jumps later on makes nothing due, and nothing late. */
void kt_scrubber_date(struct kt_scrubber *scrubber, int64_t verified_at, int64_t now_s, int64_t now_ms);
/* Is a verification wanted now? Pure. */
bool kt_scrubber_is_due(const struct kt_scrubber *scrubber, const struct kt_inventory *inventory, unsigned interval_s,
			int64_t now_ms);
/* One was started at now_ms. */
void kt_scrubber_began(struct kt_scrubber *scrubber, unsigned interval_s, int64_t now_ms);
/* At the end of a reconcile: has the runner start one where it is due and none runs. */
void kt_scrubber_tend(struct kt_scrubber *scrubber, const struct kt_installer *installer,
		      const struct kt_inventory *inventory);

#endif
