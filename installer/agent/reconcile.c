/* Level-triggered: each reconcile computes from what is on disk and from what was seen just now. What is
 * reported is what was seen after acting, never what was intended. */
#include "reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jobs/call.h"
#include "jobs/jobs.h"
#include "jobs/land.h"
#include "jobs/runner.h"
#include "kontain/base/child.h"
#include "kontain/base/clock.h"
#include "kontain/base/own.h"
#include "kontain/contract/message.h"

/* What was killed just now may take a moment to go. */
#define STUCK_GRACE_MS 1000

static bool is_stuck(const struct kt_reconciler *reconciler)
{
	if (reconciler->stuck == NULL)
		return false;
	return reconciler->installer->runner != NULL ?
		       kt_runner_look(reconciler->installer->runner, reconciler->stuck, STUCK_GRACE_MS) :
		       kt_stuck_look(reconciler->stuck, STUCK_GRACE_MS);
}

/* Beside a process that does not go nothing is started, as it would end there too: what was seen last stands, but for
 * the verdict, and without one the plan lands nothing and no proof is made. */
static void observe_beside_stuck(const struct kt_reconciler *reconciler, struct kt_observed *observed)
{
	const struct kt_stuck *stuck = reconciler->stuck;
	char since[KT_CLOCK_TEXT_MAX];

	kt_clock_text(stuck->since, since);
	observed->probe = reconciler->probe;
	kt_verdict_set(&observed->probe.kvm.verdict, false, KT_REASON_STUCK_IN_KERNEL,
		       "process %d (%s) was killed but is stuck in the kernel since %s; checks are suspended",
		       (int)stuck->pid, stuck->program, since);
}

static void observe_node(struct kt_reconciler *reconciler, struct kt_observed *observed)
{
	kt_observe_node(reconciler->installer, observed);
	reconciler->probe = observed->probe;
}

/* Was what is wanted brought about by us, once? A person's command is no agent, and undoes what it likes. */
static bool has_acted(const struct kt_reconciler *reconciler)
{
	const struct kt_desired *desired = &reconciler->desired;

	if (reconciler->is_attended)
		return false;
	return desired->absent ? reconciler->has_removed : strcmp(reconciler->activated, desired->manifest_sha256) == 0;
}

static void observe(struct kt_reconciler *reconciler, struct kt_observed *observed, struct kt_state_store *store)
{
	const struct kt_installer *installer = reconciler->installer;

	kt_desired_read(installer, &reconciler->desired);
	if (is_stuck(reconciler))
		observe_beside_stuck(reconciler, observed);
	else
		observe_node(reconciler, observed);
	kt_observe_store(installer, &reconciler->desired, observed, store);
	if (has_acted(reconciler))
		kt_observe_contender(installer, &reconciler->desired, observed);
	if (reconciler->is_attended) { /* a person asks, now: what was rolled back or failed before is no answer */
		observed->is_held = observed->failed_before = false;
		observed->failure = (struct kt_error){.reason = KT_REASON_NONE};
	}
	kt_attempts_fill(&reconciler->attempts, &reconciler->desired, kt_clock_boot_ms(), observed);
	if (reconciler->scrubber != NULL)
		kt_scrubber_note(reconciler->scrubber, &observed->inventory);
	memset(&observed->proof, 0, sizeof observed->proof);
	if (observed->inventory.current[0] != '\0' && observed->inventory.is_whole && observed->probe.kvm.verdict.ok)
		kt_proof_ask(installer, NULL, &observed->proof);
	if (is_stuck(reconciler))
		observe_beside_stuck(reconciler, observed);
}

static void fill_state(const struct kt_reconciler *reconciler, const struct kt_observed *observed,
		       struct kt_state *state)
{
	const struct kt_inventory *inventory = &observed->inventory;

	kt_state_stamp(state);
	kt_inventory_versions(inventory, &state->versions);
	snprintf(state->versions.desired, sizeof state->versions.desired, "%s",
		 reconciler->desired.absent ? "" : reconciler->desired.version);
	kt_state_set_probe(state, &observed->probe);
	state->proof = observed->proof;
	if (reconciler->stuck != NULL && reconciler->stuck->child != 0) {
		state->reconciles.stuck_pid = (unsigned)reconciler->stuck->pid;
		state->reconciles.stuck_since = reconciler->stuck->since;
	}
	state->store.installs_ok = reconciler->installs_ok;
	state->store.installs_failed = reconciler->installs_failed;
	state->store.verified_at = inventory->verified_at;
	if (reconciler->scrubber != NULL) {
		state->store.verify_interval_s = reconciler->installer->config.verify_interval_s;
		state->store.mismatches = reconciler->scrubber->mismatches;
		snprintf(state->store.last_mismatch, sizeof state->store.last_mismatch, "%s",
			 reconciler->scrubber->last_mismatch);
	}
	kt_judge(&reconciler->desired, observed, &state->node, &state->rollout);
	kt_judge_upgrade(&reconciler->desired, observed, &state->store.upgrade);
}

/* Runs a job that answers {} when done, or its error. */
static int act_in_child(struct kt_reconciler *reconciler, const char *job, struct kt_error *err)
{
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};

	return kt_job_do(reconciler->installer, job, &result, err);
}

static int act(struct kt_reconciler *reconciler, enum kt_step step, struct kt_error *err)
{
	const struct kt_installer *installer = reconciler->installer;
	bool is_root_kept;

	if (step == KT_STEP_LAND)
		return reconciler->is_attended ? kt_land(installer, false, err) : act_in_child(reconciler, "land", err);
	return reconciler->is_attended ? kt_remove(installer, &is_root_kept, err) :
					 act_in_child(reconciler, "remove", err);
}

static void take_step(struct kt_reconciler *reconciler, enum kt_step step)
{
	struct kt_error err = {.reason = KT_REASON_NONE};
	int failed = act(reconciler, step, &err);

	if (step == KT_STEP_REMOVE && !failed)
		reconciler->has_removed = true;
	if (step == KT_STEP_LAND && !failed)
		memcpy(reconciler->activated, reconciler->desired.manifest_sha256, sizeof(reconciler->activated));
	if (step == KT_STEP_LAND && failed)
		reconciler->installs_failed++;
	else if (step == KT_STEP_LAND)
		reconciler->installs_ok++;
	kt_attempts_note(&reconciler->attempts, reconciler->desired.manifest_sha256, failed ? &err : NULL,
			 kt_clock_boot_ms());
}

unsigned kt_reconcile_wait_s(const struct kt_reconciler *reconciler)
{
	return kt_attempts_wait_s(&reconciler->attempts, kt_clock_boot_ms());
}

static void look(struct kt_reconciler *reconciler, struct kt_observed *observed, struct kt_state *ret_state,
		 struct kt_plan *ret_plan)
{
	*observed = (struct kt_observed){.store_open = false};
	kt_state_init(ret_state);
	observe(reconciler, observed, &ret_state->store);
	fill_state(reconciler, observed, ret_state);
	kt_plan(&reconciler->desired, observed, ret_plan);
}

void kt_reconcile_look(struct kt_reconciler *reconciler, struct kt_state *ret_state, struct kt_plan *ret_plan)
{
	struct kt_observed observed;

	look(reconciler, &observed, ret_state, ret_plan);
}

void kt_reconcile(struct kt_reconciler *reconciler, struct kt_state *ret_state, enum kt_step *ret_step)
{
	const struct kt_installer *installer = reconciler->installer;
	struct kt_observed observed;
	struct kt_plan plan;

	look(reconciler, &observed, ret_state, &plan);
	if (ret_step != NULL)
		*ret_step = plan.step;
	if (plan.step != KT_STEP_NOTHING) {
		if (reconciler->announce != NULL)
			reconciler->announce(reconciler->context, ret_state);
		take_step(reconciler, plan.step);
		if (reconciler->acted != NULL)
			reconciler->acted(reconciler->context);
		look(reconciler, &observed, ret_state, &plan);
	}
	if (!is_stuck(reconciler)) /* it would be asked about, too, and may not let go of who asks */
		kt_keeper_tend(&reconciler->keeper, installer, &ret_state->store.kept, kt_clock_boot_ms());
	if (reconciler->scrubber != NULL)
		kt_scrubber_tend(reconciler->scrubber, installer, &observed.inventory);
}
