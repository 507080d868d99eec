/* One request at a time: READ the node, then META, CONDITION, TAINT as long as they differ, then idle until the wish
 * changes, the watch shows another node or the heartbeat is due. Every answer and every event of the watch is a whole
 * Node and becomes the next view: what somebody else removed is put back at once, and without a watch at the heartbeat.
 * A write that is refused, or undone by somebody, is tried a few times and then left behind: the other ones must not
 * wait for it. What stays refused, or is undone again and again, costs one write a heartbeat. */
#include "reporter.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jitter.h"
#include "kontain/base/own.h"
#include "kontain/contract/jsonbound.h"

#define BACKOFF_MOST_MS  30000
#define CONFLICT_MS      200   /* the node moved under us: read again at once */
#define TRIES            3     /* of one write */
#define MESSAGE_EVERY_MS 30000 /* a sentence alone is not written more often */
#define REPORT_GRACE_MS  60000
#define ANSWERS_AT_ONCE  10 /* to what others do to the node; then one more a heartbeat */

/* 90 to 110 percent of the heartbeat. */
static int64_t beat_interval_ms(struct kt_reporter *reporter)
{
	int64_t interval_ms = (int64_t)reporter->heartbeat_s * 1000;

	return interval_ms - interval_ms / 10 + kt_jitter_below(&reporter->random, interval_ms / 5 + 1);
}

bool kt_node_name_is_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > 253 || name[0] == '.' || name[0] == '-' || strstr(name, ".."))
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-") == length;
}

void kt_reporter_init(struct kt_reporter *reporter, const char *node_name, unsigned heartbeat_s, unsigned start_delay_s,
		      uint64_t seed, int64_t now_ms)
{
	memset(reporter, 0, sizeof(*reporter));
	snprintf(reporter->node_name, sizeof(reporter->node_name), "%s", node_name);
	reporter->heartbeat_s = heartbeat_s;
	reporter->random = seed ? seed : 1;
	reporter->node.taint_index = -1;
	/* The read waits too: thousands of agents that start at once cost the server most by their first requests. */
	reporter->not_before_ms = now_ms + kt_jitter_below(&reporter->random, (int64_t)start_delay_s * 1000);
	reporter->beat_at_ms = INT64_MAX;
	reporter->answers = ANSWERS_AT_ONCE;
	reporter->answers_at_ms = now_ms;
}

void kt_reporter_done(struct kt_reporter *reporter)
{
	kt_node_view_done(&reporter->node);
}

void kt_reporter_want(struct kt_reporter *reporter, const struct kt_report *report, int64_t now_ms)
{
	if (reporter->has_want && kt_report_is_same(&reporter->want, report)) {
		reporter->want = *report; /* perhaps another sentence */
		return;
	}
	reporter->want = *report;
	reporter->has_want = true;
	reporter->is_settled = false;
	reporter->want_since_ms = now_ms;
	if (reporter->is_stuck)
		reporter->not_before_ms = now_ms;
	reporter->is_stuck = false;
	memset(reporter->tries, 0, sizeof(reporter->tries));
}

static const struct {
	const char *verb;
	const char *content_type;
	const char *suffix;
	const char *name; /* for people */
} steps[KT_STEP_COUNT] = {
	[KT_STEP_READ] = {"GET", NULL, "", "GET"},
	[KT_STEP_META] = {"PATCH", "application/merge-patch+json", "", "PATCH"},
	[KT_STEP_CONDITION] = {"PATCH", "application/strategic-merge-patch+json", "/status", "PATCH status"},
	[KT_STEP_TAINT] = {"PATCH", "application/json-patch+json", "", "PATCH"},
};

static int make_patch(const struct kt_reporter *reporter, enum kt_reporter_step step, int64_t now_ms, int64_t now_s,
		      char **ret_body)
{
	const struct kt_report *want = &reporter->want;
	const struct kt_node_view *node = &reporter->node;
	bool beat = now_ms >= reporter->beat_at_ms;

	*ret_body = NULL;
	if (step == KT_STEP_META)
		return kt_report_patch_meta(want, node, ret_body);
	if (step == KT_STEP_TAINT)
		return kt_report_patch_taint(want, node, ret_body);
	if (reporter->written_at_ms && !beat && kt_report_only_message(want, node) &&
	    now_ms - reporter->written_at_ms < MESSAGE_EVERY_MS)
		return 0;
	return kt_report_patch_condition(want, node, now_s, beat, ret_body);
}

/* The first thing that differs, IDLE when all is as wanted; -ENOMEM; -EAGAIN when what differs was tried in vain: then
 * ret_stuck says which writes those are. */
static int find_step(const struct kt_reporter *reporter, int64_t now_ms, int64_t now_s, char **ret_body,
		     bool ret_stuck[KT_STEP_COUNT])
{
	bool is_stuck = false;

	memset(ret_stuck, 0, KT_STEP_COUNT * sizeof(ret_stuck[0]));
	*ret_body = NULL;
	if (!reporter->has_node)
		return KT_STEP_READ;
	for (enum kt_reporter_step step = KT_STEP_META; step <= KT_STEP_TAINT; step++) {
		int r = make_patch(reporter, step, now_ms, now_s, ret_body);

		if (r < 0)
			return r;
		if (*ret_body && reporter->tries[step] < TRIES)
			return (int)step;
		ret_stuck[step] = *ret_body;
		is_stuck = is_stuck || *ret_body;
		free(*ret_body);
		*ret_body = NULL;
	}
	return is_stuck ? -EAGAIN : KT_STEP_IDLE;
}

static void back_off(struct kt_reporter *reporter, int64_t now_ms, int64_t most_ms, unsigned retry_after_s)
{
	int64_t wait_ms = kt_jitter_pause_ms(&reporter->random, reporter->failures, most_ms, retry_after_s);

	reporter->failures++;
	reporter->not_before_ms = now_ms + wait_ms;
}

/* Of what is refused one write is tried alone, another one each time. */
static void retry_one(struct kt_reporter *reporter, const bool stuck[KT_STEP_COUNT])
{
	enum kt_reporter_step step = reporter->retried;

	do
		step = step < KT_STEP_META || step >= KT_STEP_TAINT ? KT_STEP_META : step + 1;
	while (!stuck[step]);
	reporter->retried = step;
	for (enum kt_reporter_step other = KT_STEP_META; other <= KT_STEP_TAINT; other++)
		reporter->tries[other] = !stuck[other] ? 0 : other == step ? TRIES - 1 : TRIES;
}

/* Nothing can be sent: no memory, or what differs is refused or undone each time. */
static void get_stuck(struct kt_reporter *reporter, int problem, const bool stuck[KT_STEP_COUNT], int64_t now_ms)
{
	/* Who refuses or undoes it may go on for ever: then once a heartbeat is often enough. */
	int64_t most_ms = (int64_t)reporter->heartbeat_s * 1000;

	if (problem == -ENOMEM) {
		snprintf(reporter->problem, sizeof(reporter->problem), "no memory for a report");
		most_ms = BACKOFF_MOST_MS;
	} else if (!reporter->problem[0]) {
		snprintf(reporter->problem, sizeof(reporter->problem),
			 "node %s does not keep what is written to it: something else removes or alters it",
			 reporter->node_name);
	}
	if (problem == -EAGAIN && reporter->is_refused) {
		retry_one(reporter, stuck);
	} else {
		memset(reporter->tries, 0, sizeof(reporter->tries));
		reporter->has_node = false;
	}
	back_off(reporter, now_ms, most_ms, 0);
	reporter->is_stuck = true;
}

bool kt_reporter_next(struct kt_reporter *reporter, int64_t now_ms, int64_t now_s, struct kt_kube_request *ret_request)
{
	struct kt_kube_request request = {0};
	bool stuck[KT_STEP_COUNT];
	int step;

	if (!reporter->has_want || reporter->step != KT_STEP_IDLE || now_ms < reporter->not_before_ms)
		return false;
	step = find_step(reporter, now_ms, now_s, &request.body, stuck);
	if (step < 0) {
		get_stuck(reporter, step, stuck, now_ms);
		return false;
	}
	if (step == KT_STEP_IDLE) {
		if (now_ms >= reporter->beat_at_ms) /* nothing to beat: held, or taken back */
			reporter->beat_at_ms = now_ms + beat_interval_ms(reporter);
		reporter->confirmed = reporter->want;
		reporter->has_confirmed = true;
		reporter->is_settled = true;
		reporter->failures = 0;
		reporter->is_refused = false;
		reporter->retried = KT_STEP_IDLE;
		memset(reporter->tries, 0, sizeof(reporter->tries));
		reporter->problem[0] = '\0';
		return false;
	}
	request.verb = steps[step].verb;
	request.content_type = steps[step].content_type;
	snprintf(request.path, sizeof(request.path), "/api/v1/nodes/%s%s", reporter->node_name, steps[step].suffix);
	reporter->step = (enum kt_reporter_step)step;
	reporter->tries[step]++;
	reporter->is_stuck = false;
	*ret_request = request;
	return true;
}

/* What the server says: a Status object's message, or the first line of whatever it is (429 comes as plain text). */
void kt_reporter_describe(const struct kt_kube_reply *reply, const char *what, char *text, size_t size)
{
	bool is_within = kt_json_is_within(reply->body, reply->size, KT_JSON_STATE_SIGNS_MAX);
	json_t *status = is_within ? json_loadb(reply->body, reply->size, 0, NULL) : NULL;
	const char *message = json_string_value(json_object_get(status, "message"));

	if (!message)
		message = status ? "" : reply->body;
	snprintf(text, size, "the API server answers %ld to %s: %.*s", reply->code, what, (int)strcspn(message, "\r\n"),
		 message);
	json_decref(status);
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f)
			*c = '?';
}

static void take_view(struct kt_reporter *reporter, struct kt_node_view *view)
{
	kt_node_view_done(&reporter->node);
	reporter->node = *view;
	*view = (struct kt_node_view){.taint_index = -1};
	reporter->has_node = true;
	reporter->has_seen = true;
	reporter->is_gone = false;
}

static void take_node(struct kt_reporter *reporter, const struct kt_kube_reply *reply, enum kt_reporter_step step,
		      int64_t now_ms, int64_t now_s)
{
	KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
	struct kt_error err = {0};

	if (kt_node_view_parse(reply->body, reply->size, reporter->node_name, &view, &err) < 0) {
		snprintf(reporter->problem, sizeof(reporter->problem), "%.500s", err.text);
		reporter->has_node = false;
		back_off(reporter, now_ms, BACKOFF_MOST_MS, 0);
		return;
	}
	/* The watch was faster than this answer: which of them holds is asked (a restored etcd counts anew). */
	if (reporter->has_node && kt_node_view_is_older(&view, &reporter->node))
		reporter->has_node = false;
	else
		take_view(reporter, &view);
	reporter->token_retried = false;
	/* What was refused got through: so may the others again. */
	if (reporter->is_refused && step == reporter->retried) {
		reporter->is_refused = false;
		reporter->retried = KT_STEP_IDLE;
		memset(reporter->tries, 0, sizeof(reporter->tries));
	}
	/* What stood before a first read is past; the error of a write is reported until it succeeds. */
	if (!reporter->tries[KT_STEP_META] && !reporter->tries[KT_STEP_CONDITION] && !reporter->tries[KT_STEP_TAINT])
		reporter->problem[0] = '\0';
	if (step == KT_STEP_CONDITION) {
		reporter->written_at_ms = now_ms;
		reporter->beat_at_ms = now_ms + beat_interval_ms(reporter);
	} else if (reporter->beat_at_ms == INT64_MAX) {
		/* First sight: an earlier process of ours may have beaten a moment ago. */
		int64_t age_s = now_s - reporter->node.last_heartbeat;

		reporter->beat_at_ms = now_ms;
		if (age_s >= 0 && age_s < reporter->heartbeat_s)
			reporter->beat_at_ms +=
				beat_interval_ms(reporter) * (reporter->heartbeat_s - age_s) / reporter->heartbeat_s;
	}
}

/* ---- what the watch shows ---- */

/* Two writers that fight over a key would write without end: when what somebody did may be answered. */
static int64_t answer_at_ms(struct kt_reporter *reporter, int64_t now_ms)
{
	int64_t every_ms = (int64_t)reporter->heartbeat_s * 1000;

	while (reporter->answers < ANSWERS_AT_ONCE && reporter->answers_at_ms + every_ms <= now_ms) {
		reporter->answers++;
		reporter->answers_at_ms += every_ms;
	}
	if (reporter->answers > 0) {
		if (reporter->answers == ANSWERS_AT_ONCE)
			reporter->answers_at_ms = now_ms;
		reporter->answers--;
		return now_ms;
	}
	reporter->answers_at_ms += every_ms; /* the one that comes then is taken already */
	return reporter->answers_at_ms;
}

/* False when it has to wait. */
static bool may_answer(struct kt_reporter *reporter, int64_t now_ms)
{
	int64_t at_ms = answer_at_ms(reporter, now_ms);

	if (at_ms <= now_ms)
		return true;
	reporter->has_confirmed = false;
	snprintf(reporter->problem, sizeof(reporter->problem),
		 "node %s does not keep what is written to it: something else removes or alters it",
		 reporter->node_name);
	if (at_ms > reporter->not_before_ms) {
		reporter->not_before_ms = at_ms;
		reporter->is_stuck = true;
	}
	return false;
}

void kt_reporter_see(struct kt_reporter *reporter, struct kt_node_view *view, int64_t now_ms)
{
	bool was_gone = reporter->is_gone;

	/* Old news: the watch begins with what the server's cache has, and shows our own writes after their answers. */
	if (reporter->has_seen && view->revision && strcmp(view->uid, reporter->node.uid) == 0 &&
	    view->revision <= reporter->node.revision)
		return;
	take_view(reporter, view);
	if (was_gone && !reporter->is_stuck && may_answer(reporter, now_ms)) {
		reporter->not_before_ms = now_ms;
	} else if (reporter->is_settled && kt_report_is_undone(&reporter->want, &reporter->node)) {
		reporter->is_settled = false;
		reporter->undone++;
		may_answer(reporter, now_ms);
	}
}

void kt_reporter_see_deleted(struct kt_reporter *reporter, const struct kt_node_view *view, int64_t now_ms)
{
	if (reporter->is_gone || (reporter->has_seen && strcmp(view->uid, reporter->node.uid) != 0))
		return; /* known, or an older one of that name */
	reporter->has_node = false;
	reporter->is_gone = true;
	reporter->is_settled = false;
	reporter->has_confirmed = false;
	may_answer(reporter, now_ms);
}

void kt_reporter_see_nothing(struct kt_reporter *reporter)
{
	reporter->has_node = false;
}

/* Is it this one request that the server does not want? */
static bool is_refusal(long code)
{
	return code >= 400 && code < 500 && code != 401 && code != 408 && code != 429;
}

void kt_reporter_take(struct kt_reporter *reporter, const struct kt_kube_reply *reply, int64_t now_ms, int64_t now_s)
{
	enum kt_reporter_step step = reporter->step;

	reporter->step = KT_STEP_IDLE;
	if (reply->code == 200) {
		take_node(reporter, reply, step, now_ms, now_s);
		return;
	}
	if (reply->code == 0)
		snprintf(reporter->problem, sizeof(reporter->problem), "%s", reply->problem);
	else
		kt_reporter_describe(reply, steps[step].name, reporter->problem, sizeof(reporter->problem));
	/* The kubelet may just have renewed the token: once more with what the file has now. */
	if (reply->code == 401 && !reporter->token_retried) {
		reporter->token_retried = true;
		reporter->not_before_ms = now_ms;
		return;
	}
	if (step == KT_STEP_READ && reply->code == 404)
		reporter->is_gone = true;
	/* After any refusal or silence the view may be old; a right that is missing says nothing about the node. */
	reporter->has_node = reporter->has_node && reply->code == 403;
	if (step == KT_STEP_READ || !is_refusal(reply->code)) {
		/* A right does not come by asking again soon. */
		back_off(reporter, now_ms, reply->code == 403 ? (int64_t)reporter->heartbeat_s * 1000 : BACKOFF_MOST_MS,
			 reply->retry_after_s);
		return;
	}
	reporter->is_refused = true;
	/* 409: the node moved; 422: so did its taints, or a rule refuses. Others do not get better by trying again. */
	if (reply->code != 409 && reply->code != 422)
		reporter->tries[step] = TRIES;
	reporter->not_before_ms = now_ms + CONFLICT_MS / 2 + kt_jitter_below(&reporter->random, CONFLICT_MS / 2);
}

int64_t kt_reporter_due_ms(const struct kt_reporter *reporter)
{
	int64_t due = reporter->beat_at_ms;

	if (!reporter->has_want || reporter->step != KT_STEP_IDLE)
		return INT64_MAX;
	if (!reporter->has_node || !reporter->has_confirmed || !reporter->is_settled ||
	    !kt_report_is_same(&reporter->want, &reporter->confirmed))
		due = 0;
	else if (reporter->written_at_ms && kt_report_only_message(&reporter->want, &reporter->node) &&
		 reporter->written_at_ms + MESSAGE_EVERY_MS < due)
		due = reporter->written_at_ms + MESSAGE_EVERY_MS;
	return due > reporter->not_before_ms ? due : reporter->not_before_ms;
}

bool kt_reporter_is_reported(const struct kt_reporter *reporter, int64_t now_ms, char *text, size_t size)
{
	const struct kt_report *want = &reporter->want;
	const struct kt_report *confirmed = &reporter->confirmed;

	text[0] = '\0';
	if (want->hold) {
		snprintf(text, size, "nothing to report yet");
		return false;
	}
	if (reporter->has_confirmed && kt_report_is_same(want, confirmed))
		return true;
	/* A detail that changes must not make a reported node blink; a verdict or a version must be there first. */
	if (reporter->has_confirmed && !confirmed->hold && want->status == confirmed->status &&
	    want->absent == confirmed->absent &&
	    strcmp(want->value[KT_KEY_KM_VERSION], confirmed->value[KT_KEY_KM_VERSION]) == 0 &&
	    strcmp(want->value[KT_KEY_KM_DIGEST], confirmed->value[KT_KEY_KM_DIGEST]) == 0 &&
	    now_ms - reporter->want_since_ms < REPORT_GRACE_MS)
		return true;
	snprintf(text, size, "%s", reporter->problem[0] ? reporter->problem : "not yet reported to the API server");
	return false;
}
