/* One reconcile: config -> desired, observe, plan, act, observe again. */
#ifndef KT_AGENT_RECONCILE_H
#define KT_AGENT_RECONCILE_H

#include "attempts.h"
#include "desired.h"
#include "jobs/stuck.h"
#include "keeper.h"
#include "observe.h"
#include "scrubber.h"

struct kt_reconciler {
	const struct kt_installer *installer; /* borrowed */
	bool is_attended;                     /* a person waits: act here, where progress is seen, and not in a child */
	struct kt_desired desired;
	struct kt_attempts attempts;
	struct kt_keeper keeper;
	struct kt_scrubber *scrubber;  /* borrowed; NULL: nothing is verified in the background */
	struct kt_stuck *stuck;        /* borrowed; NULL where nothing is repeated */
	char activated[KT_DIGEST_HEX]; /* the bundle that we made current; "" for none yet */
	bool has_removed;              /* all of it, once */
	struct kt_probe probe;         /* as last seen: what is reported while something is stuck */
	uint64_t installs_ok;
	uint64_t installs_failed;
	/* Told before a step that takes long, with the state as it is then. May be NULL. */
	void (*announce)(void *context, struct kt_state *state);
	/* Told after it, before it is looked at again. May be NULL. */
	void (*acted)(void *context);
	void *context;
};

/* Fills ret_state with what was seen after acting. ret_step (may be NULL): what was done. */
void kt_reconcile(struct kt_reconciler *reconciler, struct kt_state *ret_state, enum kt_step *ret_step);

/* Until a landing that failed may be tried again; 0 when it may be now. */
unsigned kt_reconcile_wait_s(const struct kt_reconciler *reconciler);

/* The same without acting. */
void kt_reconcile_look(struct kt_reconciler *reconciler, struct kt_state *ret_state, struct kt_plan *ret_plan);

#endif
