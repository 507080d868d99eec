/* How far a long landing is: one line on a terminal, rewritten in place; events in the log otherwise. */
#ifndef KT_JOBS_PROGRESS_H
#define KT_JOBS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct kt_progress {
	const char *version; /* borrowed */
	bool is_terminal;
	bool is_quiet;
	bool tells_ends; /* also where it begins and ends, however short: the agent's landings, for its log */
	int64_t told_ms; /* monotonic time of the last word; counted from the start before the first */
	bool has_begun;
	bool has_told;
	uint64_t total_bytes;
	int64_t (*now_ms)(void);
};

void kt_progress_init(struct kt_progress *progress, const char *version, bool is_quiet, bool tells_ends);
/* A kt_store_progress. */
void kt_progress_tell(void *progress, const char *part, uint64_t done_bytes, uint64_t total_bytes);
/* is_whole: everything was copied. */
void kt_progress_done(struct kt_progress *progress, bool is_whole);

#endif
