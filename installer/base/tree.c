/* Making and removing trees below a directory descriptor.
 *
 * Removal holds a descriptor of each directory on its way down, so a tree that is changed under it can make it fail
 * but not lead it elsewhere: links are removed and never followed, and a mount below the tree stops it (EXDEV) rather
 * than lose what is mounted there. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"

/* Deeper than any bundle path (1024 bytes) can be; each level costs a descriptor. */
#define DEPTH_MAX 520

/* Opens or makes one level. */
static int level_make(int dir, const char *name)
{
	bool is_new = mkdirat(dir, name, 0755) == 0;

	if (!is_new && errno != EEXIST)
		return kt_negative_errno();

	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);

	if (fd >= 0 && is_new && fchmod(fd, 0755) < 0) /* whatever the umask is */
		return kt_negative_errno();
	return kt_take_fd(&fd);
}

int kt_fs_make_dirs(int dir, const char *path)
{
	KT_OWN(kt_close_fd) int at = -1;
	char name[NAME_MAX + 1];

	if (path[0] == '/')
		return -EINVAL;
	while (*path) {
		size_t length = strcspn(path, "/");

		if (length >= sizeof(name))
			return -ENAMETOOLONG;
		(void)snprintf(name, sizeof(name), "%.*s", (int)length, path);
		path += length + (path[length] == '/');
		if (!*name || strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0)
			return -EINVAL;

		int next = level_make(at >= 0 ? at : dir, name);

		if (next < 0)
			return next;
		kt_close_fd(&at);
		at = next;
	}
	return 0;
}

static int directory_open(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));

	return fd < 0 ? kt_negative_errno() : (int)fd;
}

static int entry_remove(int dir, const char *name, unsigned depth);

/* One pass over a directory. Some filesystems skip entries when others go meanwhile: the caller repeats
 * until a pass finds nothing. */
static int content_remove(int fd, unsigned depth, size_t *ret_seen)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	KT_OWN(kt_close_dir) DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!entries) {
		int saved = errno;

		kt_close_fd(&copy);
		return -saved;
	}
	rewinddir(entries); /* a copy shares the position that the last pass left */
	*ret_seen = 0;
	while ((errno = 0, entry = readdir(entries))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		(*ret_seen)++;

		int r = entry_remove(fd, entry->d_name, depth);

		if (r < 0)
			return r;
	}
	return errno ? kt_negative_errno() : 0;
}

static int entry_remove(int dir, const char *name, unsigned depth)
{
	size_t seen = 0;

	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR) /* what Linux says of a directory, and of nothing else */
		return kt_negative_errno();
	if (depth >= DEPTH_MAX)
		return -ELOOP;

	KT_OWN(kt_close_fd) int fd = directory_open(dir, name);

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	do {
		int r = content_remove(fd, depth + 1, &seen);

		if (r < 0)
			return r;
	} while (seen > 0);
	return unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? kt_negative_errno() : 0;
}

int kt_fs_remove_tree(int dir, const char *path, struct kt_error *err)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(dir, path, &name);
	int r = parent < 0 ? parent : entry_remove(parent, name, 0);

	if (r == 0 || (parent == -ENOENT))
		return 0;
	if (r == -EXDEV || r == -EBUSY)
		return kt_fail(err, -r, KT_REASON_IN_USE,
			       "cannot remove %s: something is mounted there, unmount it first", path);
	return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot remove %s", path);
}
