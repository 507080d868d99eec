/* Walking directories: their entries, the paths of a sorted list, and what holds nothing but directories. */
#include "kontain/base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"

/* Deeper than this no runtime makes directories for a hostPath that names a store's path. */
#define SKELETON_DEPTH 32

void kt_way_init(struct kt_way *way, int dir)
{
	*way = (struct kt_way){.dir = dir, .at = -1};
}

void kt_way_done(struct kt_way *way)
{
	kt_close_fd(&way->at);
}

int kt_way_enter(struct kt_way *way, const char *path, bool make, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash ? (size_t)(slash - path) : 0;

	if (length >= sizeof(way->parent))
		return -ENAMETOOLONG;
	*ret_name = slash ? slash + 1 : path;
	if (strlen(way->parent) == length && memcmp(way->parent, path, length) == 0)
		return way->at >= 0 ? way->at : way->dir;
	kt_way_done(way);
	memcpy(way->parent, path, length);
	way->parent[length] = '\0';
	if (length == 0)
		return way->dir;

	int fd = kt_fs_open_beneath(way->dir, way->parent, O_RDONLY | O_DIRECTORY, 0);

	if (fd == -ENOENT && make) {
		fd = kt_fs_make_dirs(way->dir, way->parent);
		if (fd == 0)
			fd = kt_fs_open_beneath(way->dir, way->parent, O_RDONLY | O_DIRECTORY, 0);
	}
	if (fd < 0) {
		way->parent[0] = '\0'; /* nothing is kept of a walk that failed */
		return fd;
	}
	way->at = fd;
	return fd;
}

int kt_each_entry(int dir, const char *path, kt_visit *visit, void *context)
{
	KT_OWN(kt_close_fd) int own = kt_fs_open_beneath(dir, path, O_RDONLY | O_DIRECTORY, 0);
	KT_OWN(kt_close_dir) DIR *entries = own < 0 ? NULL : fdopendir(own);
	struct dirent *entry;
	int fd = own;

	if (own < 0)
		return own == -ENOENT ? 0 : own;
	if (!entries)
		return kt_negative_errno();
	own = -1; /* the stream's now */
	while ((errno = 0, entry = readdir(entries))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;

		int r = visit(context, fd, entry->d_name);

		if (r != 0)
			return r;
	}
	return errno ? kt_negative_errno() : 0;
}

static int skeleton_visit(void *context, int dir, const char *name)
{
	unsigned depth = *(unsigned *)context + 1;
	struct stat info;

	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return kt_negative_errno();
	if (!S_ISDIR(info.st_mode) || depth > SKELETON_DEPTH)
		return 1;
	return kt_each_entry(dir, name, skeleton_visit, &depth);
}

bool kt_is_skeleton(int dir, const char *name)
{
	unsigned depth = 0;
	struct stat info;

	return fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode) &&
	       kt_each_entry(dir, name, skeleton_visit, &depth) == 0;
}

static int skeleton_remove(int dir, const char *name, unsigned depth);

static int skeleton_remove_visit(void *context, int dir, const char *name)
{
	return skeleton_remove(dir, name, *(const unsigned *)context + 1);
}

static int skeleton_remove(int dir, const char *name, unsigned depth)
{
	int r = depth > SKELETON_DEPTH ? -ELOOP : kt_each_entry(dir, name, skeleton_remove_visit, &depth);

	if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = kt_negative_errno();
	return r;
}

int kt_skeleton_remove(int dir, const char *name)
{
	return skeleton_remove(dir, name, 0);
}
