/* Files below a directory descriptor: reading and replacing. tree.c makes and removes trees.
 *
 * The promise: no path given here leaves its directory, by link, by dots or by mount trick, as the kernel itself
 * walks it (openat2(2)). A replaced file or link is the old one or the new one at each instant. The temporary's name
 * is fixed, .partial-<name>: callers hold their store's lock, what a crash left is cleared by the next attempt, and
 * the store's sweep of .partial-* takes the rest. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"

#define RESOLVE_RETRIES 16

int kt_fs_open_beneath(int dir, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
		/* openat2 refuses a mode where no file can be made */
		.mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? mode & 07777 : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	/* EAGAIN: something was renamed or mounted meanwhile and the kernel would not vouch for the walk */
	for (int i = 0; i < RESOLVE_RETRIES; i++) {
		long fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));

		if (fd >= 0)
			return (int)fd;
		if (errno != EAGAIN && errno != EINTR)
			return kt_negative_errno();
	}
	return -EAGAIN;
}

/* By the link that the kernel keeps for each descriptor (proc(5)): the very file that was looked at, whatever has its
 * name by now. Where there is no /proc, by name. */
static int file_reopen(int looked, int dir, const char *path)
{
	/* O_NONBLOCK, O_NOCTTY: for the case without /proc, in which another may lie there by now */
	const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	char link[32];
	int fd;

	(void)snprintf(link, sizeof(link), KT_PROC_SELF_FD "%d", looked);
	fd = open(link, flags);
	if (fd >= 0 || errno != ENOENT)
		return fd < 0 ? kt_negative_errno() : fd;
	fd = dir == AT_FDCWD ? open(path, flags) : kt_fs_open_beneath(dir, path, flags, 0);
	return dir == AT_FDCWD && fd < 0 ? kt_negative_errno() : fd;
}

int kt_fs_open_file(int dir, const char *path, struct stat *ret_info)
{
	KT_OWN(kt_close_fd)
	int looked = dir == AT_FDCWD ? open(path, O_PATH | O_CLOEXEC) : kt_fs_open_beneath(dir, path, O_PATH, 0);
	KT_OWN(kt_close_fd) int fd = -1;
	struct stat info;

	if (looked < 0)
		return dir == AT_FDCWD ? kt_negative_errno() : looked;
	if (fstat(looked, &info) < 0)
		return kt_negative_errno();
	if (!S_ISREG(info.st_mode))
		return S_ISDIR(info.st_mode) ? -EISDIR : -EINVAL;
	fd = file_reopen(looked, dir, path);
	if (fd < 0)
		return fd;
	if (fstat(fd, ret_info) < 0)
		return kt_negative_errno();
	return ret_info->st_ino == info.st_ino && ret_info->st_dev == info.st_dev ? kt_take_fd(&fd) : -EINVAL;
}

void kt_fs_folder_of(const char *path, char ret_folder[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	(void)snprintf(ret_folder, PATH_MAX, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
}

int kt_fs_has_capabilities(int fd)
{
	/* EOVERFLOW: those of another user namespace */
	if (fgetxattr(fd, "security.capability", NULL, 0) >= 0 || errno == EOVERFLOW)
		return 1;
	return errno == ENODATA || errno == EOPNOTSUPP ? 0 : kt_negative_errno();
}

int kt_fs_open_parent(int dir, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	char parent[PATH_MAX];

	if (path[0] == '/' || !*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (slash && (size_t)(slash - path) >= sizeof(parent))
		return -ENAMETOOLONG;
	(void)snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");

	int fd = kt_fs_open_beneath(dir, parent, O_RDONLY | O_DIRECTORY, 0);

	if (fd >= 0)
		*ret_name = name;
	return fd;
}

/* A file may grow while it is read and /proc says size 0, so fstat is only the first guess. */
int kt_fs_read_fd(int fd, size_t max_bytes, char **ret_bytes, size_t *ret_size)
{
	struct stat info;
	size_t used = 0, room = 4096;

	if (max_bytes >= SSIZE_MAX)
		return -EINVAL;
	if (fstat(fd, &info) == 0 && info.st_size > 0) {
		if (S_ISREG(info.st_mode) && (uintmax_t)info.st_size > max_bytes)
			return -EFBIG;
		room = (size_t)info.st_size + 1;
	}
	if (room > max_bytes + 1)
		room = max_bytes + 1;

	KT_OWN(kt_free_mem) char *bytes = malloc(room + 1);

	while (bytes) {
		ssize_t got = read(fd, bytes + used, room - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return kt_negative_errno();
		used += (size_t)got;
		if (used > max_bytes)
			return -EFBIG;
		if (got == 0) {
			bytes[used] = '\0';
			*ret_bytes = kt_take_ptr(&bytes);
			*ret_size = used;
			return 0;
		}
		if (used < room)
			continue;
		room = room > max_bytes / 2 ? max_bytes + 1 : room * 2;

		char *more = realloc(bytes, room + 1);

		if (!more)
			return -ENOMEM;
		bytes = more;
	}
	return -ENOMEM;
}

int kt_fs_read_all(int dir, const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_size,
		   struct kt_error *err)
{
	struct stat info;
	KT_OWN(kt_close_fd) int fd = kt_fs_open_file(dir, path, &info);

	if (fd == -EISDIR || fd == -EINVAL)
		return kt_fail(err, -fd, KT_REASON_IO_ERROR, "cannot read %s: it is not a regular file", path);
	if (fd < 0)
		return kt_fail_errno(err, -fd, KT_REASON_IO_ERROR, "cannot open %s", path);

	int r = kt_fs_read_fd(fd, max_bytes, ret_bytes, ret_size);

	if (r == -EFBIG)
		return kt_fail(err, EFBIG, KT_REASON_IO_ERROR, "cannot read %s: it is larger than %zu bytes", path,
			       max_bytes);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", path) : 0;
}

int kt_fs_write_full(int fd, const void *bytes, size_t size)
{
	const char *next = bytes;

	while (size > 0) {
		ssize_t put = write(fd, next, size);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return kt_negative_errno();
		if (put == 0) /* no progress and no cause: never spin on it */
			return -EIO;
		next += put;
		size -= (size_t)put;
	}
	return 0;
}

/* Names the temporary beside `name` and clears what a crash left there. */
static int temporary_clear(int dir, const char *name, char temporary[NAME_MAX + 1])
{
	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if (snprintf(temporary, NAME_MAX + 1, KT_FS_TEMPORARY "%s", name) > NAME_MAX)
		return -ENAMETOOLONG;
	return unlinkat(dir, temporary, 0) < 0 && errno != ENOENT ? kt_negative_errno() : 0;
}

static int temporary_write(int dir, const char *temporary, const void *bytes, size_t size, mode_t mode)
{
	KT_OWN(kt_close_fd)
	int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return kt_negative_errno();

	int r = kt_fs_write_full(fd, bytes, size);

	if (r < 0)
		return r;
	/* the mode asked for, whatever the umask is */
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return kt_negative_errno();
	return close(kt_take_fd(&fd)) < 0 ? kt_negative_errno() : 0;
}

int kt_fs_make_file(int dir, const char *name, const void *bytes, size_t size, mode_t mode)
{
	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	int r = fd < 0 ? fd : kt_fs_write_full(fd, bytes, size);

	if (r == 0 && fchmod(fd, mode) < 0)
		r = kt_negative_errno();
	if (r == 0 && close(kt_take_fd(&fd)) < 0)
		r = kt_negative_errno();
	return r;
}

int kt_fs_replace_file(int dir, const char *name, const void *bytes, size_t size, mode_t mode, struct kt_error *err)
{
	char temporary[NAME_MAX + 1];
	int r = temporary_clear(dir, name, temporary);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot replace %s", name);
	r = temporary_write(dir, temporary, bytes, size, mode);
	if (r == 0 && renameat(dir, temporary, dir, name) < 0)
		r = kt_negative_errno();
	if (r < 0) {
		(void)unlinkat(dir, temporary, 0);
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot write %s", name);
	}
	if (fsync(dir) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot sync the directory of %s", name);
	return 0;
}

int kt_fs_replace_link(int dir, const char *name, const char *target, struct kt_error *err)
{
	char temporary[NAME_MAX + 1];
	int r = temporary_clear(dir, name, temporary);

	if (r == 0 && symlinkat(target, dir, temporary) < 0)
		r = kt_negative_errno();
	if (r == 0 && renameat(dir, temporary, dir, name) < 0) {
		r = kt_negative_errno();
		(void)unlinkat(dir, temporary, 0);
	}
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot link %s to %s", name, target) : 0;
}

/* What is answered where flags are not known: by filesystems EINVAL, by kernels and filters ENOSYS or EOPNOTSUPP. */
static bool is_flag_unknown(int code)
{
	return code == EINVAL || code == ENOSYS || code == EOPNOTSUPP;
}

int kt_fs_rename_new(int dir, const char *name, int to_dir, const char *to)
{
	struct stat info;

	if (renameat2(dir, name, to_dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (!is_flag_unknown(errno))
		return kt_negative_errno();
	if (fstatat(to_dir, to, &info, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (errno != ENOENT || renameat(dir, name, to_dir, to) < 0)
		return kt_negative_errno();
	return 0;
}

int kt_fs_exchange(int dir, const char *name, int other_dir, const char *other)
{
	if (renameat2(dir, name, other_dir, other, RENAME_EXCHANGE) == 0)
		return 0;
	return is_flag_unknown(errno) ? -EOPNOTSUPP : kt_negative_errno();
}

int kt_fs_can_move(int dir, const char *name, int to_dir, const char *taken)
{
	if (renameat(dir, name, to_dir, taken) == 0)
		return -EINVAL; /* `taken` was empty: the caller's mistake */
	return errno == ENOTEMPTY || errno == EEXIST || errno == EISDIR ? 0 : kt_negative_errno();
}

int kt_fs_read_link(int dir, const char *path, char *target, size_t size)
{
	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, path, O_PATH | O_NOFOLLOW, 0);
	struct stat info;

	if (fd < 0)
		return fd;
	if (fstat(fd, &info) < 0)
		return kt_negative_errno();
	if (!S_ISLNK(info.st_mode))
		return -EINVAL;

	ssize_t length = readlinkat(fd, "", target, size);

	if (length < 0)
		return kt_negative_errno();
	if ((size_t)length >= size) /* cut or exactly full: no room for the NUL */
		return -ENAMETOOLONG;
	target[length] = '\0';
	return 0;
}

bool kt_fs_exists(int dir, const char *path)
{
	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, path, O_PATH | O_NOFOLLOW, 0);

	return fd >= 0;
}

bool kt_fs_find_twin(int dir, const char *name, char ret_twin[KT_FS_NAME_MAX])
{
	int copy = kt_fs_open_beneath(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	KT_OWN(kt_close_dir) DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	struct stat info;
	bool is_there = fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
	char twin[KT_FS_NAME_MAX] = "";
	struct dirent *entry;

	if (!entries)
		kt_close_fd(&copy);
	while (entries && (entry = readdir(entries))) {
		if (strcmp(entry->d_name, name) == 0)
			return false;
		if (strcasecmp(entry->d_name, name) != 0 && (!is_there || entry->d_ino != info.st_ino))
			continue;
		(void)snprintf(twin, sizeof(twin), "%s", entry->d_name);
	}
	if (*twin)
		memcpy(ret_twin, twin, sizeof(twin));
	return *twin != '\0';
}

int kt_fs_boot_id(char ret_id[37])
{
	char text[64];
	int r = kt_proc_read("", "sys/kernel/random/boot_id", text, sizeof(text));

	if (r < 0)
		return r;
	if (strspn(text, "0123456789abcdef-") != 36)
		return -EINVAL;
	memcpy(ret_id, text, 36);
	ret_id[36] = '\0';
	return 0;
}
