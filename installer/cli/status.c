/* How this node stands, looked at anew; what the resident agent is asked for comes from its state. */
#include <string.h>

#include "agent/reconcile.h"
#include "commands.h"
#include "jobs/root.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "print.h"

/* Who may not look into others tells what there is, and nobody. */
static void name_users(const struct kt_installer *installer, struct kt_state_kept *kept)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_error ignored;

	if (kept->count > 0 && kt_installer_open_store(installer, KT_STORE_READ, &store, &ignored) == 0)
		(void)kt_store_list_kept(&store, true, kept, &ignored);
}

int kt_command_status(const struct kt_installer *installer)
{
	struct kt_installer looking = *installer;
	struct kt_reconciler reconciler = {.installer = &looking};
	struct kt_state state, published;
	struct kt_error err;
	struct kt_plan plan;

	looking.config.load_modules = false; /* to look is not to act */
	kt_reconcile_look(&reconciler, &state, &plan);
	name_users(installer, &state.store.kept);
	if (kt_state_read(installer->options.state, &published, &err) == 0 &&
	    kt_state_believable(&published, state.boot_id, state.observed_boot_s, &err) == 0) {
		state.rollout = published.rollout;
		state.reconciles = published.reconciles;
		/* proven a moment ago is not enough where it comes and goes: only the agent knows what was before */
		if (state.node.ok && published.node.reason == KT_REASON_UNSTEADY)
			state.node = published.node;
		memcpy(state.versions.desired, published.versions.desired, sizeof state.versions.desired);
		state.store.installs_ok = published.store.installs_ok;
		state.store.installs_failed = published.store.installs_failed;
		state.store.verify_interval_s = published.store.verify_interval_s;
		state.store.mismatches = published.store.mismatches;
		memcpy(state.store.last_mismatch, published.store.last_mismatch, sizeof state.store.last_mismatch);
		state.store.upgrade = published.store.upgrade;
	}
	return kt_print_state(&installer->options, &state);
}
