/* A tree against its list, in the list's order.
 *
 * The directories on the way are checked where the first path below one comes: their owner and mode, and the names in
 * them, which are read when the directory has another stamp than was noted. So an added file costs nothing to see: it
 * changes the stamp of the one directory that it lies in. */
#include "kontain/bundle/treecheck.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kontain/base/dir.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/paths.h"

#define PATH_BYTES  (KT_MANIFEST_PATH_MAX + 16) /* a prefix before a list's longest path */
#define FOLDER_MODE 0755

struct walk {
	const struct kt_tree *tree;
	struct kt_tree_check *check;
	struct kt_way way;
	char *cursor; /* over what was seen; NULL when nothing is known, or no more */
	uint64_t left_bytes;
	struct kt_reader reader;
	char path[PATH_BYTES]; /* of what is looked at */
	int answer;            /* of a visit inside a directory, 0 for none */
};

static void walk_done(struct walk *walk)
{
	kt_way_done(&walk->way);
	kt_reader_done(&walk->reader);
}

/* ---- what is reported ---- */

static int differ(const struct walk *walk, struct kt_difference difference)
{
	difference.path = walk->path;
	return walk->check->visit ? walk->check->visit(walk->check->context, &difference) : 0;
}

static int differ_absent(const struct walk *walk, const struct kt_file *file, int code)
{
	bool is_missing = code == ENOENT || code == ENOTDIR || code == ELOOP;

	return differ(walk, (struct kt_difference){.flaw = is_missing ? KT_FLAW_MISSING : KT_FLAW_UNREADABLE,
						   .file = file,
						   .code = code});
}

static void note(const struct walk *walk, uint64_t stamp, bool is_wrong, bool is_folder)
{
	if (!walk->check->notes)
		return;
	(void)fprintf(walk->check->notes, "%c%016" PRIx64 " %s%s\n", is_wrong ? '!' : '=', stamp, walk->path,
		      is_folder ? "/" : "");
	walk->check->note_count++;
}

/* ---- what is known ---- */

/* The next line of what was seen, when it is this path's; stamp NONE when nothing is known of it. */
static struct kt_seen_file known_take(struct walk *walk, bool is_folder)
{
	struct kt_seen_file seen = {.stamp = KT_STAMP_NONE};
	size_t length = strlen(walk->path);

	if (!walk->cursor)
		return seen;
	if (!kt_seen_next(&walk->cursor, &seen) || strncmp(seen.path, walk->path, length) != 0 ||
	    strcmp(seen.path + length, is_folder ? "/" : "") != 0) {
		walk->cursor = NULL;
		seen.stamp = KT_STAMP_NONE;
	}
	return seen;
}

/* A stamp to note for what was looked at just now. */
static uint64_t stamp_make(const struct walk *walk, const struct stat *info)
{
	return walk->check->is_staged ? kt_stamp(info) : kt_stamp_settled(info);
}

/* ---- directories ---- */

/* The first of the list's files that is not before path. */
static size_t lower_bound(const struct kt_filelist *list, const char *path)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(list->files[middle].path, path) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Is it the path of a file, or of a folder that files lie in? */
static bool is_known_path(const struct kt_tree *tree, const char *path)
{
	size_t prefix = strlen(tree->prefix), length = strlen(path);
	char folder[PATH_BYTES + 1];

	for (size_t i = 0; i < tree->own_count; i++)
		if (strcmp(tree->own[i].path, path) == 0)
			return true;
	if (!tree->list)
		return false;
	if (prefix == length + 1 && strncmp(tree->prefix, path, length) == 0)
		return true;
	if (strncmp(path, tree->prefix, prefix) != 0 || length + 2 > sizeof(folder))
		return false;
	path += prefix;
	if (kt_filelist_find(tree->list, path))
		return true;
	(void)snprintf(folder, sizeof(folder), "%s/", path);

	size_t first = lower_bound(tree->list, folder);

	return first < tree->list->count && strncmp(tree->list->files[first].path, folder, strlen(folder)) == 0;
}

static int name_visit(void *context, int dir, const char *name)
{
	struct walk *walk = context;
	size_t length = strlen(walk->path);
	int r = 0, more = snprintf(walk->path + length, sizeof(walk->path) - length, "%s%s", length ? "/" : "", name);

	/* what does not fit is no path of a list */
	if (length + (size_t)more >= sizeof(walk->path) || !is_known_path(walk->tree, walk->path)) {
		bool is_other = length == 0 && walk->tree->is_other && walk->tree->is_other(name);
		bool is_skeleton = !is_other && kt_is_skeleton(dir, name);

		if (!is_other)
			r = differ(walk,
				   (struct kt_difference){.flaw = is_skeleton ? KT_FLAW_SKELETON : KT_FLAW_EXTRA});
	}
	walk->path[length] = '\0';
	walk->answer = r;
	return r != 0;
}

static int folder_stat_check(const struct walk *walk, const struct stat *info)
{
	int r = 0;

	/* a bundle's folders are never landed: they are made anew */
	if (walk->check->is_any_owner)
		return 0;
	if (info->st_uid != 0)
		r = differ(walk,
			   (struct kt_difference){.flaw = KT_FLAW_OWNER, .is_folder = true, .found = info->st_uid});
	if (r == 0 && (info->st_mode & 07777) != FOLDER_MODE)
		r = differ(walk, (struct kt_difference){
					 .flaw = KT_FLAW_MODE, .is_folder = true, .found = info->st_mode & 07777});
	return r;
}

/* The directory walk->path. Names are read after the stamp was taken: what is added meanwhile has changed it. */
static int folder_check(struct walk *walk)
{
	struct kt_seen_file seen = known_take(walk, true);
	char inside[PATH_BYTES + 4];
	const char *name = NULL;
	struct stat info;
	int dir, r;

	(void)snprintf(inside, sizeof(inside), "%s%s.", walk->path, *walk->path ? "/" : "");
	dir = kt_way_enter(&walk->way, inside, false, &name);
	if (dir < 0 || fstat(dir, &info) < 0) { /* the files below are reported as missing; this is why */
		note(walk, KT_STAMP_NONE, false, true);
		return dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP ?
			       0 :
			       differ_absent(walk, NULL, dir < 0 ? -dir : errno);
	}
	if (walk->check->is_staged && kt_stamp_await_tick(&info) && fstat(dir, &info) < 0)
		return differ_absent(walk, NULL, errno);
	r = folder_stat_check(walk, &info);
	if (r != 0)
		return r;
	if (walk->check->depth != KT_DEPTH_CHANGED || seen.stamp != kt_stamp(&info)) {
		walk->check->is_unread = true;
		r = kt_each_entry(dir, ".", name_visit, walk);
		if (r < 0)
			return differ_absent(walk, NULL, -r);
		if (r > 0)
			return walk->answer;
	}
	note(walk, stamp_make(walk, &info), false, true);
	return 0;
}

/* Every directory above the path that no path before it lies in. Those with one prefix follow each other in a sorted
 * list, so it is enough to ask the one before. */
static int folders_check(struct walk *walk, const char *path, const char *before)
{
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		size_t length = (size_t)(slash - path);
		int r;

		if (before && strncmp(before, path, length + 1) == 0)
			continue;
		(void)snprintf(walk->path, sizeof(walk->path), "%.*s", (int)length, path);
		r = folder_check(walk);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- files ---- */

/* What stat(2) shows. 1: all of it is right. */
static int stat_check(struct walk *walk, int parent, const char *name, const struct kt_file *file,
		      const struct stat *info)
{
	char target[KT_MANIFEST_PATH_MAX];
	struct kt_difference difference = {.file = file};
	ssize_t length;

	if (file->link) {
		length = readlinkat(parent, name, target, sizeof(target));
		if (length >= 0 && (size_t)length == strlen(file->link) &&
		    memcmp(target, file->link, (size_t)length) == 0)
			return 1;
		difference.flaw = KT_FLAW_LINK;
		return differ(walk, difference);
	}
	if (!S_ISREG(info->st_mode)) {
		difference.flaw = KT_FLAW_TYPE;
		return differ(walk, difference);
	}
	if ((uint64_t)info->st_size != file->size_bytes) {
		difference.flaw = KT_FLAW_SIZE;
		return differ(walk, difference);
	}
	if (!walk->check->is_any_owner && info->st_uid != 0) {
		difference.flaw = KT_FLAW_OWNER;
		difference.found = info->st_uid;
		return differ(walk, difference);
	}
	if ((info->st_mode & 07777) != file->mode) {
		difference.flaw = KT_FLAW_MODE;
		difference.found = info->st_mode & 07777;
		return differ(walk, difference);
	}
	return 1;
}

static bool has_capabilities(int parent, const char *name)
{
	struct stat info;
	KT_OWN(kt_close_fd) int fd = kt_fs_open_file(parent, name, &info);

	return fd >= 0 && kt_fs_has_capabilities(fd) > 0;
}

/* Reads it, and notes what it found. */
static int content_check(struct walk *walk, int parent, const char *name, const struct kt_file *file,
			 const struct stat *info)
{
	bool is_settled = !walk->check->is_staged || kt_stamp_await_tick(info);
	struct kt_reading reading;
	uint64_t stamp;
	int r = walk->reader.digest ? 0 : kt_reader_init(&walk->reader);

	if (r < 0)
		return r;
	r = kt_reader_read(&walk->reader, parent, name, &reading);
	if (r < 0) {
		note(walk, KT_STAMP_NONE, false, false);
		return differ_absent(walk, file, -r);
	}
	if (reading.size_bytes != file->size_bytes || strcmp(reading.sha256, file->sha256) != 0) {
		note(walk, kt_stamp(info), true, false); /* wrong is wrong, however young: a landing looks again */
		return differ(walk, (struct kt_difference){.flaw = KT_FLAW_CONTENT, .file = file});
	}
	if (reading.has_capabilities) {
		note(walk, kt_stamp(info), true, false);
		return differ(walk, (struct kt_difference){.flaw = KT_FLAW_CAPABILITIES, .file = file});
	}
	stamp = is_settled && reading.is_steady ? stamp_make(walk, &reading.info) : KT_STAMP_NONE;
	note(walk, stamp, false, false);
	return 0;
}

/* A file that is in order as far as stat(2) tells: what of its bytes? */
static int depth_check(struct walk *walk, int parent, const char *name, const struct kt_file *file,
		       const struct stat *info, uint64_t known, bool is_wrong)
{
	struct kt_tree_check *check = walk->check;
	bool is_known = known != KT_STAMP_NONE && known == kt_stamp(info);

	if (check->depth == KT_DEPTH_STAT || (check->depth == KT_DEPTH_CHANGED && is_known)) {
		note(walk, is_known ? known : KT_STAMP_NONE, is_known && is_wrong, false);
		check->is_unread = check->is_unread || !is_known;
		if (!is_known || !is_wrong)
			return 0;
		return differ(walk,
			      (struct kt_difference){.flaw = has_capabilities(parent, name) ? KT_FLAW_CAPABILITIES :
											      KT_FLAW_CONTENT,
						     .file = file});
	}
	check->is_unread = true; /* whatever it says: the next look would have to read it again */
	if (file->link) {
		bool is_settled = !check->is_staged || kt_stamp_await_tick(info);

		note(walk, is_settled ? stamp_make(walk, info) : KT_STAMP_NONE, false, false);
		return 0;
	}
	if (check->depth == KT_DEPTH_CHANGED && file->size_bytes > walk->left_bytes) {
		note(walk, KT_STAMP_NONE, false, false);
		return has_capabilities(parent, name) ?
			       differ(walk, (struct kt_difference){.flaw = KT_FLAW_CAPABILITIES, .file = file}) :
			       0;
	}
	walk->left_bytes -= check->depth == KT_DEPTH_CHANGED ? file->size_bytes : 0;
	return content_check(walk, parent, name, file, info);
}

/* stamp: what else is known of it, or KT_STAMP_NONE. */
static int file_check(struct walk *walk, const struct kt_file *file, const char *path, uint64_t stamp)
{
	struct kt_seen_file seen;
	const char *name = NULL;
	struct stat info;
	int parent, r;

	(void)snprintf(walk->path, sizeof(walk->path), "%s", path);
	seen = known_take(walk, false);
	parent = kt_way_enter(&walk->way, path, false, &name);
	if (parent < 0 || fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
		note(walk, KT_STAMP_NONE, false, false);
		return differ_absent(walk, file, parent < 0 ? -parent : errno);
	}
	r = stat_check(walk, parent, name, file, &info);
	if (r == 1)
		return depth_check(walk, parent, name, file, &info, stamp != KT_STAMP_NONE ? stamp : seen.stamp,
				   seen.stamp != KT_STAMP_NONE && seen.is_wrong);
	note(walk, KT_STAMP_NONE, false, false);
	return r;
}

static int own_check(struct walk *walk)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < walk->tree->own_count; i++)
		r = file_check(walk, &walk->tree->own[i], walk->tree->own[i].path, KT_STAMP_NONE);
	return r;
}

static int list_check(struct walk *walk)
{
	const struct kt_filelist *list = walk->tree->list;
	char paths[2][PATH_BYTES] = {"", ""}; /* this one and the one before */
	int r = 0;

	for (size_t i = 0; r == 0 && list && i < list->count; i++) {
		char *path = paths[i % 2];

		(void)snprintf(path, PATH_BYTES, "%s%s", walk->tree->prefix, list->files[i].path);
		r = folders_check(walk, path, i > 0 ? paths[(i + 1) % 2] : NULL);
		if (r == 0)
			r = file_check(walk, &list->files[i], path,
				       walk->check->stamps ? walk->check->stamps[i] : KT_STAMP_NONE);
	}
	return r;
}

int kt_tree_check(const struct kt_tree *tree, struct kt_tree_check *check)
{
	KT_OWN(walk_done)
	struct walk walk = {.tree = tree,
			    .check = check,
			    .cursor = check->seen ? check->seen->body : NULL,
			    .left_bytes = check->read_max_bytes ? check->read_max_bytes : UINT64_MAX};
	int r;

	kt_way_init(&walk.way, tree->dir);
	check->is_unread = false;
	check->note_count = 0;
	r = folder_check(&walk);
	if (r == 0)
		r = own_check(&walk);
	return r == 0 ? list_check(&walk) : r;
}

bool kt_tree_is_as_seen(int dir, struct kt_seen *seen)
{
	KT_OWN(kt_way_done) struct kt_way way;
	struct kt_seen_file file;
	char *cursor = seen->body;
	size_t count = 0;

	kt_way_init(&way, dir);
	for (; kt_seen_next(&cursor, &file); count++) {
		size_t length = strlen(file.path);
		bool is_folder = length > 0 && file.path[length - 1] == '/';
		char inside[PATH_BYTES + 4];
		const char *name = NULL;
		struct stat info;
		int parent;

		if (file.is_wrong || file.stamp == KT_STAMP_NONE)
			return false;
		if (is_folder)
			(void)snprintf(inside, sizeof(inside), "%s.", length > 1 ? file.path : "");
		parent = kt_way_enter(&way, is_folder ? inside : file.path, false, &name);
		if (parent < 0 || fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0 ||
		    kt_stamp(&info) != file.stamp)
			return false;
	}
	return count == seen->count;
}

/* ---- texts ---- */

enum kt_reason kt_difference_reason(const struct kt_difference *difference)
{
	bool is_no_folder = difference->flaw == KT_FLAW_TYPE && difference->is_folder;

	if (difference->flaw == KT_FLAW_MISSING)
		return KT_REASON_STORE_FILE_LOST;
	return difference->flaw == KT_FLAW_UNREADABLE || is_no_folder ? KT_REASON_STORE_DAMAGED :
									KT_REASON_STORE_FILE_CHANGED;
}

void kt_difference_print(const struct kt_difference *difference, const char *where, char *ret_text, size_t size)
{
	static const char *const texts[] = {
		[KT_FLAW_MISSING] = "is missing",
		[KT_FLAW_TYPE] = "is not a regular file",
		[KT_FLAW_SIZE] = "differs in size from the installed version",
		[KT_FLAW_CONTENT] = "differs in content from the installed version",
		[KT_FLAW_LINK] = "differs in its target from the installed version",
		[KT_FLAW_CAPABILITIES] = "has capabilities (getcap), which no landed file has",
		[KT_FLAW_EXTRA] = "is there and was not landed",
		[KT_FLAW_SKELETON] =
			"is an empty folder that was not landed: a container runtime makes them for a hostPath",
	};
	char shown[KT_SHOWN_MAX];
	const char *path = kt_path_show(difference->path, shown), *slash = *path ? "/" : "";

	if (difference->flaw == KT_FLAW_MODE)
		(void)snprintf(ret_text, size, "%s%s%s: mode is %04o, expected %04o", where, slash, path,
			       difference->found, difference->is_folder ? FOLDER_MODE : difference->file->mode);
	else if (difference->flaw == KT_FLAW_OWNER)
		(void)snprintf(ret_text, size, "%s%s%s belongs to user %u, expected root", where, slash, path,
			       difference->found);
	else if (difference->flaw == KT_FLAW_TYPE && difference->is_folder)
		(void)snprintf(ret_text, size,
			       "%s%s%s is a %s, expected a directory: put the directory back in its place, or move the "
			       "%s away",
			       where, slash, path, S_ISLNK(difference->found) ? "symbolic link" : "file",
			       S_ISLNK(difference->found) ? "link" : "file");
	else if (difference->flaw == KT_FLAW_UNREADABLE)
		(void)snprintf(ret_text, size, "%s%s%s cannot be read: %s", where, slash, path,
			       strerror(difference->code));
	else
		(void)snprintf(ret_text, size, "%s%s%s %s", where, slash, path, texts[difference->flaw]);
}

/* ---- mending ---- */

int kt_tree_mend(const struct kt_tree *tree, const struct kt_difference *difference)
{
	bool is_tree = !*difference->path;
	const char *name = ".";
	KT_OWN(kt_close_fd) int parent = is_tree ? -1 : kt_fs_open_parent(tree->dir, difference->path, &name);
	KT_OWN(kt_close_fd) int fd = -1;

	if (!is_tree && parent < 0)
		return parent;
	if (difference->flaw == KT_FLAW_SKELETON && !is_tree)
		return kt_skeleton_remove(parent, name);
	if (difference->flaw != KT_FLAW_MODE && difference->flaw != KT_FLAW_OWNER &&
	    difference->flaw != KT_FLAW_CAPABILITIES)
		return -EINVAL;
	fd = kt_fs_open_beneath(is_tree ? tree->dir : parent, name,
				O_RDONLY | O_NOFOLLOW | O_NONBLOCK | (difference->is_folder ? O_DIRECTORY : 0), 0);
	if (fd < 0)
		return fd;
	/* in this order: chown(2) takes capabilities and the set-user-ID bits away, and a mode may give some back */
	if (fchown(fd, 0, 0) < 0 ||
	    fchmod(fd, difference->is_folder ? FOLDER_MODE : (mode_t)difference->file->mode) < 0)
		return kt_negative_errno();
	return difference->flaw == KT_FLAW_CAPABILITIES && kt_fs_has_capabilities(fd) > 0 ? -EPERM : 0;
}
