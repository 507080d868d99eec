/* One watch on the own node: when to open it, what its lines say, when it is dead. What others change on the node is
 * seen at once by it, and by the answers to writes where it cannot be had.
 * Pure: time, lines and answers are given to it. */
#ifndef KONTAIN_KUBE_WATCHER_H
#define KONTAIN_KUBE_WATCHER_H

#include "client.h"
#include "report.h"

struct kt_watcher {
	const char *node_name; /* borrowed */
	unsigned heartbeat_s;
	uint64_t random; /* state of the jitter */
	bool is_open;
	int64_t opened_ms;
	int64_t heard_ms;   /* its last sign of life */
	int64_t open_at_ms; /* the next one, while none is open */
	unsigned failures;  /* in a row; one that held for a while is none */
	char problem[256];  /* why the last one ended, where that is no ordinary end */
};

enum kt_news {
	KT_NEWS_NONE,  /* a bookmark: the server lives */
	KT_NEWS_NODE,  /* the node as it is now */
	KT_NEWS_GONE,  /* it was deleted */
	KT_NEWS_BROKEN /* no use in reading on: problem says why */
};

/* All times are milliseconds of one clock that never jumps. */
void kt_watcher_init(struct kt_watcher *watcher, const char *node_name, unsigned heartbeat_s, uint64_t seed,
		     int64_t now_ms);
/* True when one is to be opened now: path is what to ask for. */
bool kt_watcher_next(struct kt_watcher *watcher, int64_t now_ms, char *path, size_t size);
/* A line of the stream. With KT_NEWS_NODE *ret_view is the caller's: kt_node_view_done. */
enum kt_news kt_watcher_read(struct kt_watcher *watcher, const char *line, size_t size, int64_t now_ms,
			     struct kt_node_view *ret_view);
/* Open, and silent for longer than a server that lives? */
bool kt_watcher_is_silent(const struct kt_watcher *watcher, int64_t now_ms);
/* It ended, or could not be opened: reply says how. */
void kt_watcher_end(struct kt_watcher *watcher, const struct kt_kube_reply *reply, int64_t now_ms);
/* When to ask again: for the next one, or whether this one is silent. */
int64_t kt_watcher_due_ms(const struct kt_watcher *watcher);

#endif
