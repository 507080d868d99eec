/* Watches are of folders, as what is watched for is that names come and go. All of it only ever asks for a
 * reconcile, which finds out for itself: a lost event costs time (a slow look compares what stat tells), a false one
 * costs a reconcile. */
#include "watch.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "jobs/root.h"
#include "kontain/base/clock.h"
#include "kontain/base/own.h"
#include "uevent.h"

#define FOLDER_EVENTS \
	(IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
#define STORE_EVENTS (FOLDER_EVENTS | IN_MODIFY | IN_DONT_FOLLOW)

const char *kt_cause_name(enum kt_cause cause)
{
	static const char *const names[] = {
		[KT_CAUSE_START] = "start",   [KT_CAUSE_SCHEDULE] = "schedule", [KT_CAUSE_RETRY] = "retry",
		[KT_CAUSE_DEVICE] = "device", [KT_CAUSE_STORE] = "store",       [KT_CAUSE_KERNEL] = "kernel",
		[KT_CAUSE_LOOK] = "look",     [KT_CAUSE_HOLD] = "hold",         [KT_CAUSE_FREED] = "freed",
	};

	return names[cause];
}

/* ---- the slow look ---- */

static void see(const char *folder, const char *name, bool is_folder, struct kt_watch_sight *ret_sight)
{
	char path[sizeof(((struct kt_watch *)0)->store_path) + 16];
	struct stat info;

	*ret_sight = (struct kt_watch_sight){.problem = 0};
	snprintf(path, sizeof path, "%s/%s", folder, name);
	if (lstat(path, &info) != 0) {
		ret_sight->problem = errno;
		return;
	}
	ret_sight->device = info.st_dev;
	ret_sight->rdev = info.st_rdev;
	ret_sight->inode = info.st_ino;
	ret_sight->mode = info.st_mode;
	if (!is_folder)
		ret_sight->changed = info.st_ctim;
}

static void see_all(const struct kt_watch *watch, struct kt_watch_sight sights[KT_WATCH_SIGHTS])
{
	for (size_t i = 0; i < KT_DEVICE_COUNT; i++)
		see(watch->installer->options.dev, kt_device_names[i], false, &sights[i]);
	see(watch->store_path, ".", true, &sights[KT_DEVICE_COUNT]);
	see(watch->store_path, "current", false, &sights[KT_DEVICE_COUNT + 1]);
}

static bool is_same(const struct kt_watch_sight *left, const struct kt_watch_sight *right)
{
	return left->problem == right->problem && left->device == right->device && left->rdev == right->rdev &&
	       left->inode == right->inode && left->mode == right->mode &&
	       left->changed.tv_sec == right->changed.tv_sec && left->changed.tv_nsec == right->changed.tv_nsec;
}

bool kt_watch_look(const struct kt_watch *watch)
{
	struct kt_watch_sight now[KT_WATCH_SIGHTS];

	see_all(watch, now);
	for (size_t i = 0; i < KT_WATCH_SIGHTS; i++)
		if (!is_same(&now[i], &watch->sights[i]))
			return true;
	return false;
}

/* ---- inotify ---- */

/* The same folder keeps its watch; what is watched no longer loses it. */
static void replace(int inotify, int *watch, int with)
{
	if (*watch >= 0 && *watch != with)
		inotify_rm_watch(inotify, *watch);
	*watch = with;
}

struct collection {
	int inotify;
	const char *root;
	size_t count;
	int watches[KT_WATCH_STORE_MAX];
};

/* By its path: nothing is read from what it leads to, and the wrong folder would cost a reconcile. */
static void collect(void *context, const char *place)
{
	struct collection *found = context;
	char path[1024];
	int watch;

	if (found->count == KT_WATCH_STORE_MAX ||
	    snprintf(path, sizeof path, "%s/%s", found->root, place) >= (int)sizeof path)
		return;
	watch = inotify_add_watch(found->inotify, path, STORE_EVENTS);
	if (watch >= 0)
		found->watches[found->count++] = watch;
}

static bool has_watch(const int *watches, size_t count, int watch)
{
	for (size_t i = 0; i < count; i++)
		if (watches[i] == watch)
			return true;
	return false;
}

static void arm_store(struct kt_watch *watch)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct collection found = {.inotify = watch->inotify, .root = watch->store_path};
	struct kt_error ignored;

	watch->store_path[0] = '\0';
	if (kt_installer_open_store(watch->installer, KT_STORE_READ, &store, &ignored) == 0) {
		snprintf(watch->store_path, sizeof watch->store_path, "%s", store.path);
		if (watch->inotify >= 0)
			kt_store_each_folder(&store, collect, &found);
	} else {
		/* the one that would be made, for the slow look */
		snprintf(watch->store_path, sizeof watch->store_path, "%s%s", watch->installer->options.host,
			 watch->installer->root);
	}
	for (size_t i = 0; i < watch->store_count; i++)
		if (!has_watch(found.watches, found.count, watch->store_watches[i]))
			inotify_rm_watch(watch->inotify, watch->store_watches[i]);
	watch->store_count = found.count;
	memcpy(watch->store_watches, found.watches, sizeof found.watches);
}

/* Our own landing's traces, and those of a person's: what counts is renamed into place. The notes of a verification
 * (store/seen.h) are a cache for the next reconcile and ask for none; what is kept aside (store/door.h) can wait for
 * one. */
static bool is_passing(const char *name)
{
	return strncmp(name, ".partial-", 9) == 0 || strncmp(name, ".seen-", 6) == 0 || strncmp(name, ".kept-", 6) == 0;
}

/* Does this event ask for a reconcile, and why? name is "" for the folder itself. */
static bool judge(const struct kt_watch *watch, const struct inotify_event *event, const char *name,
		  enum kt_cause *ret_cause)
{
	if (event->mask & IN_Q_OVERFLOW)
		*ret_cause = KT_CAUSE_LOOK;
	else if (event->wd == watch->device_watch && (name[0] == '\0' || kt_device_is_ours(name)))
		*ret_cause = KT_CAUSE_DEVICE;
	else if (has_watch(watch->store_watches, watch->store_count, event->wd) && !is_passing(name))
		*ret_cause = KT_CAUSE_STORE;
	else
		return false;
	return true;
}

static bool take_events(struct kt_watch *watch, enum kt_cause *ret_cause)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buffer;
	bool is_news = false;
	ssize_t got;

	while (watch->inotify >= 0 && (got = read(watch->inotify, &buffer, sizeof buffer)) > 0) {
		for (char *at = buffer.bytes; at < buffer.bytes + got;) {
			struct inotify_event event;

			memcpy(&event, at, sizeof event);
			is_news = judge(watch, &event, event.len > 0 ? at + sizeof event : "", ret_cause) || is_news;
			at += sizeof event + event.len;
		}
	}
	return is_news;
}

/* ---- both ---- */

void kt_watch_open(struct kt_watch *watch, const struct kt_installer *installer, const char **ret_problem)
{
	*watch = (struct kt_watch){.installer = installer, .device_watch = -1};
	*ret_problem = NULL;
	watch->uevents = kt_uevent_open();
	if (watch->uevents < 0)
		*ret_problem = strerror(-watch->uevents);
	watch->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (watch->inotify < 0)
		*ret_problem = strerror(errno);
	watch->alarm = kt_clock_alarm_open();
}

void kt_watch_close(struct kt_watch *watch)
{
	kt_close_fd(&watch->inotify);
	kt_close_fd(&watch->uevents);
	kt_close_fd(&watch->alarm);
}

void kt_watch_arm(struct kt_watch *watch)
{
	enum kt_cause ignored;

	if (watch->inotify >= 0)
		replace(watch->inotify, &watch->device_watch,
			inotify_add_watch(watch->inotify, watch->installer->options.dev, FOLDER_EVENTS));
	arm_store(watch);
	take_events(watch, &ignored);
	if (watch->uevents >= 0)
		kt_uevent_take(watch->uevents);
	see_all(watch, watch->sights);
}

bool kt_watch_wait(struct kt_watch *watch, int stuck_fd, int64_t timeout_ms, enum kt_cause *ret_cause)
{
	struct pollfd polled[] = {
		{.fd = watch->inotify, .events = POLLIN},
		{.fd = watch->uevents, .events = POLLIN},
		{.fd = stuck_fd, .events = POLLIN},
		{.fd = watch->alarm, .events = POLLIN},
	};
	int64_t until_ms = kt_clock_boot_ms() + timeout_ms;

	if (watch->alarm >= 0)
		kt_clock_alarm_set(watch->alarm, timeout_ms);
	for (;;) {
		int64_t left_ms = until_ms - kt_clock_boot_ms();

		if (poll(polled, sizeof polled / sizeof *polled, left_ms > 0 ? (int)left_ms : 0) < 0)
			return false;
		if (polled[0].revents != 0 && take_events(watch, ret_cause))
			return true;
		if (polled[1].revents != 0 && kt_uevent_take(watch->uevents)) {
			*ret_cause = KT_CAUSE_KERNEL;
			return true;
		}
		if (polled[2].revents != 0) {
			*ret_cause = KT_CAUSE_FREED;
			return true;
		}
		if (left_ms <= 0 || polled[3].revents != 0)
			return false;
	}
}
