/* A tree as somebody built it. Only plain files, folders and links are taken; what else there is stops it by name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/paths.h"
#include "layout.h"
#include "sources.h"

static int folder_take(int dir, const char *below, struct kt_place *place, struct kt_error *err);

static int link_take(int dir, const char *name, const char *path, struct kt_place *place, struct kt_error *err)
{
	char target[KT_MANIFEST_PATH_MAX], inner[KT_MANIFEST_PATH_MAX], name_buffer[KT_PLACE_NAME_MAX];
	char shown[KT_SHOWN_MAX];
	int r = kt_fs_read_link(dir, name, target, sizeof(target));

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_BUNDLE_INVALID, "cannot read the link %s",
				     kt_path_show(path, shown));
	return kt_place_link(
		place, kt_place_name(place, path, name_buffer),
		place->layout == KT_LAYOUT_ROOT ? kt_layout_root_target(path, target, inner, sizeof(inner)) : target,
		err);
}

static int file_take(int dir, const char *name, const char *path, struct kt_place *place, struct kt_error *err)
{
	char shown[KT_SHOWN_MAX], name_buffer[KT_PLACE_NAME_MAX];
	struct stat info;
	KT_OWN(kt_close_fd) int fd = kt_fs_open_file(dir, name, &info);

	if (fd < 0 && fd != -EINVAL && fd != -EISDIR)
		return kt_fail_errno(err, -fd, KT_REASON_IO_ERROR, "cannot open %s", kt_path_show(path, shown));
	if (fd < 0)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s is not a regular file, folder or link",
			       kt_path_show(path, shown));
	/* other attributes, as SELinux's label, belong to the machine and not to the tree */
	if ((info.st_mode & (S_ISUID | S_ISGID | S_ISVTX)) || kt_fs_has_capabilities(fd) != 0)
		return kt_fail(err, EPERM, KT_REASON_BUNDLE_INVALID,
			       "%s is setuid, setgid, sticky or has capabilities: no bundle has that",
			       kt_path_show(path, shown));
	return kt_place_copy(place, fd, kt_place_name(place, path, name_buffer), (info.st_mode & 0111) != 0, err);
}

static int entry_take(int dir, const char *name, const char *path, struct kt_place *place, struct kt_error *err)
{
	char shown[KT_SHOWN_MAX];
	struct stat info, own;
	bool is_folder;
	int r = kt_place_admit(place, path, err);

	if (r < 0)
		return r;
	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot look at %s", kt_path_show(path, shown));
	is_folder = S_ISDIR(info.st_mode);
	if (is_folder && fstat(place->dir, &own) == 0 && own.st_dev == info.st_dev && own.st_ino == info.st_ino)
		return 0; /* what is being made lies in the tree: not into itself */
	if (is_folder ? !kt_place_enters(place, path) : !kt_place_takes(place, path)) {
		kt_place_leave_out(place, path);
		return 0;
	}
	if (is_folder) {
		KT_OWN(kt_close_fd) int folder = kt_fs_open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);

		if (folder < 0)
			return kt_fail_errno(err, -folder, KT_REASON_IO_ERROR, "cannot open %s",
					     kt_path_show(path, shown));
		return folder_take(folder, path, place, err);
	}
	if (S_ISLNK(info.st_mode))
		return link_take(dir, name, path, place, err);
	if (S_ISREG(info.st_mode))
		return file_take(dir, name, path, place, err);
	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s is not a regular file, folder or link",
		       kt_path_show(path, shown));
}

static int folder_take(int dir, const char *below, struct kt_place *place, struct kt_error *err)
{
	int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	KT_OWN(kt_close_dir) DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!entries)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read %s", *below ? below : "the tree");
	while ((errno = 0, entry = readdir(entries))) {
		char path[KT_MANIFEST_PATH_MAX + 1];
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		/* one that is cut is as long as is refused */
		(void)!snprintf(path, sizeof(path), "%s%s%s", below, *below ? "/" : "", entry->d_name);
		r = entry_take(dir, entry->d_name, path, place, err);
		if (r < 0)
			return r;
	}
	return errno ? kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read %s", *below ? below : "the tree") : 0;
}

int kt_tree_take(const char *path, struct kt_place *place, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open %.300s", path);
	return folder_take(dir, "", place, err);
}
