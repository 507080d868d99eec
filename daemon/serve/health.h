/* Three questions, three answers: is the loop alive (/livez), is this node done with the version asked for (/readyz),
 * can it run payloads (/readyz/km). Pure. */
#ifndef KONTAIN_SERVE_HEALTH_H
#define KONTAIN_SERVE_HEALTH_H

#include "http.h"
#include "kontain/contract/state.h"

#define KT_HEALTH_TEXT_MAX 640

enum kt_check_name {
	KT_HEALTH_STATE,
	KT_HEALTH_VERSION,
	KT_HEALTH_REPORT,
	KT_HEALTH_KM,
	KT_HEALTH_POLICY,
	KT_HEALTH_COUNT
};

struct kt_health_check {
	bool ok;                       /* the check's own answer */
	const char *tolerated;         /* not ok, and no matter for the whole: a word for it (static), else NULL */
	bool is_quiet;                 /* nothing to say: in no list */
	char text[KT_HEALTH_TEXT_MAX]; /* one line: what is so, or "<reason>: <sentence>" */
};

struct kt_health {
	struct kt_health_check checks[KT_HEALTH_COUNT];
	/* settled all the same: km cannot run (unfit), or somebody keeps another version (held); NULL for neither */
	const char *settled_as;
	enum kt_reason settled_why;
};

/* Is the admission policy in force that keeps a token to its node? */
enum kt_policy { KT_POLICY_UNKNOWN, KT_POLICY_IN_FORCE, KT_POLICY_OPEN };

struct kt_health_input {
	const struct kt_state *state; /* NULL when there is none that may be believed */
	const struct kt_error *why;   /* then: why not */
	bool is_standalone;
	bool is_reported;
	const char *report_problem; /* why not */
	enum kt_policy policy;
	bool is_unguarded; /* and none is expected, says the config */
};

void kt_health_judge(const struct kt_health_input *input, struct kt_health *ret_health);

/* Answers /livez and /readyz as kube-apiserver does: the whole or one check (/readyz/km), ?verbose, ?exclude=NAME.
 * Unlike there the reason is shown: it is no secret, and somebody waits for it. Other paths leave the reply alone. */
void kt_health_answer(const struct kt_health *health, const struct kt_http_request *request,
		      struct kt_http_reply *reply);

#endif
