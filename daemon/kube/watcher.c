#include "watcher.h"

#include <stdio.h>
#include <string.h>

/* A server ends a watch after the time that it is asked for: five to ten minutes, so that a fleet's do not end at once
 * (client-go's reflector does the same). */
#define LENGTH_LEAST_S 300
/* A kube-apiserver sends a bookmark each minute, give or take a quarter. */
#define SILENCE_MS 90000
/* One that held for so long was a good one. */
#define GOOD_MS          30000
#define BACKOFF_FIRST_MS 1000
#define BACKOFF_MOST_MS  30000

/* xorshift64*: spreads thousands of agents; nothing secret. */
static int64_t random_below(struct kt_watcher *watcher, int64_t bound)
{
	watcher->random ^= watcher->random >> 12;
	watcher->random ^= watcher->random << 25;
	watcher->random ^= watcher->random >> 27;
	return (int64_t)((watcher->random * 2685821657736338717ULL >> 16) % (uint64_t)bound);
}

void kt_watcher_init(struct kt_watcher *watcher, const char *node_name, unsigned heartbeat_s, uint64_t seed,
		     int64_t now_ms)
{
	*watcher = (struct kt_watcher){
		.node_name = node_name, .heartbeat_s = heartbeat_s, .random = seed ? seed : 1, .open_at_ms = now_ms};
}

bool kt_watcher_next(struct kt_watcher *watcher, int64_t now_ms, char *path, size_t size)
{
	if (watcher->is_open || now_ms < watcher->open_at_ms)
		return false;
	/* From 0 and not from a version that was read: a quiet node's own may be older than what the server keeps, and
	 * "410 Gone" would come for ever. */
	(void)snprintf(path, size,
		       "/api/v1/nodes?watch=1&fieldSelector=metadata.name%%3D%s&resourceVersion=0"
		       "&allowWatchBookmarks=true&timeoutSeconds=%d",
		       watcher->node_name, (int)(LENGTH_LEAST_S + random_below(watcher, LENGTH_LEAST_S)));
	watcher->is_open = true;
	watcher->opened_ms = watcher->heard_ms = now_ms;
	watcher->problem[0] = '\0';
	return true;
}

enum kt_news kt_watcher_read(struct kt_watcher *watcher, const char *line, size_t size, int64_t now_ms,
			     struct kt_node_view *ret_view)
{
	struct kt_error err = {.code = 0};
	enum kt_node_event event;

	watcher->heard_ms = now_ms;
	if (kt_node_event_parse(line, size, watcher->node_name, &event, ret_view, &err) < 0) {
		(void)snprintf(watcher->problem, sizeof(watcher->problem), "%.250s", err.text);
		return KT_NEWS_BROKEN;
	}
	return event == KT_NODE_BOOKMARK ? KT_NEWS_NONE : event == KT_NODE_DELETED ? KT_NEWS_GONE : KT_NEWS_NODE;
}

bool kt_watcher_is_silent(const struct kt_watcher *watcher, int64_t now_ms)
{
	return watcher->is_open && now_ms - watcher->heard_ms >= SILENCE_MS;
}

void kt_watcher_end(struct kt_watcher *watcher, const struct kt_kube_reply *reply, int64_t now_ms)
{
	bool was_good = watcher->is_open && now_ms - watcher->opened_ms >= GOOD_MS;
	int64_t asked_ms = (int64_t)reply->retry_after_s * 1000, most_ms = BACKOFF_MOST_MS, wait_ms = BACKOFF_FIRST_MS;

	watcher->is_open = false;
	if (watcher->problem[0] == '\0' && reply->code == 0)
		(void)snprintf(watcher->problem, sizeof(watcher->problem), "%s", reply->problem);
	else if (watcher->problem[0] == '\0' && reply->code != 200)
		(void)snprintf(watcher->problem, sizeof(watcher->problem), "the API server answers %ld to WATCH",
			       reply->code);
	watcher->failures = was_good ? 0 : watcher->failures + 1;
	if (reply->code == 403) /* a right does not come by asking again soon */
		most_ms = wait_ms = (int64_t)watcher->heartbeat_s * 1000;
	for (unsigned i = 1; i < watcher->failures && wait_ms < most_ms; i++)
		wait_ms *= 2;
	if (wait_ms > most_ms)
		wait_ms = most_ms;
	wait_ms = wait_ms / 2 + random_below(watcher, wait_ms / 2 + 1);
	if (asked_ms > 0)
		wait_ms = asked_ms + random_below(watcher, asked_ms / 2 + 1000);
	watcher->open_at_ms = now_ms + wait_ms;
}

int64_t kt_watcher_due_ms(const struct kt_watcher *watcher)
{
	return watcher->is_open ? watcher->heard_ms + SILENCE_MS : watcher->open_at_ms;
}
