/* Chance that spreads thousands of agents over time; nothing secret. state: not 0, and one for each that uses it. */
#ifndef KONTAIN_KUBE_JITTER_H
#define KONTAIN_KUBE_JITTER_H

#include <stdint.h>

/* 0 to bound - 1; 0 for a bound that is none. */
int64_t kt_jitter_below(uint64_t *state, int64_t bound);
/* How long to wait after so many failures: a second, doubled for each, most_ms at most; half of it for sure, the rest
 * by chance. A server that asked to stay away is not asked before that, and not by all at once after it. */
int64_t kt_jitter_pause_ms(uint64_t *state, unsigned failures, int64_t most_ms, unsigned retry_after_s);

#endif
