/* From a folder to its list. Only what lies there is believed: digests and sizes are of the bytes as read. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/array.h"
#include "kontain/base/dir.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/treecheck.h"
#include "kontain/contract/paths.h"

struct item {
	char *path; /* owned */
	char *link; /* owned */
	char sha256[KT_DIGEST_HEX];
	uint64_t size_bytes;
	uint32_t mode;
};

struct scan {
	struct item *items; /* owned */
	size_t count;
	size_t room;
	const char *component;
	const char *below; /* of the tree: where the walk is */
	bool reads_content;
	kt_tree_left_out *left_out; /* NULL: a link that leads out stays, and is refused with the list */
	void *context;
	struct kt_reader reader;
	struct kt_error *err;
};

static void scan_done(struct scan *scan)
{
	for (size_t i = 0; i < scan->count; i++) {
		free(scan->items[i].path);
		free(scan->items[i].link);
	}
	free(scan->items);
	kt_reader_done(&scan->reader);
}

/* As a person finds it: below the folder of the component. */
static const char *path_show(const struct scan *scan, const char *path, char shown[KT_SHOWN_MAX])
{
	const char *folder = kt_component_source(scan->component);
	char place[KT_MANIFEST_PATH_MAX + 300];

	(void)snprintf(place, sizeof(place), "%s%s%s", strcmp(folder, ".") == 0 ? "" : folder,
		       strcmp(folder, ".") == 0 ? "" : "/", path);
	return kt_path_show(place, shown);
}

static int scan_fail(struct scan *scan, int code, const char *path)
{
	char shown[KT_SHOWN_MAX];

	if (code == EINVAL)
		return kt_fail(scan->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s is neither a file, a folder nor a link",
			       path_show(scan, path, shown));
	return kt_fail_errno(scan->err, code, KT_REASON_IO_ERROR, "cannot read %s", path_show(scan, path, shown));
}

static int link_describe(int dir, const char *name, struct item *item)
{
	char target[KT_MANIFEST_PATH_MAX];
	int r = kt_fs_read_link(dir, name, target, sizeof(target));

	item->link = r < 0 ? NULL : strdup(target);
	return r < 0 ? r : item->link ? 0 : -ENOMEM;
}

static int item_describe(struct scan *scan, int dir, const char *name, const struct stat *info, struct item *item)
{
	struct kt_reading reading;
	int r;

	if (S_ISLNK(info->st_mode))
		return link_describe(dir, name, item);
	if (!S_ISREG(info->st_mode))
		return -EINVAL;
	item->mode = info->st_mode & 0111 ? 0755 : 0644;
	item->size_bytes = (uint64_t)info->st_size;
	memset(item->sha256, '0', sizeof(item->sha256) - 1);
	if (!scan->reads_content)
		return 0;
	r = kt_reader_read(&scan->reader, dir, name, &reading);
	if (r < 0)
		return r;
	item->size_bytes = reading.size_bytes;
	memcpy(item->sha256, reading.sha256, sizeof(item->sha256));
	return 0;
}

/* The last item, where it is a link that leads out of the tree. */
static void item_leave_out(struct scan *scan)
{
	struct item *item = &scan->items[scan->count - 1];
	const char *how = item->link && scan->left_out ? kt_link_escape(scan->component, item->path, item->link) : NULL;

	if (!how)
		return;
	scan->left_out(scan->context, item->path, how);
	kt_free_mem(&item->path);
	kt_free_mem(&item->link);
	scan->count--;
}

static int scan_visit(void *context, int dir, const char *name)
{
	struct scan *scan = context;
	const char *below = scan->below;
	char path[KT_MANIFEST_PATH_MAX + 256];
	struct stat info;
	int r;

	if (snprintf(path, sizeof(path), "%s%s%s", below, *below ? "/" : "", name) >= (int)sizeof(path))
		return scan_fail(scan, ENAMETOOLONG, below);
	if (!*below && strcmp(scan->component, KT_COMPONENT_EXTRAS) == 0 && kt_path_reserved(KT_COMPONENT_EXTRAS, path))
		return 0;
	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return scan_fail(scan, errno, path);
	if (S_ISDIR(info.st_mode)) {
		scan->below = path;
		r = kt_each_entry(dir, name, scan_visit, scan);
		scan->below = below;
		return r < 0 && scan->err->code == 0 ? scan_fail(scan, -r, path) : r;
	}
	r = kt_array_reserve(&scan->items, scan->count, &scan->room, sizeof(*scan->items));
	if (r == 0) {
		struct item *item = &scan->items[scan->count++];

		*item = (struct item){.path = strdup(path)};
		r = item->path ? item_describe(scan, dir, name, &info, item) : -ENOMEM;
	}
	if (r == 0)
		item_leave_out(scan);
	return r < 0 ? scan_fail(scan, -r, path) : 0;
}

static int by_path(const void *left, const void *right)
{
	return strcmp(((const struct item *)left)->path, ((const struct item *)right)->path);
}

static int list_make(struct scan *scan, struct kt_filelist *ret_list)
{
	KT_OWN(kt_free_mem) struct kt_file *files = calloc(scan->count, sizeof(*files));
	KT_OWN(kt_free_mem) char *text = NULL;
	size_t size = 0;

	if (!files)
		return kt_fail(scan->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	qsort(scan->items, scan->count, sizeof(*scan->items), by_path);
	for (size_t i = 0; i < scan->count; i++) {
		const struct item *item = &scan->items[i];
		const char *flaw =
			kt_path_flaw(item->path); /* before it is a line: a name may have a line feed in it */
		char shown[KT_SHOWN_MAX];

		if (!flaw)
			flaw = kt_path_reserved(scan->component, item->path);
		if (flaw)
			return kt_fail(scan->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s %s",
				       path_show(scan, item->path, shown), flaw);
		if (item->link && (flaw = kt_text_flaw(item->link)))
			return kt_fail(scan->err, EINVAL, KT_REASON_BUNDLE_INVALID, "the link %s has a target that %s",
				       path_show(scan, item->path, shown), flaw);
		files[i] = (struct kt_file){.path = item->path,
					    .link = item->link,
					    .sha256 = item->sha256,
					    .size_bytes = item->size_bytes,
					    .mode = item->mode};
	}
	text = kt_filelist_print(files, scan->count, &size);
	if (!text)
		return kt_fail(scan->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	return kt_filelist_parse(scan->component, &text, size, ret_list, scan->err);
}

int kt_tree_scan(int dir, const char *component, bool reads_content, kt_tree_left_out *left_out, void *context,
		 struct kt_filelist *ret_list, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	KT_OWN(scan_done)
	struct scan scan = {.component = component,
			    .below = "",
			    .reads_content = reads_content,
			    .left_out = left_out,
			    .context = context,
			    .err = &mine};
	int r = kt_reader_init(&scan.reader);

	*ret_list = (struct kt_filelist){.text = NULL};
	if (r == 0)
		r = kt_each_entry(dir, ".", scan_visit, &scan);
	if (r < 0 && mine.code == 0)
		r = scan_fail(&scan, -r, ".");
	if (r == 0 && scan.count > 0)
		r = list_make(&scan, ret_list);
	return r < 0 ? kt_fail(err, mine.code, mine.reason, "%s", mine.text) : 0;
}
