/* The resident agent: a round, the state published, a rest, and again.
 * SIGTERM ends it at once wherever it is: it may be killed at any instant anyway, and its children die with it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kontain/log.h"
#include "print.h"
#include "reconcile.h"
#include "verbs.h"

/* What a round may take beyond its rest: probe and proof with their deadlines, on a node that is busy. */
#define ROUND_SLACK_S 120
/* A landing may take as long as its child may, see reconcile.c. */
#define LANDING_SLACK_S (16 * 60)
/* What passes by itself (a lock, a busy KVM, a payload that still runs) is tried again sooner. */
#define RETRY_S 5

struct told {
	struct kt_verdict node;
	struct kt_verdict rollout;
	char current[KT_VERSION_MAX];
};

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

static int make_folder(const char *path, struct kt_error *err)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];

	if (slash == NULL || slash == path)
		return 0;
	snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
	if (mkdir(folder, 0755) != 0 && errno != EEXIST)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot make %s for the state file", folder);
	return 0;
}

static void publish(const struct kt_installer *installer, struct kt_state *state, unsigned within_s)
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	state->next_update_by = state->observed_at + within_s;
	if (kt_state_write(installer->options.state, state, &err) != 0)
		kt_log(KT_LOG_ERROR, "cannot publish the state", "reason", kt_reason_name(err.reason), "err", err.text,
		       NULL);
}

static void announce(void *context, struct kt_state *state)
{
	const struct kt_installer *installer = context;

	kt_log(KT_LOG_INFO, state->versions.desired[0] != '\0' ? "landing" : "removing", "version",
	       state->versions.desired, NULL);
	publish(installer, state, LANDING_SLACK_S);
}

/* One line a change: what is the same as in the last round is in the state and the metrics. */
static void tell(struct told *told, const struct kt_state *state)
{
	if (told->node.ok == state->node.ok && told->node.reason == state->node.reason &&
	    told->rollout.ok == state->rollout.ok && told->rollout.reason == state->rollout.reason &&
	    strcmp(told->current, state->versions.current) == 0)
		return;
	told->node = state->node;
	told->rollout = state->rollout;
	memcpy(told->current, state->versions.current, sizeof told->current);
	kt_log(state->node.ok ? KT_LOG_INFO : KT_LOG_WARN, state->node.ok ? "ready" : "not ready", "version",
	       state->versions.current[0] != '\0' ? state->versions.current : NULL, "reason",
	       kt_reason_name(state->node.reason), "message", state->node.message, "rollout",
	       kt_reason_name(state->rollout.reason), "settled", state->rollout.ok ? "true" : "false", NULL);
	if (state->node.reason != state->rollout.reason && !state->rollout.ok)
		kt_log(KT_LOG_WARN, "the version asked for is not current", "version", state->versions.desired,
		       "reason", kt_reason_name(state->rollout.reason), "message", state->rollout.message, NULL);
}

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
static void rest(unsigned seconds)
{
	unsigned random = 0;
	uint64_t ms = (uint64_t)seconds * 1000;

	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	ms = ms - ms / 10 + random % (ms / 5 + 1);
	nanosleep(&(struct timespec){.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000L}, NULL);
}

int kt_verb_run(struct kt_installer *installer)
{
	struct kt_reconciler reconciler = {.installer = installer, .announce = announce, .context = installer};
	struct told told = {.node.reason = KT_REASON_NONE};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_state state;

	signals_take();
	if (make_folder(installer->options.state, &err) != 0)
		return kt_print_error(&err);
	kt_log(KT_LOG_INFO, "started", "version", KONTAIN_VERSION, NULL);
	for (;;) {
		unsigned seconds;

		kt_reconcile(&reconciler, &state, NULL);
		seconds = rest_s(&reconciler, &state);
		publish(installer, &state, seconds + seconds / 10 + ROUND_SLACK_S);
		tell(&told, &state);
		if (installer->options.once)
			return (reconciler.desired.absent ? state.rollout.ok : state.node.ok) ? KT_EXIT_DONE
											      : KT_EXIT_FAILED;
		rest(seconds);
	}
}
