/* The resident agent: a reconcile, the state published, a rest, and again. A rest ends by the clock, or early by what
 * happens to the device or the store.
 * SIGTERM ends it at once wherever it is: it may be killed at any instant anyway, and its children die with it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "damping.h"
#include "debounce.h"
#include "jobs/call.h"
#include "jobs/jobs.h"
#include "jobs/rights.h"
#include "jobs/root.h"
#include "jobs/runner.h"
#include "kontain/base/clock.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"
#include "reconcile.h"
#include "watch.h"

/* What a reconcile's own work may take beside its jobs, on a node that is busy. */
#define ROUND_SLACK_S 60
/* What passes by itself (a lock, a busy KVM, a payload that still runs) is tried again sooner. */
#define RETRY_S 5
/* In case inotify and the kernel's announcements are lost: a few calls of stat. */
#define SLOW_LOOK_MS 5000

struct told {
	struct kt_verdict node;
	struct kt_verdict rollout;
	char current[KT_VERSION_MAX];
};

struct agent {
	struct kt_installer *installer; /* borrowed; a reconcile chooses its root */
	struct kt_reconciler reconciler;
	struct kt_watch watch; /* owned */
	struct kt_stuck stuck; /* owned */
	struct kt_scrubber scrubber;
	struct kt_debounce debounce;
	struct kt_damping damping;
	struct told told;
	enum kt_cause cause; /* of this reconcile */
	bool was_disturbed;  /* something happened to the device before it */
	uint64_t reconcile_count;
	int64_t held_until; /* Unix seconds */
};

static void agent_done(struct agent *agent)
{
	kt_watch_close(&agent->watch);
	kt_stuck_done(&agent->stuck);
}

static void end_now(int number)
{
	(void)number;
	_exit(KT_EXIT_DONE);
}

/* PID 1 of a container ignores a signal that it has no handler for. */
static void signals_take(void)
{
	struct sigaction action = {.sa_handler = end_now};

	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

/* By us and by all that ran for us. */
static int64_t taken_us(const struct agent *agent)
{
	const struct kt_runner *runner = agent->installer->runner;

	return kt_clock_cpu_us(RUSAGE_SELF) +
	       (runner != NULL ? kt_runner_cpu_us(runner) : kt_clock_cpu_us(RUSAGE_CHILDREN));
}

/* ---- what is promised ---- */

/* A reconcile is one probe, one proof and one sweep, each of which is stopped at its deadline. */
static unsigned reconcile_s(const struct kt_installer *installer)
{
	unsigned proof_ms = kt_proof_deadline_ms(&installer->config);

	return ROUND_SLACK_S +
	       (kt_job_find("probe")->timeout_max_ms + proof_ms + kt_job_find("sweep")->timeout_max_ms) / 1000;
}

/* A step, and what is looked at after it. */
static unsigned step_s(const struct kt_installer *installer)
{
	unsigned land_ms = kt_job_find("land")->timeout_max_ms, remove_ms = kt_job_find("remove")->timeout_max_ms;

	return (land_ms > remove_ms ? land_ms : remove_ms) / 1000 + reconcile_s(installer);
}

/* ---- what is reported ---- */

static void publish(const struct kt_installer *installer, struct kt_state *state, unsigned within_s)
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	kt_state_promise(state, within_s);
	if (kt_state_write(installer->options.state, state, &err) != 0)
		kt_log(KT_LOG_ERROR, "cannot publish the state", "reason", kt_reason_name(err.reason), "err", err.text,
		       NULL);
}

/* A node that was down too often in a short time is not ready before it has held for a while, though it is proven. */
static void hold_back(struct agent *agent, struct kt_state *state)
{
	struct kt_damping *damping = &agent->damping;
	int64_t now_ms = kt_clock_boot_ms();
	bool show = kt_damping_take(damping, state->node.ok, agent->was_disturbed, now_ms);

	agent->was_disturbed = false;
	agent->held_until = 0;
	if (state->node.ok && !show) {
		agent->held_until = time(NULL) + (damping->hold_until_ms - now_ms + 999) / 1000;
		kt_verdict_set(&state->node, false, KT_REASON_UNSTEADY,
			       "passing again; not Ready until stable for %u s: it failed %zu times within %d min",
			       damping->hold_s, damping->fall_count, KT_DAMPING_WINDOW_MS / 60000);
		if (state->rollout.reason == KT_REASON_READY)
			kt_verdict_set(&state->rollout,
				       kt_plan_is_settled(agent->installer->config.unfit_not_ready, KT_REASON_UNSTEADY,
							  KT_SERVES_NOTHING),
				       KT_REASON_UNSTEADY, "%s", state->node.message);
	}
	state->reconciles.ready_changes = damping->change_count;
	state->reconciles.held_back = damping->held_count;
	state->reconciles.held_until = agent->held_until;
}

static void fill_reconciles(const struct agent *agent, struct kt_state_reconciles *reconciles)
{
	reconciles->count = agent->reconcile_count;
	snprintf(reconciles->cause, sizeof reconciles->cause, "%s", kt_cause_name(agent->cause));
}

static void announce(void *context, struct kt_state *state)
{
	struct agent *agent = context;

	kt_log(KT_LOG_INFO, state->versions.desired[0] != '\0' ? "landing" : "removing", "version",
	       state->versions.desired, NULL);
	hold_back(agent, state);
	fill_reconciles(agent, &state->reconciles);
	publish(agent->installer, state, step_s(agent->installer));
}

/* Our own traces in the store ask for no other reconcile. */
static void acted(void *context)
{
	struct agent *agent = context;

	kt_watch_arm(&agent->watch);
}

/* One line a change: what is the same as in the last reconcile is in the state and the metrics. */
static void tell(struct told *told, const struct kt_state *state)
{
	const struct kt_state_reconciles *reconciles = &state->reconciles;
	char took[24], cpu[24];

	if (told->node.ok == state->node.ok && told->node.reason == state->node.reason &&
	    told->rollout.ok == state->rollout.ok && told->rollout.reason == state->rollout.reason &&
	    strcmp(told->current, state->versions.current) == 0)
		return;
	told->node = state->node;
	told->rollout = state->rollout;
	memcpy(told->current, state->versions.current, sizeof told->current);
	snprintf(took, sizeof took, "%u", reconciles->duration_ms);
	snprintf(cpu, sizeof cpu, "%u.%u", reconciles->cpu_us / 1000, reconciles->cpu_us / 100 % 10);
	kt_log(state->node.ok ? KT_LOG_INFO : KT_LOG_WARN, state->node.ok ? "ready" : "not ready", "version",
	       state->versions.current[0] != '\0' ? state->versions.current : NULL, "reason",
	       kt_reason_name(state->node.reason), "message", state->node.message, "rollout",
	       kt_reason_name(state->rollout.reason), KT_LOG_BARE("settled"), state->rollout.ok ? "true" : "false",
	       "cause", reconciles->cause, KT_LOG_BARE("took_ms"), took, KT_LOG_BARE("cpu_ms"), cpu, NULL);
	if (state->node.reason != state->rollout.reason && !state->rollout.ok)
		kt_log(KT_LOG_WARN, "desired version is not active", "version", state->versions.desired, "reason",
		       kt_reason_name(state->rollout.reason), "message", state->rollout.message, NULL);
}

/* ---- when ---- */

static unsigned rest_s(const struct kt_reconciler *reconciler, const struct kt_state *state)
{
	const struct kt_reason_info *cause = kt_reason_get(state->rollout.reason);
	unsigned interval_s = reconciler->installer->config.proof_interval_s;
	unsigned wait_s = kt_reconcile_wait_s(reconciler);

	if (state->rollout.ok || !cause->retry || !cause->transient)
		return interval_s;
	wait_s = wait_s > RETRY_S ? wait_s : RETRY_S;
	return wait_s < interval_s ? wait_s : interval_s;
}

/* 90 to 110 percent, so that the proofs of a fleet do not fall on one second. */
static int64_t spread_ms(unsigned seconds)
{
	unsigned random = 0;
	int64_t ms = (int64_t)seconds * 1000;

	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	return ms - ms / 10 + random % (ms / 5 + 1);
}

/* Until the next reconcile is due; returns why it is. */
static enum kt_cause rest(struct agent *agent, enum kt_cause by_the_clock)
{
	enum kt_cause seen = by_the_clock, cause = by_the_clock;
	bool is_freed = false;

	for (;;) {
		bool is_quiet = agent->debounce.first_event_ms == 0;
		int64_t left_ms = kt_debounce_due_ms(&agent->debounce) - kt_clock_boot_ms();

		if (left_ms <= 0)
			return is_quiet ? by_the_clock : cause;
		if (left_ms > SLOW_LOOK_MS)
			left_ms = SLOW_LOOK_MS;
		if (kt_watch_wait(&agent->watch, is_freed ? -1 : agent->stuck.pidfd, left_ms, &seen)) {
			is_freed = is_freed || seen == KT_CAUSE_FREED;
			agent->was_disturbed =
				agent->was_disturbed || seen == KT_CAUSE_DEVICE || seen == KT_CAUSE_KERNEL;
		} else if (is_quiet && kt_watch_look(&agent->watch)) {
			seen = KT_CAUSE_LOOK;
			(void)kt_watch_wait(&agent->watch, -1, 0, &seen); /* was it told, just now? */
		} else {
			continue;
		}
		if (is_quiet) /* the first of a burst gives it its name */
			cause = seen;
		kt_debounce_event(&agent->debounce, kt_clock_boot_ms());
	}
}

/* ---- the loop ---- */

/* The runner's choice is for its jobs, too. */
static void choose_root(struct kt_installer *installer)
{
	if (installer->runner != NULL)
		kt_runner_root(installer->runner, installer->root);
	else
		kt_root_choose(installer);
}

/* The reconcile itself, published and told; returns why the next one comes if nothing happens. */
static enum kt_cause reconcile_once(struct agent *agent, struct kt_state *state)
{
	int64_t started_ms = kt_clock_boot_ms(), ended_ms, due_ms, cpu_us = taken_us(agent);
	unsigned seconds;
	bool is_held;

	agent->reconcile_count++;
	kt_debounce_begin(&agent->debounce);
	choose_root(agent->installer);
	kt_watch_arm(&agent->watch);
	kt_reconcile(&agent->reconciler, state, NULL);
	hold_back(agent, state);
	fill_reconciles(agent, &state->reconciles);
	ended_ms = kt_clock_boot_ms();
	state->reconciles.duration_ms = (unsigned)(ended_ms - started_ms);
	state->reconciles.cpu_us = (unsigned)(taken_us(agent) - cpu_us);

	seconds = rest_s(&agent->reconciler, state);
	due_ms = ended_ms + spread_ms(seconds);
	is_held = agent->damping.hold_s > 0 && agent->damping.hold_until_ms < due_ms;
	kt_debounce_end(&agent->debounce, state->reconciles.cpu_us / 1000, ended_ms,
			is_held ? agent->damping.hold_until_ms : due_ms, kt_damping_is_shaky(&agent->damping));
	publish(agent->installer, state, (unsigned)((due_ms - ended_ms) / 1000) + reconcile_s(agent->installer));
	tell(&agent->told, state);
	return is_held                                             ? KT_CAUSE_HOLD :
	       seconds < agent->installer->config.proof_interval_s ? KT_CAUSE_RETRY :
								     KT_CAUSE_SCHEDULE;
}

static void open_watch(struct agent *agent)
{
	const char *problem;

	kt_watch_open(&agent->watch, agent->installer, &problem);
	if (problem != NULL)
		kt_log(KT_LOG_WARN, "change notifications are unavailable; polling instead", "err", problem, NULL);
}

int kt_agent_run(struct kt_installer *installer, bool *ret_is_fine, struct kt_error *err)
{
	KT_OWN(agent_done) struct agent agent = {.installer = installer, .cause = KT_CAUSE_START};
	char landlock[KT_LANDLOCK_TEXT_MAX] = "";
	struct kt_state state;
	int failed;

	agent.reconciler = (struct kt_reconciler){
		.installer = installer, .stuck = &agent.stuck, .announce = announce, .acted = acted, .context = &agent};
	kt_stuck_init(&agent.stuck);
	if (installer->runner == NULL)
		kt_stuck_inherit();
	kt_scrubber_init(&agent.scrubber);
	if (installer->runner != NULL) /* with --once it would end with the reconcile */
		agent.reconciler.scrubber = &agent.scrubber;
	signals_take();
	open_watch(&agent);
	failed = installer->runner != NULL ? kt_rights_agent_files(installer, landlock, err) :
					     kt_state_make_folder(installer->options.state, err);
	if (failed)
		return failed;
	kt_log(KT_LOG_INFO, "started", "version", KONTAIN_VERSION, "landlock", landlock[0] != '\0' ? landlock : NULL,
	       NULL);
	for (;;) {
		enum kt_cause by_the_clock = reconcile_once(&agent, &state);

		if (installer->options.once) {
			*ret_is_fine = agent.reconciler.desired.absent ? state.rollout.ok : state.node.ok;
			return 0;
		}
		agent.cause = rest(&agent, by_the_clock);
	}
}
