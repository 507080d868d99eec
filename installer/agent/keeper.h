/* What was replaced or removed while it was used (store/door.h) is looked after: now and then a child asks who still
 * uses it and removes the rest. */
#ifndef KT_AGENT_KEEPER_H
#define KT_AGENT_KEEPER_H

#include "jobs/installer.h"
#include "kontain/contract/state.h"

/* A pod lives for hours; the look reads all of /proc. */
#define KT_KEEPER_INTERVAL_MS (3 * 60 * 1000)

struct kt_keeper {
	int64_t not_before_ms;
	struct kt_state_kept last; /* what the last look answered */
};

/* kept: what lies there now. Nothing is done where nothing does. Who uses it is filled in: as it is now, or as it was
 * when it was asked last. */
void kt_keeper_tend(struct kt_keeper *keeper, const struct kt_installer *installer, struct kt_state_kept *kept,
		    int64_t now_ms);

#endif
