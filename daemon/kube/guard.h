/* Is the admission policy in force that keeps a kontaind token to its own node? Asked by a dry run of a write that the
 * policy refuses: a label that is not ours. Nobody else notices a policy that matches nobody. Pure: time and answers
 * are given to it, requests are taken from it. */
#ifndef KONTAIN_KUBE_GUARD_H
#define KONTAIN_KUBE_GUARD_H

#include "client.h"

enum kt_guard_answer {
	KT_GUARD_UNKNOWN, /* not asked yet, or no answer that says it */
	KT_GUARD_IN_FORCE,
	KT_GUARD_OPEN, /* the write would have been accepted */
};

struct kt_guard {
	enum kt_guard_answer answer;
	const char *node_name; /* borrowed */
	unsigned heartbeat_s;
	uint64_t count; /* of questions: each has a value of its own, as an unchanged label would be accepted */
	bool is_asking;
	int64_t ask_at_ms;
};

/* All times are milliseconds of one clock that never jumps. */
void kt_guard_init(struct kt_guard *guard, const char *node_name, unsigned heartbeat_s, uint64_t seed, int64_t now_ms);
/* True with an owned body in *ret_request when it is time to ask. */
bool kt_guard_next(struct kt_guard *guard, int64_t now_ms, struct kt_kube_request *ret_request);
void kt_guard_take(struct kt_guard *guard, const struct kt_kube_reply *reply, int64_t now_ms);

#endif
