/* What `kubectl describe node` shows of us: one core/v1 Event a transition of the report, in namespace default, as the
 * kubelet has them. Pure: what is reported, time and answers are given to it, requests are taken from it. */
#ifndef KONTAIN_KUBE_EVENTS_H
#define KONTAIN_KUBE_EVENTS_H

#include "client.h"
#include "report.h"

#define KT_EVENTS_PENDING 8
#define KT_EVENTS_BURST   25 /* client-go's limits for one object: so many at once, then one in five minutes */

/* What the node says that makes a transition. */
struct kt_said {
	char status[16];
	char reason[64];
	char version[KT_REPORT_VALUE_MAX];
	char previous[KT_REPORT_VALUE_MAX];
	char refused[KT_REPORT_VALUE_MAX];
	char refused_reason[KT_REPORT_VALUE_MAX];
};

struct kt_event {
	bool is_warning;
	char reason[64];
	char message[KT_REPORT_MESSAGE_MAX];
	int64_t first_s, last_s; /* Unix seconds */
	unsigned count;          /* of that reason since the last one that was sent */
};

struct kt_events {
	const char *node_name; /* borrowed */
	unsigned heartbeat_s;
	uint64_t name; /* of the next event */
	bool has_said;
	struct kt_said said;
	struct kt_event pending[KT_EVENTS_PENDING]; /* the oldest first */
	unsigned pending_count;
	bool is_asking; /* for the first of them */
	unsigned allowance;
	int64_t allowance_ms; /* since when one more is counted */
	int64_t not_before_ms;
	unsigned failures;
	char problem[512]; /* of the last refusal; "" when none */
};

void kt_events_init(struct kt_events *events, const char *node_name, unsigned heartbeat_s, uint64_t seed,
		    int64_t now_ms);
/* What the node said before this process said anything: no transition. The first call alone counts. */
void kt_events_begin(struct kt_events *events, const struct kt_node_view *node);
/* What the API server has now. */
void kt_events_see(struct kt_events *events, const struct kt_report *report, int64_t now_s);
/* True with an owned body when an event is to be sent. */
bool kt_events_next(struct kt_events *events, int64_t now_ms, struct kt_kube_request *ret_request);
void kt_events_take(struct kt_events *events, const struct kt_kube_reply *reply, int64_t now_ms);
/* When to call kt_events_next again; INT64_MAX: not before something happens. */
int64_t kt_events_due_ms(const struct kt_events *events);

#endif
