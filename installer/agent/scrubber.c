/* The process reads at idle priority for as long as it takes, and the reconciles go on beside it. What it finds it
 * notes in the store (store/seen.h), where each reconcile's inventory sees it: nothing comes back but that. */
#include "scrubber.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "jobs/runner.h"
#include "kontain/base/clock.h"
#include "kontain/base/log.h"

/* A clock that is being set may step back this far. */
#define CLOCK_SLACK_S 60

void kt_scrubber_init(struct kt_scrubber *scrubber)
{
	unsigned random = 0;

	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	*scrubber = (struct kt_scrubber){.spread_percent = 90 + random % 21};
}

void kt_scrubber_note(struct kt_scrubber *scrubber, const struct kt_inventory *inventory)
{
	bool is_ours = inventory->current[0] != '\0' && !inventory->is_foreign;

	if (is_ours && inventory->damage[0] != '\0' && strcmp(inventory->damage, scrubber->damage) != 0) {
		scrubber->mismatches++;
		snprintf(scrubber->last_mismatch, sizeof scrubber->last_mismatch, "%s: %s",
			 kt_reason_name(inventory->damage_reason), inventory->damage);
	}
	snprintf(scrubber->damage, sizeof scrubber->damage, "%s", is_ours ? inventory->damage : "");
	if (is_ours && inventory->is_whole && !inventory->is_unread && !scrubber->is_running)
		scrubber->vain_count = 0;
}

/* The store notes the time for people, as it outlives a boot. From here on it goes by the boot clock. */
void kt_scrubber_date(struct kt_scrubber *scrubber, int64_t verified_at, int64_t now_s, int64_t now_ms)
{
	int64_t age_s = now_s - verified_at;

	if (verified_at == scrubber->verified_at)
		return;
	scrubber->verified_at = verified_at;
	scrubber->is_dated = verified_at != 0 && age_s >= -CLOCK_SLACK_S;
	scrubber->verified_ms = now_ms - age_s * 1000;
}

bool kt_scrubber_is_due(const struct kt_scrubber *scrubber, const struct kt_inventory *inventory, unsigned interval_s,
			int64_t now_ms)
{
	int64_t rest_s = (int64_t)interval_s * scrubber->spread_percent / 100;

	/* What is damaged is landed anew first; that is unread then. */
	if (inventory->current[0] == '\0' || !inventory->is_whole || now_ms < scrubber->not_before_ms)
		return false;
	return inventory->is_unread || !scrubber->is_dated || now_ms >= scrubber->verified_ms + rest_s * 1000;
}

void kt_scrubber_began(struct kt_scrubber *scrubber, unsigned interval_s, int64_t now_ms)
{
	unsigned wait_s = KT_SCRUB_AGAIN_S;

	for (unsigned i = 0; i < scrubber->vain_count && wait_s < interval_s; i++)
		wait_s *= 2;
	scrubber->vain_count++;
	scrubber->not_before_ms = now_ms + (int64_t)(wait_s < interval_s ? wait_s : interval_s) * 1000;
}

void kt_scrubber_tend(struct kt_scrubber *scrubber, const struct kt_installer *installer,
		      const struct kt_inventory *inventory)
{
	unsigned interval_s = installer->config.verify_interval_s;
	struct kt_error err = {.reason = KT_REASON_NONE};
	int64_t now_ms = kt_clock_boot_ms();
	int r;

	scrubber->is_running = kt_runner_is_verifying(installer->runner);
	if (scrubber->is_running)
		return;
	kt_scrubber_date(scrubber, inventory->verified_at, time(NULL), now_ms);
	if (!kt_scrubber_is_due(scrubber, inventory, interval_s, now_ms))
		return;
	kt_scrubber_began(scrubber, interval_s, now_ms);
	r = kt_runner_verify(installer->runner, &err);
	scrubber->is_running = kt_runner_is_verifying(installer->runner);
	if (r < 0)
		kt_log(KT_LOG_WARN, "cannot verify the store", "reason", kt_reason_name(err.reason), "err", err.text,
		       NULL);
}
