/* One loop, one thread. Whatever wakes it, it looks at the same things in the same order: the state file, whether what
 * it says may be believed now, what the API server should have, what is due. A lost event costs time, never truth. */
#include "agent.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/fs.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"
#include "kontain/base/signals.h"
#include "kontain/contract/statefile.h"
#include "kube/events.h"
#include "kube/guard.h"
#include "kube/reporter.h"
#include "kube/watch.h"
#include "serve/health.h"
#include "serve/metrics.h"

#define SLOW_POLL_MS 5000 /* in case inotify is lost */
#define FAST_POLL_MS 1000 /* where it cannot be had */
/* A pod's two containers start at once: the installer gets this long to say something before Unknown is reported. */
#define START_GRACE_MS 5000

enum { FD_SIGNALS, FD_HTTP, FD_ALARM, FD_STATE, FD_COUNT };

struct agent {
	const struct kt_agent_settings *settings;
	char boot_id[37];
	struct kt_statefile file;
	struct kt_kube *kube;
	struct kt_http *http;
	struct kt_reporter reporter;
	struct kt_guard guard;
	struct kt_watch watch;
	struct kt_events events;
	int signals;
	int alarm;
	int64_t started_ms;
	int64_t look_at_ms;
	bool is_believed;
	struct kt_error why; /* when not */
	bool is_told;        /* the verdict below is in the log */
	char told[512];
	char told_problem[sizeof(((struct kt_reporter *)0)->problem)];
	bool has_told_report;
	struct kt_report told_report;
	enum kt_guard_answer told_guard;
	uint64_t told_events;
	char told_event[sizeof(((struct kt_events *)0)->problem)];
	bool is_watch_told; /* to be down */
	char told_watch[sizeof(((struct kt_watch *)0)->problem)];
};

static bool is_standalone(const struct agent *agent)
{
	return !agent->settings->node_name;
}

/* NULL when there is none that may be believed: agent->why says why. */
static const struct kt_state *believed_state(const struct agent *agent)
{
	return agent->is_believed ? &agent->file.state : NULL;
}

/* ---- what is logged: changes ---- */

/* A pair without a value is left out of the line. */
static const char *or_nothing(const char *text)
{
	return text[0] ? text : NULL;
}

static void tell_verdict(struct agent *agent)
{
	const struct kt_state *state = believed_state(agent);
	char now[sizeof(agent->told)];

	if (state)
		snprintf(now, sizeof(now), "%d %s %d %s %s", state->node.ok, kt_reason_name(state->node.reason),
			 state->rollout.ok, kt_reason_name(state->rollout.reason), state->versions.current);
	else
		snprintf(now, sizeof(now), "%s %.400s", kt_reason_name(agent->why.reason), agent->why.text);
	if (agent->is_told && kt_report_is_same_sentence(now, agent->told))
		return;
	snprintf(agent->told, sizeof(agent->told), "%s", now);
	agent->is_told = true;
	if (!state) {
		kt_log(KT_LOG_WARN, "node unknown", "reason", kt_reason_name(agent->why.reason), "err", agent->why.text,
		       NULL);
		return;
	}
	kt_log(KT_LOG_INFO, state->node.ok ? "node ready" : "node not ready", "reason",
	       kt_reason_name(state->node.reason), "message", state->node.message, "version",
	       or_nothing(state->versions.current), NULL);
	kt_log(KT_LOG_INFO, state->rollout.ok ? "version settled" : "version not settled", "reason",
	       kt_reason_name(state->rollout.reason), "message", state->rollout.message, "version",
	       or_nothing(state->versions.desired), NULL);
}

static void tell_report(struct agent *agent)
{
	const struct kt_reporter *reporter = &agent->reporter;
	const struct kt_report *confirmed = &reporter->confirmed;

	if (reporter->problem[0] && !kt_report_is_same_sentence(reporter->problem, agent->told_problem)) {
		kt_log(KT_LOG_WARN, "not reported", "step", "report", "err", reporter->problem, NULL);
		snprintf(agent->told_problem, sizeof(agent->told_problem), "%s", reporter->problem);
		agent->has_told_report = false;
	}
	if (reporter->problem[0] || !reporter->has_confirmed || confirmed->hold ||
	    !kt_report_is_same(confirmed, &reporter->want) ||
	    (agent->has_told_report && kt_report_is_same(confirmed, &agent->told_report)))
		return;
	kt_log(KT_LOG_INFO, confirmed->absent ? "report withdrawn" : "reported", "node", reporter->node_name, "status",
	       confirmed->absent ? NULL : kt_condition_status_name(confirmed->status), "reason",
	       confirmed->absent ? NULL : confirmed->reason, NULL);
	agent->told_problem[0] = '\0';
	agent->told_report = *confirmed;
	agent->has_told_report = true;
}

static void tell_guard(struct agent *agent)
{
	bool is_open = agent->guard.answer == KT_GUARD_OPEN, is_expected = agent->settings->config.unguarded;

	if (agent->guard.answer == agent->told_guard)
		return;
	agent->told_guard = agent->guard.answer;
	if (is_open)
		kt_log(is_expected ? KT_LOG_INFO : KT_LOG_WARN, "policy not in force", "err",
		       is_expected ?
			       NULL :
			       "the API server would have taken a foreign label: this token can change any node; apply "
			       "manifests/base/policy.yaml, or set report.unguarded in the config",
		       NULL);
	else
		kt_log(KT_LOG_INFO, "policy in force", NULL);
}

/* One that ended comes back in a moment; one that cannot be had is told once a cause. */
static void tell_watch(struct agent *agent)
{
	const struct kt_watch *watch = &agent->watch;

	if (kt_watch_is_well(watch) && agent->is_watch_told) {
		kt_log(KT_LOG_INFO, "watching the node", NULL);
		agent->is_watch_told = false;
		agent->told_watch[0] = '\0';
	}
	if (!watch->problem[0] || (watch->failures < 2 && !watch->is_forbidden) ||
	    kt_report_is_same_sentence(watch->problem, agent->told_watch))
		return;
	kt_log(KT_LOG_WARN, "not watching the node: what others change is found at the heartbeat", "err",
	       watch->problem, NULL);
	snprintf(agent->told_watch, sizeof(agent->told_watch), "%s", watch->problem);
	agent->is_watch_told = true;
}

static void tell_events(struct agent *agent)
{
	const char *problem = agent->events.problem;

	if (kt_report_is_same_sentence(problem, agent->told_event))
		return;
	if (problem[0])
		kt_log(KT_LOG_WARN, "no event", "err", problem, NULL);
	snprintf(agent->told_event, sizeof(agent->told_event), "%s", problem);
}

/* ---- what is so ---- */

/* Asked anew before each use: time alone makes a state overdue. */
static void judge(struct agent *agent)
{
	agent->is_believed = agent->file.has_state;
	if (!agent->is_believed)
		agent->why = agent->file.why;
	else if (kt_state_believable(&agent->file.state, agent->boot_id, (uint64_t)kt_clock_boot_ms() / 1000,
				     &agent->why) < 0)
		agent->is_believed = false;
}

static void wish(struct agent *agent, int64_t now_ms)
{
	struct kt_report_input input = {
		.state = believed_state(agent),
		.why = &agent->why,
		.boot_id = agent->boot_id,
		.desired_absent = agent->settings->config.desired_absent,
		.legacy_label = agent->settings->config.legacy_label,
	};
	struct kt_report report;

	if (!input.state && now_ms - agent->started_ms < START_GRACE_MS)
		return;
	kt_report_decide(&input, &report);
	kt_reporter_want(&agent->reporter, &report, now_ms);
}

/* ---- the API server ---- */

/* Whose request it was: one is under way at a time. */
static void take_reply(struct agent *agent, const struct kt_kube_reply *reply, int64_t now_ms)
{
	if (agent->guard.is_asking)
		kt_guard_take(&agent->guard, reply, now_ms);
	else if (agent->events.is_asking)
		kt_events_take(&agent->events, reply, now_ms);
	else
		kt_reporter_take(&agent->reporter, reply, now_ms, time(NULL));
}

/* The report comes first, and who leaves has no question and no event. */
static bool may_ask(const struct agent *agent)
{
	const struct kt_reporter *reporter = &agent->reporter;

	return !kt_kube_is_busy(agent->kube) && reporter->step == KT_STEP_IDLE && reporter->has_confirmed &&
	       !reporter->want.hold && !reporter->want.absent &&
	       kt_report_is_same(&reporter->want, &reporter->confirmed);
}

static bool take_watched(void *context, const char *bytes, size_t size)
{
	struct agent *agent = context;

	return kt_watch_feed(&agent->watch, bytes, size, kt_clock_boot_ms());
}

/* Who leaves needs no watch. */
static bool may_watch(const struct agent *agent)
{
	return agent->reporter.has_want && !agent->reporter.want.absent;
}

static void keep_watch(struct agent *agent, int64_t now_ms)
{
	struct kt_watch *watch = &agent->watch;
	struct kt_kube_request request = {0};
	struct kt_kube_reply reply = {0};
	struct kt_error err = {0};

	if (watch->events != agent->told_events) {
		agent->told_events = watch->events;
		malloc_trim(0); /* as below */
	}
	if (kt_kube_watch_finish(agent->kube, &reply))
		kt_watch_end(watch, &reply, now_ms);
	else if (kt_watch_is_silent(watch, now_ms))
		kt_kube_watch_stop(agent->kube);
	if (may_watch(agent) && kt_watch_next(watch, now_ms, &request) &&
	    kt_kube_watch(agent->kube, &request, take_watched, agent, &err) < 0) {
		snprintf(reply.problem, sizeof(reply.problem), "%.250s", err.text);
		reply.code = 0;
		kt_watch_end(watch, &reply, now_ms);
	}
	tell_watch(agent);
}

static void converse(struct agent *agent, int64_t now_ms)
{
	struct kt_reporter *reporter = &agent->reporter;
	struct kt_kube_request request = {0};
	struct kt_kube_reply reply = {0};
	struct kt_error err = {0};

	if (kt_kube_finish(agent->kube, &reply)) {
		take_reply(agent, &reply, now_ms);
		/* A Node's JSON is large beside all else here: what it took is given back. */
		malloc_trim(0);
	}
	if (reporter->has_node)
		kt_events_begin(&agent->events, &reporter->node);
	if (!kt_kube_is_busy(agent->kube) &&
	    (kt_reporter_next(reporter, now_ms, time(NULL), &request) ||
	     (may_ask(agent) &&
	      (kt_events_next(&agent->events, now_ms, &request) || kt_guard_next(&agent->guard, now_ms, &request)))) &&
	    kt_kube_start(agent->kube, &request, &err) < 0) {
		snprintf(reply.problem, sizeof(reply.problem), "%.250s", err.text);
		reply.code = 0;
		take_reply(agent, &reply, now_ms);
	}
	if (reporter->is_settled)
		kt_events_see(&agent->events, &reporter->want, time(NULL));
	tell_report(agent);
	tell_guard(agent);
	tell_events(agent);
}

/* ---- HTTP ---- */

static enum kt_policy policy_of(const struct agent *agent)
{
	static const enum kt_policy policies[] = {
		[KT_GUARD_UNKNOWN] = KT_POLICY_UNKNOWN,
		[KT_GUARD_IN_FORCE] = KT_POLICY_IN_FORCE,
		[KT_GUARD_OPEN] = KT_POLICY_OPEN,
	};

	return policies[agent->guard.answer];
}

static void answer_health(struct agent *agent, const struct kt_http_request *request, struct kt_http_reply *reply)
{
	char problem[sizeof(agent->reporter.problem)] = "";
	struct kt_health_input input = {
		.state = believed_state(agent),
		.why = &agent->why,
		.is_standalone = is_standalone(agent),
		.report_problem = problem,
		.policy = policy_of(agent),
		.is_unguarded = agent->settings->config.unguarded,
	};
	struct kt_health health;

	input.is_reported = !input.is_standalone &&
			    kt_reporter_is_reported(&agent->reporter, kt_clock_boot_ms(), problem, sizeof(problem));
	kt_health_judge(&input, &health);
	kt_health_answer(&health, request, reply);
}

/* Of a state of another boot nothing is known by this clock: no age. */
static int64_t state_age_s(const struct agent *agent)
{
	int64_t now_s = kt_clock_boot_ms() / 1000;
	uint64_t observed_s = agent->file.state.observed_boot_s;

	return observed_s < (uint64_t)now_s ? now_s - (int64_t)observed_s : 0;
}

static void answer_metrics(struct agent *agent, struct kt_http_reply *reply)
{
	struct kt_metrics_request_count requests[KT_KUBE_COUNTS];
	const struct kt_kube_count *counts;
	struct kt_metrics_input input = {
		.state = believed_state(agent),
		.why = &agent->why,
		.has_age = agent->file.has_state && strcmp(agent->file.state.boot_id, agent->boot_id) == 0,
		.age_s = agent->file.has_state ? state_age_s(agent) : 0,
		.request_count = kt_kube_counts(agent->kube, &counts),
		.requests = requests,
		.is_watch_known = !is_standalone(agent),
		.is_watching = agent->watch.is_up,
		.undone = agent->reporter.undone,
		.is_policy_known = policy_of(agent) != KT_POLICY_UNKNOWN,
		.is_policy_in_force = policy_of(agent) == KT_POLICY_IN_FORCE,
	};

	for (size_t i = 0; i < input.request_count; i++)
		requests[i] = (struct kt_metrics_request_count){counts[i].verb, counts[i].code, counts[i].count};
	kt_metrics_answer(&input, reply);
}

static void answer(void *context, const struct kt_http_request *request, struct kt_http_reply *reply)
{
	struct agent *agent = context;

	judge(agent);
	if (strcmp(request->path, "/metrics") == 0)
		answer_metrics(agent, reply);
	else
		answer_health(agent, request, reply);
}

/* ---- the loop ---- */

static void look(struct agent *agent, bool read_anyway)
{
	kt_statefile_look(&agent->file, read_anyway);
	agent->look_at_ms = kt_clock_boot_ms() + (agent->file.inotify < 0 ? FAST_POLL_MS : SLOW_POLL_MS);
}

/* Until the state may be no longer believed: nobody tells us when that is. */
static int64_t overdue_ms(const struct agent *agent)
{
	/* A promise is believable for so long that this does not overflow. */
	int64_t left_ms = agent->is_believed ?
				  (int64_t)(agent->file.state.next_update_boot_s + 1) * 1000 - kt_clock_boot_ms() :
				  INT32_MAX;

	return left_ms > 0 ? left_ms : 0;
}

static int pause_ms(const struct agent *agent)
{
	int64_t now = kt_clock_boot_ms(), pause = agent->look_at_ms - now, other = overdue_ms(agent);
	int http = kt_http_timeout_ms(agent->http);

	if (other < pause)
		pause = other;
	if (http >= 0 && http < pause)
		pause = http;
	if (!is_standalone(agent)) {
		/* What is due next waits for the answer to what is under way. */
		int64_t due = kt_kube_is_busy(agent->kube) ? INT64_MAX : kt_reporter_due_ms(&agent->reporter);

		if (may_ask(agent) && agent->guard.ask_at_ms < due)
			due = agent->guard.ask_at_ms;
		if (may_ask(agent) && kt_events_due_ms(&agent->events) < due)
			due = kt_events_due_ms(&agent->events);
		if (may_watch(agent) && kt_watch_due_ms(&agent->watch) < due)
			due = kt_watch_due_ms(&agent->watch);
		if (due < INT64_MAX && due - now < pause)
			pause = due - now;
		if (agent->started_ms + START_GRACE_MS > now && agent->started_ms + START_GRACE_MS - now < pause)
			pause = agent->started_ms + START_GRACE_MS - now;
	}
	return pause > 0 ? (int)pause : 0;
}

/* True when it was told to end. */
static bool take_signal(const struct agent *agent)
{
	const char *name = kt_signals_take(agent->signals);

	if (name)
		kt_log(KT_LOG_INFO, "stopped", "reason", name, NULL);
	return name;
}

static int loop(struct agent *agent, struct kt_error *err)
{
	for (;;) {
		struct pollfd fds[FD_COUNT] = {
			[FD_SIGNALS] = {.fd = agent->signals, .events = POLLIN},
			[FD_HTTP] = {.fd = kt_http_fd(agent->http), .events = POLLIN},
			[FD_ALARM] = {.fd = agent->alarm, .events = POLLIN},
			[FD_STATE] = {.fd = agent->file.inotify, .events = POLLIN},
		};
		int64_t now = kt_clock_boot_ms();
		bool is_news;
		int r, pause;

		judge(agent);
		tell_verdict(agent);
		if (!is_standalone(agent)) {
			wish(agent, now);
			keep_watch(agent, now);
			converse(agent, now);
		}
		pause = pause_ms(agent);
		kt_clock_alarm_set(agent->alarm, pause);
		r = kt_kube_wait(agent->kube, fds, agent->file.inotify < 0 ? FD_STATE : FD_COUNT, pause, err);
		if (r < 0)
			return r;
		if (fds[FD_SIGNALS].revents && take_signal(agent))
			return 0;
		is_news = fds[FD_STATE].revents && kt_statefile_take(&agent->file);
		if (is_news || kt_clock_boot_ms() >= agent->look_at_ms)
			look(agent, is_news);
		kt_http_run(agent->http);
	}
}

static int open_all(struct agent *agent, struct kt_error *err)
{
	const struct kt_agent_settings *settings = agent->settings;
	struct kt_kube_settings kube = {
		.host = is_standalone(agent) ? NULL : settings->api_host,
		.port = settings->api_port,
		.credentials = settings->credentials,
		.user_agent = KT_FIELD_MANAGER "/" KONTAIN_VERSION,
	};
	const char *problem;
	int r = kt_fs_boot_id(agent->boot_id);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_PROC_MISSING, "cannot read the kernel's boot id: mount /proc");
	agent->alarm = kt_clock_alarm_open();
	if (agent->alarm < 0)
		return kt_fail_errno(err, -agent->alarm, KT_REASON_INTERNAL, "cannot create a timer");
	r = kt_signals_open(&agent->signals, err);
	if (r == 0)
		r = kt_http_open(&settings->listen, answer, agent, &agent->http, err);
	if (r == 0)
		r = kt_kube_open(&kube, &agent->kube, err);
	if (r < 0)
		return r;
	kt_statefile_open(&agent->file, settings->state, &problem);
	if (problem)
		kt_log(KT_LOG_WARN, "inotify is unavailable; checking the state every second", "err", problem, NULL);
	return 0;
}

static void close_all(struct agent *agent)
{
	kt_statefile_close(&agent->file);
	kt_kube_close(&agent->kube);
	kt_watch_done(&agent->watch);
	kt_reporter_done(&agent->reporter);
	kt_http_close(&agent->http);
	kt_close_fd(&agent->signals);
	kt_close_fd(&agent->alarm);
}

int kt_agent_run(const struct kt_agent_settings *settings, struct kt_error *err)
{
	KT_OWN(close_all)
	struct agent agent = {.settings = settings, .signals = -1, .alarm = -1, .file = {.inotify = -1}};
	char address[KT_HTTP_ADDRESS_MAX];
	uint64_t seed = 0;
	int r = open_all(&agent, err);

	if (r < 0)
		return r;
	agent.started_ms = kt_clock_boot_ms();
	agent.look_at_ms = agent.started_ms + FAST_POLL_MS;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
		seed = (uint64_t)agent.started_ms << 20 ^ (uint64_t)getpid();
	if (!is_standalone(&agent))
		kt_reporter_init(&agent.reporter, settings->node_name, settings->config.heartbeat_s,
				 settings->config.start_delay_s, seed, agent.started_ms);
	kt_watch_init(&agent.watch, settings->node_name, &agent.reporter, settings->config.heartbeat_s,
		      settings->config.start_delay_s, seed ^ 0x9e3779b97f4a7c15);
	kt_events_init(&agent.events, settings->node_name, settings->config.heartbeat_s, seed, agent.started_ms);
	kt_guard_init(&agent.guard, settings->node_name, settings->config.heartbeat_s, seed, agent.started_ms);
	kt_http_address_text(agent.http, address);
	kt_log(KT_LOG_INFO, "serving", "address", address, "path", settings->state, "node",
	       is_standalone(&agent) ? "standalone" : settings->node_name, "landlock", settings->landlock, NULL);
	return loop(&agent, err);
}
