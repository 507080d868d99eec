/* The process reads at idle priority for as long as it takes, and the rounds go on beside it. What it finds it notes in
 * the store (store/seen.h), where each round's inventory sees it: nothing comes back but that. */
#include "scrubber.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>

#include "kontain/child.h"
#include "kontain/log.h"
#include "kontain/own.h"
#include "hands.h"
#include "observe.h"

/* A clock that is being set may step back this far. */
#define CLOCK_SLACK_S 60

void kt_scrubber_init(struct kt_scrubber *scrubber)
{
	unsigned random = 0;

	(void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
	*scrubber = (struct kt_scrubber){.pidfd = -1, .spread_percent = 90 + random % 21};
}

void kt_scrubber_done(struct kt_scrubber *scrubber)
{
	kt_close_fd(&scrubber->pidfd);
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
	if (is_ours && inventory->is_whole && !inventory->is_unread && scrubber->pid == 0)
		scrubber->vain_count = 0;
}

bool kt_scrubber_is_due(const struct kt_scrubber *scrubber, const struct kt_inventory *inventory, unsigned interval_s,
			int64_t now_s, int64_t now_ms)
{
	int64_t rest_s = (int64_t)interval_s * scrubber->spread_percent / 100;

	/* What is damaged is landed anew first; that is unread then. */
	if (inventory->current[0] == '\0' || !inventory->is_whole || now_ms < scrubber->not_before_ms)
		return false;
	return inventory->is_unread || inventory->verified_at == 0 || now_s >= inventory->verified_at + rest_s ||
	       inventory->verified_at > now_s + CLOCK_SLACK_S;
}

void kt_scrubber_began(struct kt_scrubber *scrubber, unsigned interval_s, int64_t now_ms)
{
	unsigned wait_s = KT_SCRUB_AGAIN_S;

	for (unsigned i = 0; i < scrubber->vain_count && wait_s < interval_s; i++)
		wait_s *= 2;
	scrubber->vain_count++;
	scrubber->not_before_ms = now_ms + (int64_t)(wait_s < interval_s ? wait_s : interval_s) * 1000;
}

/* Whoever buries it: the search for stuck processes may have done so already. */
static bool has_ended(struct kt_scrubber *scrubber, const struct kt_installer *installer)
{
	struct pollfd polled = {.fd = scrubber->pidfd, .events = POLLIN};

	if (installer->hands != NULL) {
		scrubber->pid = kt_hands_scrub(installer->hands, false, NULL) == 1;
		return scrubber->pid == 0;
	}
	if (poll(&polled, 1, 0) == 0)
		return false;
	(void)waitpid(scrubber->pid, NULL, WNOHANG);
	kt_close_fd(&scrubber->pidfd);
	scrubber->pid = 0;
	return true;
}

/* The hands have it as their child; then it is only known to run. */
static int start(struct kt_scrubber *scrubber, const struct kt_installer *installer, struct kt_error *err)
{
	int r;

	if (installer->hands == NULL)
		return kt_installer_start(installer, "scrub", &scrubber->pid, &scrubber->pidfd, err);
	r = kt_hands_scrub(installer->hands, true, err);
	scrubber->pid = r == 1;
	return r;
}

void kt_scrubber_tend(struct kt_scrubber *scrubber, const struct kt_installer *installer,
		      const struct kt_inventory *inventory)
{
	unsigned interval_s = installer->config.verify_interval_s;
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct timespec now;
	int64_t now_ms;

	if (scrubber->pid != 0 && !has_ended(scrubber, installer))
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (!kt_scrubber_is_due(scrubber, inventory, interval_s, time(NULL), now_ms))
		return;
	kt_scrubber_began(scrubber, interval_s, now_ms);
	if (start(scrubber, installer, &err) < 0)
		kt_log(KT_LOG_WARN, "cannot verify the store", "reason", kt_reason_name(err.reason), "err", err.text, NULL);
}
