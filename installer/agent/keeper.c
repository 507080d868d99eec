#include "keeper.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "jobs/call.h"
#include "jobs/jobs.h"
#include "kontain/base/child.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"
#include "kontain/contract/message.h"
#include "kontain/contract/statejson.h"

/* In the resident the child has rights that we have not (jobs/table.c): it may look into every process. */
static int sweep(const struct kt_installer *installer, struct kt_state_kept *ret_kept, struct kt_error *err)
{
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};
	int r = kt_job_do(installer, "sweep", &result, err);

	return r < 0 ? r : kt_kept_parse(result.output, result.output_size, ret_kept, err);
}

/* Who used them when they were asked about last. */
static void users_recall(const struct kt_state_kept *last, struct kt_state_kept *kept)
{
	for (size_t i = 0; i < kept->count && i < KT_STATE_KEPT_MAX; i++)
		for (size_t j = 0; j < last->count && j < KT_STATE_KEPT_MAX; j++)
			if (strcmp(kept->list[i].name, last->list[j].name) == 0)
				memcpy(kept->list[i].user, last->list[j].user, sizeof kept->list[i].user);
}

/* Said once for each, as it stays until a person does something. */
static void obstacles_log(const struct kt_state_kept *last, const struct kt_state_kept *kept)
{
	for (size_t i = 0; i < kept->count && i < KT_STATE_KEPT_MAX; i++) {
		const struct kt_state_kept_tree *tree = &kept->list[i];
		bool is_known = strncmp(tree->user, KT_KEPT_OBSTACLE, strlen(KT_KEPT_OBSTACLE)) != 0;

		for (size_t j = 0; !is_known && j < last->count && j < KT_STATE_KEPT_MAX; j++)
			is_known = strcmp(tree->name, last->list[j].name) == 0 &&
				   strcmp(tree->user, last->list[j].user) == 0;
		if (!is_known)
			kt_log(KT_LOG_WARN, "what is kept aside stays", "path", tree->name, "err", tree->user, NULL);
	}
}

void kt_keeper_tend(struct kt_keeper *keeper, const struct kt_installer *installer, struct kt_state_kept *kept,
		    int64_t now_ms)
{
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_state_kept answer = {.count = 0};

	if (kept->count == 0)
		return;
	if (now_ms < keeper->not_before_ms) {
		users_recall(&keeper->last, kept);
		return;
	}
	keeper->not_before_ms = now_ms + KT_KEEPER_INTERVAL_MS;
	if (sweep(installer, &answer, &err) < 0) {
		if (err.reason != KT_REASON_LOCKED) /* who holds the lock sweeps, too */
			kt_log(KT_LOG_WARN, "cannot look after what is kept aside", "reason",
			       kt_reason_name(err.reason), "err", err.text, NULL);
		users_recall(&keeper->last, kept);
		return;
	}
	obstacles_log(&keeper->last, &answer);
	*kept = answer;
	keeper->last = answer;
}
