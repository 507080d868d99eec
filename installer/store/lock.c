/* One installer at a time in a store.
 *
 * The lock is flock(2) of the folder above the root. Pods are given the root or what is below it: a payload that
 * holds a lock on something of its own mounts must not keep a node from its upgrade. No file is made for it, so there
 * is none to be removed by an uninstall, and the folder may be read-only. Two stores in one folder wait for each
 * other. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"
#include "layout.h"

#define LOCK_STEP_MS 20
#define LOCKS_BYTES  65536 /* of /proc/locks: some thousand */

/* "1: FLOCK  ADVISORY  WRITE 1234 fe:00:131073 0 EOF" (proc(5)): of this folder? Its process, 0 for another's. */
static int holder_of(const char *line, const struct stat *folder)
{
	unsigned major_number, minor_number;
	unsigned long long inode;
	int pid;

	if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &major_number, &minor_number, &inode) != 4)
		return 0;
	/* the number of its device is another's where a filesystem has several (btrfs) */
	return inode == folder->st_ino && pid > 0 ? pid : 0;
}

/* Who holds it, as far as this process can see: " (process 123, kontain-installer)", or "". */
static void holder_print(const struct kt_store *store, int folder, char *text, size_t size)
{
	char host[sizeof(store->path)], locks[LOCKS_BYTES], path[32], *next = locks;
	struct kt_process its = {.program = "?"};
	struct stat info;

	text[0] = '\0';
	kt_store_host(store, host);

	KT_OWN(kt_close_fd) int proc = kt_proc_open(host);

	if (proc < 0 || fstat(folder, &info) < 0 || kt_proc_read(host, "locks", locks, sizeof(locks)) < 0)
		return;
	for (char *line; (line = strsep(&next, "\n"));) {
		int pid = holder_of(line, &info);

		if (pid == 0)
			continue;
		(void)snprintf(path, sizeof(path), "%d/stat", pid);
		(void)kt_process_read(proc, path, &its);
		(void)snprintf(text, size, " (process %d, %s)", pid, its.program);
		return;
	}
}

/* Whose the root is, and an error where it is not for us. */
static int claim_check(const struct kt_store *store, enum kt_claim *ret_claim, struct kt_error *err)
{
	char foreign[256];
	int r = kt_store_claim(store, ret_claim, foreign);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	if (*ret_claim == KT_CLAIM_FOREIGN)
		return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION,
			       "%s was not made by kontain-installer: %s/%s is there", store->root, store->root,
			       foreign);
	return 0;
}

/* 0, or why not: EWOULDBLOCK while another holds it. */
static int lock_try(int folder)
{
	return flock(folder, LOCK_EX | LOCK_NB) < 0 ? errno : 0;
}

/* The root may have gone while its lock was waited for: another uninstalled. */
static bool is_gone(const struct kt_store *store)
{
	struct stat info;

	return fstat(store->dir, &info) == 0 && info.st_nlink == 0;
}

int kt_store_lock(struct kt_store *store, unsigned wait_ms, struct kt_error *err)
{
	/* ".." of the root itself, which was reached without a link */
	KT_OWN(kt_close_fd) int folder = openat(store->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t deadline = kt_clock_ms() + wait_ms;
	enum kt_claim claim;
	int code = folder < 0 ? errno : 0, r = claim_check(store, &claim, err);

	if (r < 0)
		return r;
	while (folder >= 0 && (code = lock_try(folder)) == EWOULDBLOCK && kt_clock_ms() < deadline)
		(void)nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_MS * 1000000L}, NULL);
	if (code == EWOULDBLOCK) {
		char holder[80];

		holder_print(store, folder, holder, sizeof(holder));
		return kt_fail(err, EAGAIN, KT_REASON_LOCKED, "another installer is at work in %s%s", store->root,
			       holder);
	}
	if (code != 0)
		return kt_fail_errno(err, code, KT_REASON_IO_ERROR, "cannot lock the folder above %s", store->root);
	if (is_gone(store))
		return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "%s was removed by another installer", store->root);
	kt_close_fd(&store->lock);
	store->lock = kt_take_fd(&folder);
	/* Looked at again: whoever held the lock before may have uninstalled, and left what was not its own. */
	r = claim_check(store, &claim, err);
	if (r == 0 && claim == KT_CLAIM_EMPTY)
		r = kt_store_mark(store, err);
	if (r < 0)
		kt_close_fd(&store->lock);
	return r;
}
