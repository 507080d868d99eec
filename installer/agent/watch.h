/* What wakes the agent between two reconciles: the device folder, the store's folders, the kernel. */
#ifndef KT_AGENT_WATCH_H
#define KT_AGENT_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "jobs/installer.h"

/* Root, sets/, the current set and its five components. */
#define KT_WATCH_STORE_MAX 10

/* Why a reconcile is made. */
enum kt_cause {
	KT_CAUSE_START,
	KT_CAUSE_SCHEDULE,
	KT_CAUSE_RETRY,  /* what passes by itself is tried again sooner */
	KT_CAUSE_DEVICE, /* an entry of the device folder */
	KT_CAUSE_STORE,  /* an entry of the store's folders */
	KT_CAUSE_KERNEL, /* a device was announced */
	KT_CAUSE_LOOK,   /* something is not as it was, and nobody told */
	KT_CAUSE_HOLD,   /* what was held back has held for long enough */
	KT_CAUSE_FREED,  /* a stuck process is gone */
};
const char *kt_cause_name(enum kt_cause cause);

/* What stat says of a path. */
struct kt_watch_sight {
	int problem; /* errno, 0: it is there */
	dev_t device, rdev;
	ino_t inode;
	mode_t mode;
	struct timespec changed; /* of a device node and a link; a folder's changes with whatever is in it */
};

#define KT_WATCH_SIGHTS (KT_DEVICE_COUNT + 2) /* the devices, the store's root, its current */

struct kt_watch {
	const struct kt_installer *installer; /* borrowed */
	int inotify;                          /* owned; -1: only the slow look is left */
	int uevents;                          /* owned; -1 where there are none */
	int alarm;                            /* owned; below 0: a machine that slept is seen some seconds later */
	int device_watch;
	size_t store_count;
	int store_watches[KT_WATCH_STORE_MAX];
	char store_path[KT_CONFIG_PATH_MAX * 2]; /* "" where there is none */
	struct kt_watch_sight sights[KT_WATCH_SIGHTS];
};

/* Always possible; *ret_problem (static, NULL when all is well) says what cannot be had. */
void kt_watch_open(struct kt_watch *watch, const struct kt_installer *installer, const char **ret_problem);
void kt_watch_close(struct kt_watch *watch); /* for KT_OWN */

/* Before a reconcile looks: watches what is there now, and drops what was seen before. What happens from here on
 * wakes the next wait. */
void kt_watch_arm(struct kt_watch *watch);

/* Waits until something of ours happened (true, and *ret_cause says what), the process behind stuck_fd (a pidfd; -1:
 * none) is gone, or the time has come; false then. A negative time is none. */
bool kt_watch_wait(struct kt_watch *watch, int stuck_fd, int64_t timeout_ms, enum kt_cause *ret_cause);

/* Is anything else than it was when armed? In case nobody told: a queue that ran over, a mount over the folder. */
bool kt_watch_look(const struct kt_watch *watch);

#endif
