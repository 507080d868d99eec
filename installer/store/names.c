/* What lies in a bundle and is not in its manifest: nobody vouched for it, so the bundle is refused as a whole. Names
 * only, which is quick; the content of what is in the manifest is checked where it is landed. */
#include "names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "kontain/fs.h"

/* No manifest's path is deeper: 1024 bytes, two a level. */
#define DEPTH_MAX 512

struct walk {
	const struct kt_bundle_file *files; /* borrowed, sorted by path */
	size_t count;
	char path[KT_MANIFEST_PATH_MAX];    /* of the entry that is looked at, from where `files` begin */
	size_t length;
	unsigned depth;
	struct kt_error *err;
};

static int path_compare(const void *key, const void *file)
{
	return strcmp(key, ((const struct kt_bundle_file *)file)->path);
}

static bool is_listed(const struct walk *walk)
{
	return walk->count > 0 &&
	       bsearch(walk->path, walk->files, walk->count, sizeof(*walk->files), path_compare) != NULL;
}

static int walk_fail(const struct walk *walk, const char *name, const char *what)
{
	return kt_fail(walk->err, EINVAL, KT_REASON_BUNDLE_INVALID, "the bundle holds %.200s%s%.100s, %s", walk->path,
		       walk->length ? "/" : "", name, what);
}

static int walk_visit(void *context, int dir, const char *name)
{
	struct walk *walk = context;
	size_t before = walk->length, length = strlen(name);
	struct stat info;
	int r = 0;

	if (before + length + 2 > sizeof(walk->path) || walk->depth >= DEPTH_MAX)
		return walk_fail(walk, name, "which is too long a path");
	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return kt_fail_errno(walk->err, errno, KT_REASON_IO_ERROR, "cannot read %s of the bundle", name);
	walk->length += (size_t)snprintf(walk->path + before, sizeof(walk->path) - before, "%s%s", before ? "/" : "", name);
	if (S_ISDIR(info.st_mode)) {
		walk->depth++;
		r = kt_each_entry(dir, name, walk_visit, walk);
		walk->depth--;
		if (r < 0 && walk->err->code == 0)
			r = kt_fail_errno(walk->err, -r, KT_REASON_IO_ERROR, "cannot read %s of the bundle", walk->path);
	} else if (!is_listed(walk)) {
		walk->path[before] = '\0';
		walk->length = before;
		return walk_fail(walk, name, "which its manifest does not name");
	}
	walk->path[before] = '\0';
	walk->length = before;
	return r;
}

struct top {
	const struct kt_manifest *manifest;
	struct kt_error *err;
};

/* The bundle's own folder: the manifest, a folder a component, and what extras need. */
static int top_visit(void *context, int dir, const char *name)
{
	struct top *top = context;
	const char *component_name = kt_component_of_folder(name);
	const struct kt_component *component =
		component_name ? kt_manifest_component(top->manifest, component_name) : NULL;
	struct walk walk = {.files = top->manifest->extras, .count = top->manifest->extra_count, .err = top->err};

	if (strcmp(name, KT_MANIFEST_NAME) == 0)
		return 0;
	if (!component)
		return walk_visit(&walk, dir, name);
	walk.files = component->files;
	walk.count = component->file_count;

	int r = kt_each_entry(dir, name, walk_visit, &walk);

	if (r < 0)
		return top->err->code ? kt_fail_prefix(top->err, "%s", name) :
					kt_fail_errno(top->err, -r, KT_REASON_BUNDLE_INVALID,
						      "cannot read the bundle's folder %s", name);
	return 0;
}

int kt_names_check(const struct kt_bundle *bundle, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct top top = {.manifest = &bundle->manifest, .err = &mine};
	int r = kt_each_entry(bundle->dir, ".", top_visit, &top);

	if (r < 0 && mine.code == 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the bundle");
	return r < 0 ? kt_fail(err, mine.code, mine.reason, "%s", mine.text) : 0;
}
