/* A watch from resourceVersion=0 begins with the node as it is, so nothing is carried from one to the next: a quiet
 * node's own resourceVersion may be older than what the server keeps, and would be answered with 410 for ever.
 * One event is one line. What a line may cost has an end, and so has what a server may ask of us: whatever ends a watch
 * that has not lasted doubles the pause before the next one. */
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jitter.h"
#include "kontain/base/own.h"

#define PAUSE_MOST_MS 30000
/* kube-apiserver sends a bookmark a minute; two that are missing are no accident. */
#define SILENCE_MS 150000
#define LASTED_MS  60000
/* As little as 30 minutes: each begin costs a request and a whole Node. */
#define WATCH_LEAST_S  1800
#define WATCH_SPREAD_S 1800
/* A node changes some times a minute; each event is parsed, whole. */
#define EVENTS_A_MINUTE 600
#define ROOM_KEPT       (64 * 1024)

void kt_watch_init(struct kt_watch *watch, const char *node_name, struct kt_reporter *reporter, unsigned heartbeat_s,
		   unsigned spread_s, uint64_t seed)
{
	*watch = (struct kt_watch){
		.node_name = node_name,
		.reporter = reporter,
		.heartbeat_s = heartbeat_s,
		.spread_s = spread_s,
		.random = seed ? seed : 1,
	};
}

static void forget_line(struct kt_watch *watch)
{
	free(watch->line);
	watch->line = NULL;
	watch->size = watch->room = 0;
}

void kt_watch_done(struct kt_watch *watch)
{
	forget_line(watch);
}

bool kt_watch_next(struct kt_watch *watch, int64_t now_ms, struct kt_kube_request *ret_request)
{
	/* The first read of the node is the reporter's, spread over the start of a fleet. */
	if (watch->is_open || now_ms < watch->not_before_ms || !(watch->reporter->has_seen || watch->reporter->is_gone))
		return false;
	*ret_request = (struct kt_kube_request){.verb = "GET"};
	snprintf(ret_request->path, sizeof(ret_request->path),
		 "/api/v1/nodes?watch=1&fieldSelector=metadata.name%%3D%s&resourceVersion=0&allowWatchBookmarks=true"
		 "&timeoutSeconds=%d",
		 watch->node_name, WATCH_LEAST_S + (int)kt_jitter_below(&watch->random, WATCH_SPREAD_S));
	watch->is_open = true;
	watch->is_broken = watch->is_too_much = false;
	watch->begun_ms = watch->heard_ms = now_ms;
	return true;
}

static bool give_up(struct kt_watch *watch, const char *problem)
{
	watch->is_broken = true;
	snprintf(watch->problem, sizeof(watch->problem), "%.300s", problem);
	return false;
}

static bool is_flood(struct kt_watch *watch, int64_t now_ms)
{
	if (now_ms - watch->minute_ms >= 60000) {
		watch->minute_ms = now_ms;
		watch->minute_events = 0;
	}
	return ++watch->minute_events > EVENTS_A_MINUTE;
}

static bool take_line(struct kt_watch *watch, int64_t now_ms)
{
	KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
	struct kt_error err = {0};
	enum kt_node_event event;
	int r;

	if (is_flood(watch, now_ms)) {
		kt_reporter_see_nothing(watch->reporter);
		return give_up(watch, "the API server's watch has more than 600 events a minute");
	}
	r = kt_node_event_parse(watch->line, watch->size, watch->node_name, &event, &view, &err);
	if (r < 0) {
		/* What changed could not be read here; the reporter has its own bounds for it. */
		if (r == -E2BIG)
			kt_reporter_see_nothing(watch->reporter);
		watch->is_too_much = r == -E2BIG;
		return give_up(watch, err.text);
	}
	watch->events++;
	watch->heard_ms = now_ms;
	watch->is_up = true;
	watch->is_forbidden = false;
	watch->problem[0] = '\0';
	if (event == KT_NODE_SEEN)
		kt_reporter_see(watch->reporter, &view, now_ms);
	else if (event == KT_NODE_DELETED)
		kt_reporter_see_deleted(watch->reporter, &view, now_ms);
	return true;
}

static bool keep(struct kt_watch *watch, const char *bytes, size_t size)
{
	size_t room = watch->room ? watch->room : 4096;
	char *grown;

	if (watch->size + size > KT_WATCH_LINE_MAX) {
		watch->is_too_much = true;
		kt_reporter_see_nothing(watch->reporter);
		return give_up(watch, "an event of the API server's watch is larger than 2 MiB");
	}
	while (room < watch->size + size)
		room *= 2;
	if (room > watch->room) {
		grown = realloc(watch->line, room);
		if (!grown)
			return give_up(watch, "no memory for an event of the API server's watch");
		watch->line = grown;
		watch->room = room;
	}
	memcpy(watch->line + watch->size, bytes, size);
	watch->size += size;
	return true;
}

bool kt_watch_feed(struct kt_watch *watch, const char *bytes, size_t size, int64_t now_ms)
{
	while (size > 0 && !watch->is_broken) {
		const char *end = memchr(bytes, '\n', size);
		size_t part = end ? (size_t)(end - bytes) : size;

		if (!keep(watch, bytes, part) || (end && !take_line(watch, now_ms)))
			break;
		if (end) {
			watch->size = 0;
			if (watch->room > ROOM_KEPT)
				forget_line(watch);
			part++;
		}
		bytes += part;
		size -= part;
	}
	return !watch->is_broken;
}

static bool has_lasted(const struct kt_watch *watch)
{
	return watch->is_up && watch->heard_ms - watch->begun_ms >= LASTED_MS;
}

bool kt_watch_is_well(const struct kt_watch *watch)
{
	return has_lasted(watch) || (watch->is_up && watch->failures < 2);
}

static void close_watch(struct kt_watch *watch, int64_t most_ms, unsigned retry_after_s, int64_t now_ms)
{
	bool was_long = has_lasted(watch);

	forget_line(watch);
	watch->is_open = watch->is_up = false;
	if (was_long)
		watch->failures = 0;
	watch->not_before_ms = now_ms + kt_jitter_pause_ms(&watch->random, watch->failures, most_ms, retry_after_s);
	/* A server that went took all its watches with it. */
	if (was_long && watch->problem[0])
		watch->not_before_ms += kt_jitter_below(&watch->random, (int64_t)watch->spread_s * 1000);
	watch->failures++;
}

bool kt_watch_is_silent(struct kt_watch *watch, int64_t now_ms)
{
	if (!watch->is_open || now_ms - watch->heard_ms < SILENCE_MS)
		return false;
	give_up(watch, "nothing was heard from the API server's watch for longer than its bookmarks take");
	close_watch(watch, PAUSE_MOST_MS, 0, now_ms);
	return true;
}

void kt_watch_end(struct kt_watch *watch, const struct kt_kube_reply *reply, int64_t now_ms)
{
	int64_t most_ms = watch->is_too_much ? (int64_t)watch->heartbeat_s * 1000 : PAUSE_MOST_MS;

	if (watch->is_broken) {
		/* It is said already. */
	} else if (reply->code == 0) {
		snprintf(watch->problem, sizeof(watch->problem), "%s", reply->problem);
	} else if (reply->code != 200) {
		kt_reporter_describe(reply, "WATCH", watch->problem, sizeof(watch->problem));
	} else if (!watch->is_up) {
		snprintf(watch->problem, sizeof(watch->problem), "the API server's watch ends without an event");
	}
	watch->is_forbidden = reply->code == 403;
	/* A right does not come by asking again soon: once a heartbeat. */
	if (watch->is_forbidden) {
		watch->failures = 0;
		close_watch(watch, PAUSE_MOST_MS, watch->heartbeat_s, now_ms);
		return;
	}
	close_watch(watch, most_ms, reply->retry_after_s, now_ms);
}

int64_t kt_watch_due_ms(const struct kt_watch *watch)
{
	if (watch->is_open)
		return watch->heard_ms + SILENCE_MS;
	return watch->reporter->has_seen || watch->reporter->is_gone ? watch->not_before_ms : INT64_MAX;
}
