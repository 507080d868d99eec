/* Reads every byte of the current set, when nobody else wants disk or CPU, and notes what it found. */
#include <sched.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "jobs.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"
#include "root.h"

/* ioprio_set(2); the C library has neither the call nor these. */
#define IOPRIO_WHO_PROCESS 1
#define IOPRIO_IDLE        (3 << 13)

/* A write within the last two seconds cannot be distinguished from the next (store/reader.c). */
#define SETTLE_S 3

/* Where one of these is refused, the others do what they can. */
static void stand_back(void)
{
	(void)setpriority(PRIO_PROCESS, 0, 19);
	(void)sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){.sched_priority = 0});
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

int kt_job_scrub(const struct kt_installer *installer, const char *version)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_verify how = {.is_noted = true};
	struct kt_error err = {.reason = KT_REASON_NONE};
	time_t start = time(NULL);
	char took[24];

	(void)version;
	stand_back();
	nanosleep(&(struct timespec){.tv_sec = SETTLE_S}, NULL);
	if (kt_installer_open_store(installer, KT_STORE_READ, &store, &err) != 0 ||
	    kt_store_verify(&store, &how, &err) != 0) {
		kt_log(KT_LOG_WARN, "verification failed", "reason", kt_reason_name(err.reason), "err", err.text, NULL);
		return KT_EXIT_FAILED;
	}
	snprintf(took, sizeof took, "%lld", (long long)(time(NULL) - start));
	kt_log(KT_LOG_INFO, "verification passed", "path", store.root, KT_LOG_BARE("took_s"), took, NULL);
	return KT_EXIT_DONE;
}
