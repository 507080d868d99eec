/* What Prometheus reads: text exposition format 0.0.4. Pure. */
#ifndef KONTAIN_SERVE_METRICS_H
#define KONTAIN_SERVE_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http.h"
#include "kontain/contract/state.h"

struct kt_metrics_request_count {
	const char *verb;
	const char *code;
	uint64_t count;
};

struct kt_metrics_input {
	const struct kt_state *state; /* NULL when there is none that may be believed */
	const struct kt_error *why;   /* then: why not */
	bool has_age;                 /* a state was read, to be believed or not */
	int64_t age_s;
	bool is_watch_known; /* there is an API server */
	bool is_watching;
	uint64_t undone; /* how often the watch showed that somebody undid the report */
	bool is_policy_known;
	bool is_policy_in_force;
	size_t request_count;
	const struct kt_metrics_request_count *requests; /* borrowed */
};

void kt_metrics_answer(const struct kt_metrics_input *input, struct kt_http_reply *reply);

#endif
