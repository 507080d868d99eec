/* How far a long landing is: one line on a terminal, rewritten in place; events otherwise. */
#ifndef KT_INSTALLER_PROGRESS_H
#define KT_INSTALLER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct kt_progress {
	const char *version; /* borrowed */
	bool is_terminal;
	int64_t told_ms;     /* monotonic time of the last word */
	bool has_told;
};

void kt_progress_init(struct kt_progress *progress, const char *version);
/* A kt_store_progress. */
void kt_progress_tell(void *progress, uint64_t done_bytes, uint64_t total_bytes);
void kt_progress_done(struct kt_progress *progress);

#endif
