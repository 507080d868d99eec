/* A transition is between what the node said and what it says once a report is there whole: what somebody undoes in
 * between is none, nor is a start of ours. Events that may not be sent yet wait, those of one reason as one with a
 * count; what does not fit is dropped: an event is a help for people, the condition is the truth. */
#include "events.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "reporter.h"

#define ALLOWANCE_EVERY_MS (5 * 60 * 1000)
#define PAUSE_FIRST_MS     2000
#define TRIES              4 /* of one event that is not answered */

void kt_events_init(struct kt_events *events, const char *node_name, unsigned heartbeat_s, uint64_t seed,
		    int64_t now_ms)
{
	*events = (struct kt_events){
		.node_name = node_name,
		.heartbeat_s = heartbeat_s,
		.name = seed,
		.allowance = KT_EVENTS_BURST,
		.allowance_ms = now_ms,
	};
}

void kt_events_begin(struct kt_events *events, const struct kt_node_view *node)
{
	struct kt_said *said = &events->said;

	if (events->has_said)
		return;
	snprintf(said->status, sizeof(said->status), "%s", node->status);
	snprintf(said->reason, sizeof(said->reason), "%s", node->reason);
	snprintf(said->version, sizeof(said->version), "%s", node->value[KT_KEY_KM_VERSION]);
	snprintf(said->previous, sizeof(said->previous), "%s", node->value[KT_KEY_PREVIOUS_VERSION]);
	snprintf(said->refused, sizeof(said->refused), "%s", node->value[KT_KEY_KM_REFUSED]);
	snprintf(said->refused_reason, sizeof(said->refused_reason), "%s", node->value[KT_KEY_KM_REFUSED_REASON]);
	events->has_said = true;
}

static void add(struct kt_events *events, const struct kt_event *event)
{
	/* The first may be under way. */
	for (unsigned i = events->is_asking; i < events->pending_count; i++) {
		struct kt_event *row = &events->pending[i];

		if (strcmp(row->reason, event->reason) != 0)
			continue;
		memcpy(row->message, event->message, sizeof(row->message));
		row->last_s = event->last_s;
		row->count++;
		return;
	}
	if (events->pending_count < KT_EVENTS_PENDING)
		events->pending[events->pending_count++] = *event;
}

static void note(struct kt_events *events, bool is_warning, const char *reason, const char *message, int64_t now_s)
{
	struct kt_event event = {.is_warning = is_warning, .first_s = now_s, .last_s = now_s, .count = 1};

	snprintf(event.reason, sizeof(event.reason), "%s", reason);
	snprintf(event.message, sizeof(event.message), "%s", message);
	add(events, &event);
}

void kt_events_see(struct kt_events *events, const struct kt_report *report, int64_t now_s)
{
	struct kt_said *was = &events->said, is = {0};
	char text[KT_REPORT_MESSAGE_MAX];

	if (report->hold || report->absent)
		return;
	snprintf(is.status, sizeof(is.status), "%s", kt_condition_status_name(report->status));
	snprintf(is.reason, sizeof(is.reason), "%s", report->reason);
	snprintf(is.version, sizeof(is.version), "%s", report->value[KT_KEY_KM_VERSION]);
	snprintf(is.previous, sizeof(is.previous), "%s", report->value[KT_KEY_PREVIOUS_VERSION]);
	snprintf(is.refused, sizeof(is.refused), "%s", report->value[KT_KEY_KM_REFUSED]);
	snprintf(is.refused_reason, sizeof(is.refused_reason), "%s", report->value[KT_KEY_KM_REFUSED_REASON]);
	if (is.version[0] && strcmp(is.version, was->version) != 0) {
		bool is_back = was->previous[0] && strcmp(is.version, was->previous) == 0;

		snprintf(text, sizeof(text), "version %.120s is active%s%.120s", is.version,
			 was->version[0] ? ", before: " : "", was->version);
		note(events, is_back, is_back ? "KontainRolledBack" : "KontainActivated", text, now_s);
	}
	if (is.refused[0] &&
	    (strcmp(is.refused, was->refused) != 0 || strcmp(is.refused_reason, was->refused_reason) != 0)) {
		snprintf(text, sizeof(text), "version %.120s was refused: %.120s", is.refused, is.refused_reason);
		note(events, true, "KontainRefused", text, now_s);
	}
	if (strcmp(is.status, was->status) != 0 || strcmp(is.reason, was->reason) != 0) {
		bool is_ready = report->status == KT_CONDITION_TRUE;

		snprintf(text, sizeof(text), "Kontain%s", report->reason);
		note(events, !is_ready, text, report->message, now_s);
	}
	*was = is;
	events->has_said = true;
}

static char *print_event(const struct kt_events *events, const struct kt_event *event)
{
	char name[40], first[40], last[40], *text = NULL;
	time_t seconds;
	struct tm tm;
	json_t *root;

	snprintf(name, sizeof(name), "kontaind.%016" PRIx64, events->name);
	seconds = (time_t)event->first_s;
	strftime(first, sizeof(first), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
	seconds = (time_t)event->last_s;
	strftime(last, sizeof(last), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
	/* The kubelet's own events of a node have its name for a uid; describe asks for both. */
	root = json_pack("{s:s,s:s,s:{s:s,s:s},s:{s:s,s:s,s:s,s:s},s:s,s:s,s:s,s:{s:s,s:s},s:s,s:s,s:i,s:s,s:s}",
			 "kind", "Event", "apiVersion", "v1", "metadata", "name", name, "namespace", "default",
			 "involvedObject", "kind", "Node", "apiVersion", "v1", "name", events->node_name, "uid",
			 events->node_name, "reason", event->reason, "message", event->message, "type",
			 event->is_warning ? "Warning" : "Normal", "source", "component", KT_FIELD_MANAGER, "host",
			 events->node_name, "firstTimestamp", first, "lastTimestamp", last, "count", (int)event->count,
			 "reportingComponent", KT_FIELD_MANAGER, "reportingInstance", events->node_name);
	if (root)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}

static void refill(struct kt_events *events, int64_t now_ms)
{
	while (events->allowance < KT_EVENTS_BURST && events->allowance_ms + ALLOWANCE_EVERY_MS <= now_ms) {
		events->allowance++;
		events->allowance_ms += ALLOWANCE_EVERY_MS;
	}
	if (events->allowance == KT_EVENTS_BURST)
		events->allowance_ms = now_ms;
}

bool kt_events_next(struct kt_events *events, int64_t now_ms, struct kt_kube_request *ret_request)
{
	struct kt_kube_request request = {.verb = "POST", .content_type = "application/json"};

	if (events->is_asking || events->pending_count == 0 || now_ms < events->not_before_ms)
		return false;
	refill(events, now_ms);
	if (events->allowance == 0)
		return false;
	request.body = print_event(events, &events->pending[0]);
	if (!request.body) {
		events->not_before_ms = now_ms + (int64_t)events->heartbeat_s * 1000;
		return false;
	}
	snprintf(request.path, sizeof(request.path), "/api/v1/namespaces/default/events");
	events->allowance--;
	events->is_asking = true;
	*ret_request = request;
	return true;
}

static void drop_first(struct kt_events *events)
{
	events->pending_count--;
	memmove(events->pending, events->pending + 1, events->pending_count * sizeof(events->pending[0]));
	events->failures = 0;
	events->name++;
}

void kt_events_take(struct kt_events *events, const struct kt_kube_reply *reply, int64_t now_ms)
{
	bool is_refused = reply->code >= 400 && reply->code < 500 && reply->code != 401 && reply->code != 408 &&
			  reply->code != 429;

	events->is_asking = false;
	/* 409: it is there, as an answer was lost. */
	if ((reply->code >= 200 && reply->code < 300) || reply->code == 409) {
		drop_first(events);
		events->problem[0] = '\0';
		return;
	}
	if (reply->code == 0)
		snprintf(events->problem, sizeof(events->problem), "%s", reply->problem);
	else
		kt_reporter_describe(reply, "POST event", events->problem, sizeof(events->problem));
	/* What is refused does not get better by trying again; a missing right holds for all of them. */
	if (reply->code == 403)
		events->not_before_ms = now_ms + (int64_t)events->heartbeat_s * 1000;
	else
		events->not_before_ms = now_ms + (PAUSE_FIRST_MS << events->failures) +
					(int64_t)(reply->retry_after_s * 1500 + events->name % 1000);
	if (is_refused || ++events->failures >= TRIES)
		drop_first(events);
}

int64_t kt_events_due_ms(const struct kt_events *events)
{
	int64_t due_ms = events->not_before_ms;

	if (events->is_asking || events->pending_count == 0)
		return INT64_MAX;
	if (events->allowance == 0 && events->allowance_ms + ALLOWANCE_EVERY_MS > due_ms)
		due_ms = events->allowance_ms + ALLOWANCE_EVERY_MS;
	return due_ms;
}
