/* One installer at a time in a store.
 *
 * The lock is flock(2) of a file beside the root (/opt/.kontain.lock) that only root can open: flock needs no right to
 * write, so that of a folder could be held by any user of the node, and of anything below the root by a payload that
 * has it mounted. Either would keep the node from its upgrade. Where no file can be made it is the folder above. The
 * uninstallation removes the file while it holds it: whoever waited for it looks whether it is still there. */
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
#include "kontain/base/dir.h"
#include "kontain/base/error.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"
#include "layout.h"

#define LOCK_STEP_MS  20
#define LOCK_NAME_MAX 256
#define LOCKS_BYTES   65536 /* of /proc/locks: some thousand */

/* "1: FLOCK  ADVISORY  WRITE 1234 fe:00:131073 0 EOF" (proc(5)): of this file? Its process, 0 for another's. */
static int holder_of(const char *line, const struct stat *file)
{
	unsigned major_number, minor_number;
	unsigned long long inode;
	int pid;

	if (sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", &pid, &major_number, &minor_number, &inode) != 4)
		return 0;
	return inode == file->st_ino && pid > 0 ? pid : 0;
}

struct open_file {
	const struct stat *file;
	bool is_open;
};

static int open_visit(void *context, int dir, const char *name)
{
	struct open_file *open_file = context;
	struct stat info;

	open_file->is_open = fstatat(dir, name, &info, 0) == 0 && info.st_ino == open_file->file->st_ino &&
			     info.st_dev == open_file->file->st_dev;
	return open_file->is_open;
}

/* The device in /proc/locks is another's where a filesystem has several (btrfs), and inodes alone are of any
 * filesystem: so has this process the file open? */
static bool has_open(int proc, int pid, const struct stat *file)
{
	struct open_file open_file = {.file = file};
	char path[32];

	(void)snprintf(path, sizeof(path), "%d/fd", pid);
	(void)kt_each_entry(proc, path, open_visit, &open_file);
	return open_file.is_open;
}

/* Who holds it, as far as this process can see: " (process 123, kontain-installer)", or "". */
static void holder_print(const struct kt_store *store, int file, char *text, size_t size)
{
	char host[sizeof(store->path)], locks[LOCKS_BYTES], path[32], *next = locks;
	struct kt_process its = {.program = "?"};
	struct stat info;

	text[0] = '\0';
	kt_store_host(store, host);

	KT_OWN(kt_close_fd) int proc = kt_proc_open(host);

	if (proc < 0 || fstat(file, &info) < 0 || kt_proc_read(host, "locks", locks, sizeof(locks)) < 0)
		return;
	for (char *line; (line = strsep(&next, "\n"));) {
		int pid = holder_of(line, &info);

		if (pid == 0 || !has_open(proc, pid, &info))
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

/* ".kontain.lock" */
static void lock_name(const struct kt_store *store, char name[LOCK_NAME_MAX])
{
	(void)snprintf(name, LOCK_NAME_MAX, ".%.240s.lock", strrchr(store->root, '/') + 1);
}

/* An owned descriptor, or -errno. What others could have put there is not taken for ours. */
static int lock_open(int above, const char *name)
{
	KT_OWN(kt_close_fd) int fd = openat(above, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	struct stat info;

	if (fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM || errno == ENOSPC || errno == EDQUOT))
		return kt_fs_open_beneath(above, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || fstat(fd, &info) < 0)
		return kt_negative_errno();
	if (!S_ISREG(info.st_mode) || info.st_uid != geteuid() || (info.st_mode & 077 && fchmod(fd, 0600) < 0))
		return -EEXIST;
	return kt_take_fd(&fd);
}

/* Is what was locked still what is there? The holder before may have removed it. 1, 0, or -errno. */
static int is_there(int above, const char *name, int fd)
{
	struct stat locked, there;

	if (fstat(fd, &locked) < 0)
		return kt_negative_errno();
	if (S_ISDIR(locked.st_mode))
		return 1;
	if (fstatat(above, name, &there, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : kt_negative_errno();
	return there.st_ino == locked.st_ino && there.st_dev == locked.st_dev;
}

/* 0, or why not: -EWOULDBLOCK while another holds it; *ret_fd is the lock, or what is held. */
static int lock_try(int above, const char *name, int *ret_fd)
{
	kt_close_fd(ret_fd);
	*ret_fd = lock_open(above, name);
	if (*ret_fd < 0)
		return *ret_fd;
	if (flock(*ret_fd, LOCK_EX | LOCK_NB) < 0)
		return kt_negative_errno();

	int r = is_there(above, name, *ret_fd);

	return r > 0 ? 0 : r < 0 ? r : -EWOULDBLOCK;
}

void kt_store_unlock_for_good(const struct kt_store *store, int above)
{
	char name[LOCK_NAME_MAX];

	lock_name(store, name);
	if (is_there(above, name, store->lock) > 0)
		(void)unlinkat(above, name, 0);
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
	KT_OWN(kt_close_fd) int above = openat(store->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_OWN(kt_close_fd) int lock = -1;
	int64_t deadline = kt_clock_ms() + wait_ms;
	char name[LOCK_NAME_MAX], holder[80];
	enum kt_claim claim;
	int code = above < 0 ? kt_negative_errno() : 0, r = claim_check(store, &claim, err);

	if (r < 0)
		return r;
	lock_name(store, name);
	while (above >= 0 && (code = lock_try(above, name, &lock)) == -EWOULDBLOCK && kt_clock_ms() < deadline)
		(void)nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_MS * 1000000L}, NULL);
	if (code == -EWOULDBLOCK) {
		holder_print(store, lock, holder, sizeof(holder));
		return kt_fail(err, EAGAIN, KT_REASON_LOCKED, "another process holds the lock of %s%s", store->root,
			       holder);
	}
	if (code == -EEXIST || code == -ELOOP || code == -ENXIO)
		return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION,
			       "%s beside %s is not a lock of kontain-installer: move it away", name, store->root);
	if (code != 0)
		return kt_fail_errno(err, -code, KT_REASON_IO_ERROR, "cannot lock %s beside %s", name, store->root);
	if (is_gone(store))
		return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "%s was removed by another installer", store->root);
	kt_close_fd(&store->lock);
	store->lock = kt_take_fd(&lock);
	/* Looked at again: whoever held the lock before may have uninstalled, and left what was not its own. */
	r = claim_check(store, &claim, err);
	if (r == 0 && claim == KT_CLAIM_EMPTY)
		r = kt_store_mark(store, err);
	if (r < 0)
		kt_close_fd(&store->lock);
	return r;
}
