/* A child that was killed and does not go: it is in the kernel, and nothing is to join it there. */
#ifndef KT_JOBS_STUCK_H
#define KT_JOBS_STUCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct kt_stuck {
	pid_t child;      /* ours; 0: none is stuck */
	int pidfd;        /* owned: readable when it is gone; -1 where it cannot be had */
	pid_t pid;        /* the last below it: km rather than the process that keeps it */
	char program[17]; /* of pid; printable */
	int64_t since;    /* Unix seconds: when it was found */
	pid_t spared;     /* a child that is to live on; 0: none is */
	const pid_t *
		background; /* borrowed; a child that goes on beside the reconciles, 0 for none; NULL: there never is one */
};

void kt_stuck_init(struct kt_stuck *stuck);
void kt_stuck_done(struct kt_stuck *stuck); /* for KT_OWN */

/* What a dead child of ours leaves behind comes to us from now on, and not to some init that tells nobody. */
void kt_stuck_inherit(void);

/* Between two reconciles, when no child should be there: buries what ended, gives what was just killed up to
 * grace_ms to go, and notes one that stays. True while one does. */
bool kt_stuck_look(struct kt_stuck *stuck, unsigned grace_ms);

#endif
