/* How this node stands, looked at anew; what the resident agent is asked for is told from its state. */
#include <string.h>

#include "kontain/fs.h"
#include "print.h"
#include "reconcile.h"
#include "verbs.h"

int kt_verb_status(struct kt_installer *installer)
{
	struct kt_reconciler reconciler = {.installer = installer};
	struct kt_state state, published;
	struct kt_error err;
	struct kt_plan plan;

	installer->options.dry_run = true; /* to look is not to act: no module is loaded */
	kt_reconcile_look(&reconciler, &state, &plan);
	if (kt_state_read(installer->options.state, &published, &err) == 0 &&
	    kt_state_believable(&published, state.boot_id, state.observed_boot_s, &err) == 0) {
		state.rollout = published.rollout;
		state.rounds = published.rounds;
		/* proven a moment ago is not enough where it comes and goes: only the agent knows what was before */
		if (state.node.ok && published.node.reason == KT_REASON_UNSTEADY)
			state.node = published.node;
		memcpy(state.versions.desired, published.versions.desired, sizeof state.versions.desired);
		state.store.installs_ok = published.store.installs_ok;
		state.store.installs_failed = published.store.installs_failed;
		state.store.verify_interval_s = published.store.verify_interval_s;
		state.store.mismatches = published.store.mismatches;
		memcpy(state.store.last_mismatch, published.store.last_mismatch, sizeof state.store.last_mismatch);
		memcpy(state.store.upgrade_state, published.store.upgrade_state, sizeof state.store.upgrade_state);
	}
	return kt_print_state(&installer->options, &state);
}
