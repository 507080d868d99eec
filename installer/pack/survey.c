/* From the folder to its lists. Only what lies there is believed: the digests are of the files as written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/dir.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/treecheck.h"
#include "kontain/contract/paths.h"
#include "layout.h"
#include "sources.h"

/* ---- km's tools ---- */

struct split {
	const struct kt_place *place;
	const char *below; /* of bin/, with a slash at its end, or "" */
	struct kt_error *err;
};

static int tool_fail(const struct split *split, int code, const char *path)
{
	char shown[KT_SHOWN_MAX];

	(void)kt_path_show(path, shown);
	if (code == EEXIST || code == ENOTDIR || code == ELOOP)
		return kt_fail(split->err, code, KT_REASON_BUNDLE_INVALID, "bin/%s and tools/%s are both there", shown,
			       shown);
	return kt_fail_errno(split->err, code, KT_REASON_IO_ERROR, "cannot move bin/%s to tools/", shown);
}

/* A file of bin/ that is not km becomes one of tools/, and a link to it. */
static int tool_move(const struct split *split, int dir, const char *name, const char *path)
{
	char tool[KT_MANIFEST_PATH_MAX + 300], target[2 * KT_MANIFEST_PATH_MAX], *end = target;
	KT_OWN(kt_close_fd) int folder = -1;
	const char *last = NULL;
	int r;

	(void)snprintf(tool, sizeof(tool), KT_COMPONENT_TOOLS "/%s", path);
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++)
		end = stpcpy(end, "../");
	(void)snprintf(end, sizeof(target) - (size_t)(end - target), KT_TOOLS_ABOVE "%s", path);
	char *slash = strrchr(tool, '/');

	*slash = '\0';
	r = kt_fs_make_dirs(split->place->dir, tool);
	*slash = '/';
	if (r == 0)
		folder = kt_fs_open_parent(split->place->dir, tool, &last);
	if (r < 0 || folder < 0)
		return tool_fail(split, r < 0 ? -r : -folder, path);
	if (faccessat(folder, last, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return tool_fail(split, EEXIST, path);
	if (renameat(dir, name, folder, last) < 0 || symlinkat(target, dir, name) < 0)
		return tool_fail(split, errno, path);
	return 0;
}

static int split_visit(void *context, int dir, const char *name)
{
	const struct split *split = context;
	char path[KT_MANIFEST_PATH_MAX + 256];
	struct stat info;

	(void)snprintf(path, sizeof(path), "%s%s", split->below, name);
	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return tool_fail(split, errno, path);
	if (S_ISDIR(info.st_mode)) {
		struct split deeper = *split;
		char below[sizeof(path) + 2];

		(void)snprintf(below, sizeof(below), "%s/", path);
		deeper.below = below;
		return kt_each_entry(dir, name, split_visit, &deeper);
	}
	return S_ISREG(info.st_mode) && strcmp(path, "km") != 0 ? tool_move(split, dir, name, path) : 0;
}

/* Links stay in bin/ as they are: those to tools lead there by way of the tool's own link. So a tree that is laid out
 * like this already comes out the same. */
static int tools_split(const struct kt_place *place, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct split split = {.place = place, .below = "", .err = &mine};
	int r = kt_each_entry(place->dir, "bin", split_visit, &split);

	if (r < 0 && mine.code == 0)
		r = tool_fail(&split, -r, "");
	return r < 0 ? kt_fail(err, mine.code, mine.reason, "%s", mine.text) : 0;
}

/* ---- lists ---- */

static int list_write(struct kt_place *place, const char *component, const struct kt_filelist *list,
		      struct kt_error *err)
{
	size_t size = 0;
	KT_OWN(kt_free_mem) char *text = kt_filelist_print(list->files, list->count, &size);
	char name[32];

	if (!text)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	(void)snprintf(name, sizeof(name), "%s" KT_FILELIST_NAME, component);

	KT_OWN(kt_close_fd) int fd = kt_place_file(place, name, false, err);

	return fd < 0 ? fd : kt_place_write(place, fd, name, text, size, err);
}

static int component_survey(struct kt_place *place, const char *name, struct kt_manifest *manifest,
			    struct kt_error *err)
{
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	KT_OWN(kt_close_fd)
	int dir = kt_fs_open_beneath(place->dir, kt_component_source(name), O_RDONLY | O_DIRECTORY, 0);
	int r;

	if (dir == -ENOENT)
		return 0;
	r = dir < 0 ? kt_fail_errno(err, -dir, KT_REASON_IO_ERROR, "cannot open %s", kt_component_source(name)) :
		      kt_tree_scan(dir, name, true, NULL, NULL, &list, err);
	if (r < 0)
		return kt_fail_prefix(err, "%s", name);
	if (list.count == 0)
		return 0;
	r = list_write(place, name, &list, err);
	if (r == 0)
		(void)kt_manifest_add(manifest, name, &list);
	return r;
}

int kt_survey(struct kt_place *place, struct kt_manifest *manifest, struct kt_error *err)
{
	int r = tools_split(place, err);

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++)
		r = component_survey(place, kt_component_names[i], manifest, err);
	return r;
}
