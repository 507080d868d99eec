/* The watch on the own node: when to begin one, what its bytes say, when to give it up.
 * Pure: time, bytes and ends are given to it; what it sees goes to the reporter. */
#ifndef KONTAIN_KUBE_WATCH_H
#define KONTAIN_KUBE_WATCH_H

#include "client.h"
#include "reporter.h"

#define KT_WATCH_LINE_MAX KT_KUBE_BODY_MAX /* bytes of one event: a Node and a few words around it */

struct kt_watch {
	const char *node_name; /* borrowed */
	struct kt_reporter *reporter;
	unsigned heartbeat_s;
	unsigned spread_s; /* over so many seconds the watches of a fleet come back that were cut off together */
	uint64_t random;
	bool is_open;
	char *line; /* owned: the part of an event that has come */
	size_t size, room;
	int64_t begun_ms;
	int64_t heard_ms; /* when the last whole event came */
	int64_t not_before_ms;
	unsigned failures; /* since a watch lasted */
	bool is_up;        /* an event came, and the watch stands */
	bool is_forbidden;
	bool is_broken;   /* what came is no watch: it is given up, and `problem` says why */
	bool is_too_much; /* as it will be the next time */
	uint64_t events;
	int64_t minute_ms; /* began the minute whose events are counted */
	unsigned minute_events;
	char problem[320];
};

void kt_watch_init(struct kt_watch *watch, const char *node_name, struct kt_reporter *reporter, unsigned heartbeat_s,
		   unsigned spread_s, uint64_t seed);
void kt_watch_done(struct kt_watch *watch);

/* True when a watch is to begin. */
bool kt_watch_next(struct kt_watch *watch, int64_t now_ms, struct kt_kube_request *ret_request);
/* False: no more of it. */
bool kt_watch_feed(struct kt_watch *watch, const char *bytes, size_t size, int64_t now_ms);
/* Nothing was heard for longer than the server's bookmarks take: true, and the watch has ended. */
bool kt_watch_is_silent(struct kt_watch *watch, int64_t now_ms);
/* It ended: by the server, by the network, or as kt_watch_feed wished. */
void kt_watch_end(struct kt_watch *watch, const struct kt_kube_reply *reply, int64_t now_ms);
/* It stands, and not only to be cut off again in a moment as the ones before it. */
bool kt_watch_is_well(const struct kt_watch *watch);
/* When to call kt_watch_next or kt_watch_is_silent again. */
int64_t kt_watch_due_ms(const struct kt_watch *watch);

#endif
