#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "kontain/log.h"

#define TERMINAL_EVERY_MS 100
#define EVENT_EVERY_MS    5000
#define MIB               (1024 * 1024)

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void kt_progress_init(struct kt_progress *progress, const char *version)
{
	*progress = (struct kt_progress){.version = version, .is_terminal = isatty(STDERR_FILENO), .told_ms = now_ms()};
}

void kt_progress_tell(void *context, uint64_t done_bytes, uint64_t total_bytes)
{
	struct kt_progress *progress = context;
	int64_t now = now_ms();
	char figures[64];

	if (now - progress->told_ms < (progress->is_terminal ? TERMINAL_EVERY_MS : EVENT_EVERY_MS))
		return;
	progress->told_ms = now;
	progress->has_told = true;
	snprintf(figures, sizeof figures, "%" PRIu64 " of %" PRIu64 " MiB", done_bytes / MIB, total_bytes / MIB);
	if (progress->is_terminal)
		fprintf(stderr, "\rlanding %s: %s ", progress->version, figures);
	else
		kt_log(KT_LOG_INFO, "landing", "version", progress->version, "step", figures, NULL);
}

void kt_progress_done(struct kt_progress *progress)
{
	if (progress->has_told && progress->is_terminal)
		fputc('\n', stderr);
}
