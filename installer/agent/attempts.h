/* The attempts at one bundle by this process: what the last one failed of, and when the next may be made. What a bundle
 * itself did is remembered by the store (store/failure.c); this is for all else, so that a cause which lasts does not
 * have the same 300 MB copied at every tick. The clock is the caller's. */
#ifndef KT_AGENT_ATTEMPTS_H
#define KT_AGENT_ATTEMPTS_H

#include "plan.h"

/* Between attempts: 5 s, 10 s, 20 s ... 5 min. */
#define KT_ATTEMPT_FIRST_S 5
#define KT_ATTEMPT_MOST_S  300

struct kt_attempts {
	char manifest_sha256[KT_DIGEST_HEX]; /* which bundle; another one starts anew */
	struct kt_error failure;             /* of the last attempt; NONE after success */
	unsigned failed_count;               /* in a row */
	int64_t not_before_ms;
};

/* An attempt at this bundle ended at now_ms (boot clock). failure: NULL for success. */
void kt_attempts_note(struct kt_attempts *attempts, const char *manifest_sha256, const struct kt_error *failure,
		      int64_t now_ms);
/* Puts what is known of the desired bundle into what was observed: the failure, and whether it is too soon. */
void kt_attempts_fill(const struct kt_attempts *attempts, const struct kt_desired *desired, int64_t now_ms,
		      struct kt_observed *observed);
/* Until the next attempt may be made, rounded up; 0 when it may be made now. */
unsigned kt_attempts_wait_s(const struct kt_attempts *attempts, int64_t now_ms);

#endif
