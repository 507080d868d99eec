#include "jitter.h"

#define FIRST_MS 1000

/* xorshift64* */
int64_t kt_jitter_below(uint64_t *state, int64_t bound)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return bound > 0 ? (int64_t)((*state * 2685821657736338717ULL >> 16) % (uint64_t)bound) : 0;
}

int64_t kt_jitter_pause_ms(uint64_t *state, unsigned failures, int64_t most_ms, unsigned retry_after_s)
{
	int64_t pause_ms = FIRST_MS, asked_ms = (int64_t)retry_after_s * 1000;

	if (asked_ms > 0)
		return asked_ms + kt_jitter_below(state, asked_ms / 2 + 1000);
	for (unsigned i = 0; i < failures && pause_ms < most_ms; i++)
		pause_ms *= 2;
	if (pause_ms > most_ms)
		pause_ms = most_ms;
	return pause_ms / 2 + kt_jitter_below(state, pause_ms / 2 + 1);
}
