#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/log.h"

#define TERMINAL_EVERY_MS 100
#define EVENT_EVERY_MS    5000
#define MIB               (1024 * 1024)

void kt_progress_init(struct kt_progress *progress, const char *version, bool is_quiet, bool tells_ends)
{
	*progress = (struct kt_progress){.version = version,
					 .is_terminal = isatty(STDERR_FILENO),
					 .is_quiet = is_quiet,
					 .tells_ends = tells_ends,
					 .told_ms = kt_clock_ms(),
					 .now_ms = kt_clock_ms};
}

static unsigned percent_of(uint64_t done_bytes, uint64_t total_bytes)
{
	return total_bytes == 0 ? 100 : (unsigned)((double)done_bytes * 100 / (double)total_bytes);
}

static void tell_event(const struct kt_progress *progress, const char *event, const char *part, uint64_t done_bytes,
		       uint64_t total_bytes)
{
	char done[24], total[24], percent[24];

	snprintf(done, sizeof done, "%" PRIu64, done_bytes);
	snprintf(total, sizeof total, "%" PRIu64, total_bytes);
	snprintf(percent, sizeof percent, "%u", percent_of(done_bytes, total_bytes));
	kt_log(KT_LOG_INFO, event, "version", progress->version, "component", part[0] != '\0' ? part : NULL,
	       KT_LOG_BARE("done_bytes"), done, KT_LOG_BARE("total_bytes"), total, KT_LOG_BARE("percent"), percent,
	       NULL);
}

void kt_progress_tell(void *context, const char *part, uint64_t done_bytes, uint64_t total_bytes)
{
	struct kt_progress *progress = context;
	int64_t now = progress->now_ms();
	bool is_start = !progress->has_begun && progress->tells_ends && !progress->is_terminal;

	progress->has_begun = true;
	progress->total_bytes = total_bytes;
	if (progress->is_quiet ||
	    (!is_start && now - progress->told_ms < (progress->is_terminal ? TERMINAL_EVERY_MS : EVENT_EVERY_MS)))
		return;
	progress->told_ms = now;
	progress->has_told = true;
	if (progress->is_terminal)
		fprintf(stderr, "\rlanding %s: %" PRIu64 " of %" PRIu64 " MiB, %u %%  %-10s ", progress->version,
			done_bytes / MIB, total_bytes / MIB, percent_of(done_bytes, total_bytes), part);
	else
		tell_event(progress, "copying", part, done_bytes, total_bytes);
}

void kt_progress_done(struct kt_progress *progress, bool is_whole)
{
	if (progress->has_told && progress->is_terminal)
		fputc('\n', stderr);
	else if (progress->has_begun && progress->tells_ends && is_whole && !progress->is_terminal &&
		 !progress->is_quiet)
		tell_event(progress, "copied", "", progress->total_bytes, progress->total_bytes);
}
