/* What lies in a bundle's folder and is not in its manifest. Names only, which is quick; folders that hold nothing are
 * let pass, as they are never landed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kontain/bundle.h"
#include "kontain/fs.h"
#include "kontain/own.h"
#include "kontain/paths.h"
#include "lookup.h"

/* No manifest's path is deeper: 1024 bytes, two a level. */
#define DEPTH_MAX (KT_MANIFEST_PATH_MAX / 2)

struct names {
	const struct kt_manifest *manifest;
	char path[KT_MANIFEST_PATH_MAX + 16]; /* of the entry looked at; room for a folder before a longest path */
	size_t length;
	unsigned depth;
	struct kt_error *err;
};

static int folder_walk(struct names *names, int dir, const char *name);

static int name_refuse(const struct names *names, const char *what)
{
	char shown[KT_SHOWN_MAX];

	return kt_fail(names->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s %s", kt_path_show(names->path, shown), what);
}

static int entry_visit(struct names *names, int dir, const char *name)
{
	size_t before = names->length;
	int length = snprintf(names->path + before, sizeof(names->path) - before, "%s%s", before ? "/" : "", name);
	struct stat info;
	int r = 0;

	if ((size_t)length >= sizeof(names->path) - before || names->depth >= DEPTH_MAX)
		return name_refuse(names, "is too long a path");
	names->length = before + (size_t)length;
	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		r = kt_fail_errno(names->err, errno, KT_REASON_IO_ERROR, "cannot look at %s", names->path);
	else if (S_ISDIR(info.st_mode))
		r = folder_walk(names, dir, name);
	else if (!kt_manifest_entry(names->manifest, names->path) && strcmp(names->path, KT_MANIFEST_NAME) != 0)
		r = name_refuse(names, "is in the bundle's folder but not in its manifest");
	names->length = before;
	names->path[before] = '\0';
	return r;
}

static int folder_walk(struct names *names, int dir, const char *name)
{
	int fd = kt_fs_open_beneath(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	KT_OWN(kt_close_dir) DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!entries)
		return kt_fail_errno(names->err, fd < 0 ? -fd : errno, KT_REASON_IO_ERROR, "cannot open the folder %s",
				     names->length ? names->path : "");
	names->depth++;
	while (r == 0 && (errno = 0, entry = readdir(entries)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = entry_visit(names, fd, entry->d_name);
	if (r == 0 && !entry && errno != 0)
		r = kt_fail_errno(names->err, errno, KT_REASON_IO_ERROR, "cannot read the folder %s", names->path);
	names->depth--;
	return r;
}

int kt_bundle_check_names(const struct kt_bundle *bundle, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct names names = {.manifest = &bundle->manifest, .path = "", .err = &mine};
	int r = folder_walk(&names, bundle->dir, ".");

	return r < 0 ? kt_fail(err, mine.code, mine.reason, "%s", mine.text) : 0;
}
