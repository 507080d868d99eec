#include "attempts.h"

#include <stdio.h>
#include <string.h>

/* What costs nothing to try: it is refused before anything is read or written. */
static bool is_cheap(enum kt_reason reason)
{
	return reason == KT_REASON_LOCKED || reason == KT_REASON_IN_USE;
}

static unsigned wait_after(const struct kt_attempts *attempts)
{
	unsigned seconds = KT_ATTEMPT_FIRST_S;

	if (is_cheap(attempts->failure.reason))
		return 0;
	for (unsigned i = 1; i < attempts->failed_count && seconds < KT_ATTEMPT_MOST_S; i++)
		seconds *= 2;
	return seconds < KT_ATTEMPT_MOST_S ? seconds : KT_ATTEMPT_MOST_S;
}

void kt_attempts_note(struct kt_attempts *attempts, const char *manifest_sha256, const struct kt_error *failure,
		      int64_t now_ms)
{
	bool is_another = strcmp(attempts->manifest_sha256, manifest_sha256) != 0;
	unsigned failed_count = is_another ? 0 : attempts->failed_count;

	*attempts = (struct kt_attempts){.failure.reason = KT_REASON_NONE};
	(void)snprintf(attempts->manifest_sha256, sizeof(attempts->manifest_sha256), "%s", manifest_sha256);
	if (!failure)
		return;
	attempts->failure = *failure;
	if (failure->reason == KT_REASON_NONE)
		attempts->failure.reason = KT_REASON_INTERNAL;
	attempts->failed_count = failed_count + 1;
	attempts->not_before_ms = now_ms + (int64_t)wait_after(attempts) * 1000;
}

void kt_attempts_fill(const struct kt_attempts *attempts, const struct kt_desired *desired, int64_t now_ms,
		      struct kt_observed *observed)
{
	observed->is_too_soon = false;
	if (attempts->failed_count == 0 || strcmp(attempts->manifest_sha256, desired->manifest_sha256) != 0)
		return;
	if (!observed->failed_before) /* what the store remembers is the weightier word */
		observed->failure = attempts->failure;
	observed->is_too_soon = now_ms < attempts->not_before_ms;
}

unsigned kt_attempts_wait_s(const struct kt_attempts *attempts, int64_t now_ms)
{
	int64_t left = attempts->not_before_ms - now_ms;

	return left <= 0 ? 0 : (unsigned)((left + 999) / 1000);
}
