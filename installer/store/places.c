/* What lies where: the index that inuse.c asks.
 *
 * Files are known by device and inode, so that a name in another mount namespace does not matter. Only maps and
 * mountinfo tell a device that need not be st_dev: theirs is the superblock's, btrfs gives each subvolume one of its
 * own. So the store's device is read from the mount table too, by the mount's number (statx(2), Linux 5.8). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "inuse.h"
#include "kontain/fs.h"
#include "kontain/own.h"

struct kt_place_entry {
	uint64_t inode;
	dev_t device;
	size_t name;
};

void kt_places_done(struct kt_places *places)
{
	free(places->entries);
	free(places->names);
	*places = (struct kt_places){.entries = NULL};
}

static int entry_add(struct kt_places *places, int dir, const char *name, struct stat *ret_info)
{
	if (fstatat(dir, name, ret_info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (places->entry_count == places->entry_room) {
		size_t room = places->entry_room * 2 + 256;
		struct kt_place_entry *grown = realloc(places->entries, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		places->entries = grown;
		places->entry_room = room;
	}
	places->entries[places->entry_count++] = (struct kt_place_entry){
		.inode = ret_info->st_ino, .device = ret_info->st_dev, .name = places->name_count - 1};
	return 0;
}

static int tree_visit(void *context, int dir, const char *name)
{
	struct stat info = {.st_mode = 0};
	int r = entry_add(context, dir, name, &info);

	return r == 0 && S_ISDIR(info.st_mode) ? kt_each_entry(dir, name, tree_visit, context) : r;
}

struct builder {
	struct kt_places *places;
	const char *folder; /* "sets", "versions/km" */
};

static int version_visit(void *context, int dir, const char *version)
{
	struct builder *builder = context;
	struct kt_places *places = builder->places;

	if (!kt_version_is_valid(version))
		return 0;

	char(*grown)[KT_PLACE_MAX] = realloc(places->names, (places->name_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	places->names = grown;
	(void)snprintf(places->names[places->name_count++], KT_PLACE_MAX, "%s/%s", builder->folder, version);
	return tree_visit(places, dir, version);
}

static int entry_compare(const void *one, const void *other)
{
	const struct kt_place_entry *a = one, *b = other;

	return a->inode < b->inode ? -1 : a->inode > b->inode;
}

/* The byte that three octal digits stand for; 0 for what is no such number, and for NUL, which no name has. */
static unsigned octal_byte(const char *digits)
{
	unsigned value = 0;

	for (size_t i = 0; i < 3; i++) {
		if (digits[i] < '0' || digits[i] > '7')
			return 0;
		value = value * 8 + (unsigned)(digits[i] - '0');
	}
	return value <= 0xff ? value : 0;
}

/* \040 and its like stand for blanks and backslashes. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		unsigned value = *from == '\\' ? octal_byte(from + 1) : 0;

		*to = value ? (char)value : *from;
		from += value ? 4 : 1;
	}
	*to = '\0';
}

bool kt_mount_line_parse(char *line, struct kt_mount_line *ret_mount)
{
	char *rest = line, *fields[5];

	for (size_t i = 0; i < 5; i++) {
		fields[i] = strsep(&rest, " ");
		if (!fields[i] || !rest)
			return false;
	}
	unescape(fields[3]);
	unescape(fields[4]);
	*ret_mount = (struct kt_mount_line){
		.id = strtoull(fields[0], NULL, 10), .device = fields[2], .root = fields[3], .point = fields[4]};
	return true;
}

/* path below mount point `point`, put below `root`. False when it is not below it. */
static bool join_below(const char *root, const char *point, const char *path, char *ret_joined, size_t size)
{
	size_t length = strcmp(point, "/") == 0 ? 0 : strlen(point);

	if (strncmp(path, point, length) != 0 || (path[length] != '/' && path[length] != '\0'))
		return false;
	(void)snprintf(ret_joined, size, "%s%s", strcmp(root, "/") == 0 ? "" : root, path + length);
	return true;
}

static int find_root(const struct kt_store *store, int proc, struct kt_places *places, struct kt_error *err)
{
	KT_OWN(kt_close_file) FILE *mounts = NULL;
	KT_OWN(kt_free_mem) char *line = NULL;
	char link[64], path[4096];
	struct statx info;
	size_t room = 0;
	int fd = openat(proc, "self/mountinfo", O_RDONLY | O_CLOEXEC);

	mounts = fd < 0 ? NULL : fdopen(fd, "r");
	(void)snprintf(link, sizeof(link), "self/fd/%d", store->dir);

	ssize_t length = readlinkat(proc, link, path, sizeof(path) - 1);

	if (!mounts || length < 0 || statx(store->dir, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_PROC_MISSING, "cannot find the mount that %s lies on",
				     store->root);
	path[length] = '\0';
	while (getline(&line, &room, mounts) > 0) {
		struct kt_mount_line mount;

		if (!kt_mount_line_parse(line, &mount) || mount.id != info.stx_mnt_id)
			continue;
		(void)snprintf(places->device, sizeof(places->device), "%s", mount.device);
		if (join_below(mount.root, mount.point, path, places->fs_root, sizeof(places->fs_root)))
			return 0;
	}
	return kt_fail(err, ENOENT, KT_REASON_PROC_MISSING, "%s is in no line of this process's mount table", store->root);
}

int kt_places_build(const struct kt_store *store, int proc, struct kt_places *ret_places, struct kt_error *err)
{
	KT_OWN(kt_places_done) struct kt_places places = {.entries = NULL};
	struct builder builder = {.places = &places, .folder = KT_STORE_SETS};
	int r = find_root(store, proc, &places, err);

	if (r < 0)
		return r;
	r = kt_each_entry(store->dir, KT_STORE_SETS, version_visit, &builder);
	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		char folder[KT_PLACE_MAX];

		(void)snprintf(folder, sizeof(folder), KT_STORE_VERSIONS "/%s", kt_component_names[i]);
		builder.folder = folder;
		r = kt_each_entry(store->dir, folder, version_visit, &builder);
	}
	if (r < 0 && r != -ENOTDIR && r != -ELOOP)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the versions in %s", store->root);
	if (places.entry_count > 0)
		qsort(places.entries, places.entry_count, sizeof(*places.entries), entry_compare);
	*ret_places = places;
	places = (struct kt_places){.entries = NULL};
	return 0;
}

const char *kt_places_find(const struct kt_places *places, const char *device, uint64_t inode)
{
	size_t low = 0, high = places->entry_count;
	bool is_superblock = strcmp(device, places->device) == 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (places->entries[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < places->entry_count && places->entries[low].inode == inode; low++) {
		dev_t own = places->entries[low].device;
		char text[32];

		(void)snprintf(text, sizeof(text), "%u:%u", major(own), minor(own));
		if (is_superblock || strcmp(device, text) == 0)
			return places->names[places->entries[low].name];
	}
	return NULL;
}

const char *kt_places_of_mount(const struct kt_places *places, const char *device, const char *root)
{
	size_t length = strlen(places->fs_root);

	if (strcmp(device, places->device) != 0 || strncmp(root, places->fs_root, length) != 0 || root[length] != '/')
		return NULL;
	root += length + 1;
	for (size_t i = 0; i < places->name_count; i++) {
		size_t size = strlen(places->names[i]);

		if (strncmp(root, places->names[i], size) == 0 && (root[size] == '\0' || root[size] == '/'))
			return places->names[i];
	}
	return NULL;
}
