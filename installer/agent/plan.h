/* The upgrade policy: what is wanted and what was seen -> what to do, and how the node stands. Pure. */
#ifndef KT_AGENT_PLAN_H
#define KT_AGENT_PLAN_H

#include <stdbool.h>

#include "kontain/contract/state.h"
#include "kontain/store/store.h"

struct kt_desired {
	bool absent;
	bool unfit_not_ready;
	bool asked;                   /* a bundle was named */
	struct kt_error bundle_error; /* reason NONE when the bundle can be read */
	char version[KT_VERSION_MAX];
	char manifest_sha256[KT_DIGEST_HEX];
};

struct kt_observed {
	bool store_open;
	struct kt_error store_error;   /* why not; NoVersion: there is no store yet */
	struct kt_inventory inventory; /* zeroed when the store is not open */
	bool failed_before;            /* this bundle failed here, and that is believed: store/failure.c */
	struct kt_error failure;       /* why; also of an attempt that is not remembered */
	bool is_held;                  /* a person rolled back from this bundle */
	char contender[384];           /* who undid what we did and still lives; "" for nobody */
	bool is_too_soon;              /* such an attempt was made a moment ago */
	struct kt_probe probe;         /* KVM, the host, and how both came to their verdicts */
	struct kt_state_proof proof;   /* of the current set */
};

enum kt_step {
	KT_STEP_NOTHING,
	KT_STEP_LAND,
	KT_STEP_REMOVE,
};

struct kt_plan {
	enum kt_step step;
	struct kt_verdict obstacle; /* why nothing is done; reason NONE when nothing needs doing */
};

void kt_plan(const struct kt_desired *desired, const struct kt_observed *observed, struct kt_plan *ret_plan);

/* Can this node run payloads (node), and is it done with the version asked for (rollout)? */
void kt_judge(const struct kt_desired *desired, const struct kt_observed *observed, struct kt_verdict *ret_node,
	      struct kt_verdict *ret_rollout);

/* Whether a rollout waits for this node: kt_reason_is_settled, and what the config says of unfit nodes. */
bool kt_plan_is_settled(bool unfit_not_ready, enum kt_reason reason, enum kt_serves serves);

/* How far the node is with the version asked for. */
void kt_judge_upgrade(const struct kt_desired *desired, const struct kt_observed *observed,
		      struct kt_upgrade *ret_upgrade);

const char *kt_step_name(enum kt_step step);

#endif
