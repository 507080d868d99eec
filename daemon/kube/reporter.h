/* What to ask of the API server next, and when: read the node, write what differs, beat, back off.
 * Pure: time and answers are given to it, requests are taken from it. */
#ifndef KONTAIN_KUBE_REPORTER_H
#define KONTAIN_KUBE_REPORTER_H

#include "client.h"
#include "report.h"

enum kt_reporter_step { KT_STEP_IDLE, KT_STEP_READ, KT_STEP_META, KT_STEP_CONDITION, KT_STEP_TAINT, KT_STEP_COUNT };

struct kt_reporter {
	char node_name[256];
	unsigned heartbeat_s;
	uint64_t random; /* state of the jitter */
	struct kt_node_view node;
	bool has_node;
	bool has_seen; /* the node, once */
	bool is_gone;  /* there is no such node: the watch tells when there is one again */
	struct kt_report want;
	bool has_want;
	int64_t want_since_ms;
	struct kt_report confirmed; /* last wish that left nothing to write */
	bool has_confirmed;
	bool is_settled;            /* nothing was left to write, and nothing has happened since */
	unsigned answers;           /* to what others do, that may be given at once */
	int64_t answers_at_ms;      /* since when one more is counted */
	uint64_t undone;            /* how often somebody undid the report, for the metrics */
	enum kt_reporter_step step; /* in flight */
	bool token_retried;
	bool is_stuck;                 /* not_before_ms is for what cannot be written: a new wish need not wait */
	unsigned failures;             /* since all was as wanted, as the next two */
	unsigned tries[KT_STEP_COUNT]; /* of each write */
	bool is_refused;               /* a write was, and none got through since */
	enum kt_reporter_step retried; /* of the writes that are refused, the one that was tried alone last */
	int64_t not_before_ms;
	int64_t beat_at_ms;
	int64_t written_at_ms; /* last write of the condition; 0: none yet */
	char problem[512];     /* what stands in the way; "" when nothing does */
};

/* All times are milliseconds of one clock that never jumps. */
void kt_reporter_init(struct kt_reporter *reporter, const char *node_name, unsigned heartbeat_s, unsigned start_delay_s,
		      uint64_t seed, int64_t now_ms);
void kt_reporter_done(struct kt_reporter *reporter);

void kt_reporter_want(struct kt_reporter *reporter, const struct kt_report *report, int64_t now_ms);
/* True with an owned body in *ret_request when a request is due. now_s: Unix seconds, for the stamps. */
bool kt_reporter_next(struct kt_reporter *reporter, int64_t now_ms, int64_t now_s, struct kt_kube_request *ret_request);
void kt_reporter_take(struct kt_reporter *reporter, const struct kt_kube_reply *reply, int64_t now_ms, int64_t now_s);
/* A sentence about an answer that is not 200, to `what`. */
void kt_reporter_describe(const struct kt_kube_reply *reply, const char *what, char *text, size_t size);
/* What the watch shows; takes *view where it is news. */
void kt_reporter_see(struct kt_reporter *reporter, struct kt_node_view *view, int64_t now_ms);
void kt_reporter_see_deleted(struct kt_reporter *reporter, const struct kt_node_view *view, int64_t now_ms);
/* Something happened to the node that could not be read: the view is old. */
void kt_reporter_see_nothing(struct kt_reporter *reporter);
/* When to call kt_reporter_next again; INT64_MAX: not before something changes. */
int64_t kt_reporter_due_ms(const struct kt_reporter *reporter);

/* Has the API server this report? text says why not. */
bool kt_reporter_is_reported(const struct kt_reporter *reporter, int64_t now_ms, char *text, size_t size);

/* A DNS-1123 subdomain, as every Node's name is: it becomes part of a path. */
bool kt_node_name_is_valid(const char *name);

#endif
