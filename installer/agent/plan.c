/* One table, read from the top: the first row that holds decides. A row that stands in the way of landing
 * never takes away what already serves: the old version stays current whatever the new one's trouble is. */
#include "plan.h"

#include <stdio.h>
#include <string.h>

/* A damaged set is not current: landing its bundle again writes anew what is damaged and nothing else. */
static bool is_current(const struct kt_desired *desired, const struct kt_observed *observed)
{
	return observed->inventory.is_whole && strcmp(observed->inventory.current, desired->version) == 0 &&
	       strcmp(observed->inventory.manifest_sha256, desired->manifest_sha256) == 0;
}

static void obstacle(struct kt_plan *plan, enum kt_reason reason, const char *why)
{
	plan->step = KT_STEP_NOTHING;
	kt_verdict_set(&plan->obstacle, false, reason, "%s", why);
}

static void obstacle_held(struct kt_plan *plan, const struct kt_desired *desired, const struct kt_inventory *inventory)
{
	plan->step = KT_STEP_NOTHING;
	kt_verdict_set(&plan->obstacle, false, KT_REASON_ROLLED_BACK,
		       "version %s was rolled back to %s on this node: kontain-installer install or rollback --to %s "
		       "activates it again; another bundle is installed as usual",
		       desired->version, inventory->current, desired->version);
}

static void plan_absent(const struct kt_observed *observed, struct kt_plan *ret_plan)
{
	if (observed->contender[0] != '\0')
		obstacle(ret_plan, KT_REASON_CONTESTED, observed->contender);
	else if (observed->store_open && observed->inventory.is_ours)
		ret_plan->step = KT_STEP_REMOVE;
	else if (!observed->store_open && observed->store_error.reason != KT_REASON_NO_VERSION)
		obstacle(ret_plan, observed->store_error.reason, observed->store_error.text);
}

void kt_plan(const struct kt_desired *desired, const struct kt_observed *observed, struct kt_plan *ret_plan)
{
	*ret_plan = (struct kt_plan){.step = KT_STEP_NOTHING};
	if (desired->absent)
		plan_absent(observed, ret_plan);
	else if (!desired->asked)
		return;
	else if (desired->bundle_error.reason != KT_REASON_NONE)
		obstacle(ret_plan, desired->bundle_error.reason, desired->bundle_error.text);
	else if (!observed->store_open && observed->store_error.reason != KT_REASON_NO_VERSION)
		obstacle(ret_plan, observed->store_error.reason, observed->store_error.text);
	else if (observed->store_open && observed->inventory.is_foreign && !observed->inventory.is_adoptable)
		obstacle(ret_plan, KT_REASON_FOREIGN_INSTALLATION, observed->inventory.damage);
	else if (observed->store_open && is_current(desired, observed))
		return;
	/* a person chose what is current; where nothing is, there is nothing to keep */
	else if (observed->is_held && observed->inventory.current[0] != '\0')
		obstacle_held(ret_plan, desired, &observed->inventory);
	else if (observed->contender[0] != '\0')
		obstacle(ret_plan, KT_REASON_CONTESTED, observed->contender);
	else if (!observed->probe.kvm.verdict.ok)
		obstacle(ret_plan, observed->probe.kvm.verdict.reason, observed->probe.kvm.verdict.message);
	else if (!observed->probe.host.verdict.ok)
		obstacle(ret_plan, observed->probe.host.verdict.reason, observed->probe.host.verdict.message);
	else if (observed->failed_before || observed->is_too_soon)
		obstacle(ret_plan, observed->failure.reason, observed->failure.text);
	else
		ret_plan->step = KT_STEP_LAND;
}

static void judge_node(const struct kt_desired *desired, const struct kt_observed *observed, const struct kt_plan *plan,
		       struct kt_verdict *ret_node)
{
	const struct kt_inventory *inventory = &observed->inventory;

	/* Where nothing is wanted and nothing is there, what the node could do is not the question. */
	if (desired->absent && inventory->current[0] == '\0' && plan->obstacle.reason == KT_REASON_NONE)
		kt_verdict_set(ret_node, false, KT_REASON_ABSENT, "Kontain is disabled on this node");
	/* Without a version the first obstacle on the way to one is the answer: after it the next will show. */
	else if (inventory->current[0] == '\0' && plan->obstacle.reason != KT_REASON_NONE)
		kt_verdict_set(ret_node, false, plan->obstacle.reason, "%s", plan->obstacle.message);
	else if (!observed->probe.kvm.verdict.ok)
		*ret_node = observed->probe.kvm.verdict;
	else if (!observed->probe.host.verdict.ok)
		*ret_node = observed->probe.host.verdict;
	else if (inventory->current[0] != '\0' && !inventory->is_whole)
		kt_verdict_set(ret_node, false, inventory->damage_reason, "version %s: %s", inventory->current,
			       inventory->damage);
	else if (inventory->current[0] != '\0' && observed->proof.ran)
		*ret_node = observed->proof.verdict;
	else if (observed->failure.reason != KT_REASON_NONE)
		kt_verdict_fail(ret_node, &observed->failure);
	else
		kt_verdict_set(ret_node, false, KT_REASON_NO_VERSION, "no version of km is installed");
}

bool kt_plan_is_settled(bool unfit_not_ready, enum kt_reason reason, enum kt_serves serves)
{
	bool is_unfit = kt_reason_get(reason)->fault == KT_FAULT_NODE;

	return kt_reason_is_settled(reason, serves) && !(is_unfit && unfit_not_ready);
}

static void judge_cause(const struct kt_desired *desired, enum kt_serves serves, enum kt_reason reason,
			const char *message, struct kt_verdict *ret_rollout)
{
	kt_verdict_set(ret_rollout, kt_plan_is_settled(desired->unfit_not_ready, reason, serves), reason, "%s",
		       message);
}

static void judge_absent(const struct kt_observed *observed, const struct kt_plan *plan, struct kt_verdict *ret_rollout)
{
	if (plan->obstacle.reason != KT_REASON_NONE)
		kt_verdict_set(ret_rollout, false, plan->obstacle.reason, "%s", plan->obstacle.message);
	else if (plan->step == KT_STEP_REMOVE && observed->failure.reason != KT_REASON_NONE)
		kt_verdict_fail(ret_rollout, &observed->failure);
	else if (plan->step == KT_STEP_REMOVE)
		kt_verdict_set(ret_rollout, false, KT_REASON_STARTING, "the installation is being removed");
	else
		kt_verdict_set(ret_rollout, true, KT_REASON_ABSENT, "not installed");
}

void kt_judge(const struct kt_desired *desired, const struct kt_observed *observed, struct kt_verdict *ret_node,
	      struct kt_verdict *ret_rollout)
{
	struct kt_plan plan;
	enum kt_serves serves;

	kt_plan(desired, observed, &plan);
	judge_node(desired, observed, &plan, ret_node);
	serves = !ret_node->ok ? KT_SERVES_NOTHING : is_current(desired, observed) ? KT_SERVES_ASKED : KT_SERVES_OTHER;
	if (desired->absent)
		judge_absent(observed, &plan, ret_rollout);
	else if (ret_node->ok && (serves == KT_SERVES_ASKED || !desired->asked))
		kt_verdict_set(ret_rollout, true, KT_REASON_READY, "version %s is current and proven",
			       observed->inventory.current);
	else if (plan.obstacle.reason != KT_REASON_NONE)
		judge_cause(desired, serves, plan.obstacle.reason, plan.obstacle.message, ret_rollout);
	else if (plan.step == KT_STEP_LAND && observed->failure.reason != KT_REASON_NONE)
		judge_cause(desired, serves, observed->failure.reason, observed->failure.text, ret_rollout);
	else if (plan.step == KT_STEP_LAND)
		kt_verdict_set(ret_rollout, false, KT_REASON_STARTING, "version %s is not installed yet",
			       desired->version);
	else
		judge_cause(desired, serves, ret_node->reason, ret_node->message, ret_rollout);
}

void kt_judge_upgrade(const struct kt_desired *desired, const struct kt_observed *observed,
		      struct kt_upgrade *ret_upgrade)
{
	bool is_there = observed->inventory.current[0] != '\0';
	struct kt_plan plan;

	kt_plan(desired, observed, &plan);
	*ret_upgrade = (struct kt_upgrade){.state = KT_UPGRADE_NONE};
	if (desired->absent)
		return;
	if (is_there && (!desired->asked || is_current(desired, observed)))
		ret_upgrade->state = KT_UPGRADE_DONE;
	else if (plan.obstacle.reason == KT_REASON_ROLLED_BACK)
		ret_upgrade->state = KT_UPGRADE_HELD;
	/* a node on which nothing was ever tried has no upgrade that failed */
	else if (desired->version[0] != '\0' &&
		 (observed->failure.reason != KT_REASON_NONE || (is_there && plan.obstacle.reason != KT_REASON_NONE)))
		ret_upgrade->state = KT_UPGRADE_FAILED;
	if (ret_upgrade->state == KT_UPGRADE_HELD || ret_upgrade->state == KT_UPGRADE_FAILED)
		memcpy(ret_upgrade->version, desired->version, sizeof(ret_upgrade->version));
}

const char *kt_step_name(enum kt_step step)
{
	static const char *const names[] = {
		[KT_STEP_NOTHING] = "nothing", [KT_STEP_LAND] = "land", [KT_STEP_REMOVE] = "remove"};

	return names[step];
}
