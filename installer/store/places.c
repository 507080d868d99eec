/* What lies where, and who has it mounted: the index that inuse.c asks.
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

#include "door.h"
#include "inuse.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

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

/* *ret_is_folder: it is one, and to be walked into. */
static int entry_add(struct kt_places *places, int dir, const char *name, bool *ret_is_folder)
{
	struct statx info;

	*ret_is_folder = false;
	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_INO | STATX_MNT_ID, &info) < 0)
		return errno == ENOENT ? 0 : kt_negative_errno();
	if (info.stx_mnt_id != places->mount)
		return 0;
	if (places->entry_count == places->entry_room) {
		size_t room = places->entry_room * 2 + 256;
		struct kt_place_entry *grown = realloc(places->entries, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		places->entries = grown;
		places->entry_room = room;
	}
	places->entries[places->entry_count++] =
		(struct kt_place_entry){.inode = info.stx_ino,
					.device = makedev(info.stx_dev_major, info.stx_dev_minor),
					.name = places->name_count - 1};
	*ret_is_folder = S_ISDIR(info.stx_mode);
	return 0;
}

static int tree_visit(void *context, int dir, const char *name)
{
	bool is_folder;
	int r = entry_add(context, dir, name, &is_folder);

	return r == 0 && is_folder ? kt_each_entry(dir, name, tree_visit, context) : r;
}

struct builder {
	struct kt_places *places;
	const char *folder; /* "sets", "versions/km"; "" for the root */
};

static int place_add(const struct builder *builder, int dir, const char *name)
{
	struct kt_places *places = builder->places;
	char(*grown)[KT_PLACE_MAX] = realloc(places->names, (places->name_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	places->names = grown;
	(void)snprintf(places->names[places->name_count++], KT_PLACE_MAX, "%s%s%s", builder->folder,
		       builder->folder[0] ? "/" : "", name);
	return tree_visit(places, dir, name);
}

static int version_visit(void *context, int dir, const char *version)
{
	return kt_version_is_valid(version) ? place_add(context, dir, version) : 0;
}

static int kept_visit(void *context, int dir, const char *name)
{
	return kt_store_is_kept(name) && strlen(name) < KT_PLACE_MAX ? place_add(context, dir, name) : 0;
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

		if (value)
			*to = (char)value;
		else
			*to = *from;
		from += value ? 4 : 1;
	}
	*to = '\0';
}

/* " - overlay overlay rw,lowerdir=..." behind the first fields: its options, or NULL. */
static char *overlay_options(char *rest)
{
	static const char type[] = " - overlay ";
	char *found = strstr(rest, type), *options = found ? strchr(found + strlen(type), ' ') : NULL;

	return options ? options + 1 : NULL;
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
	*ret_mount = (struct kt_mount_line){.id = strtoull(fields[0], NULL, 10),
					    .parent = strtoull(fields[1], NULL, 10),
					    .device = fields[2],
					    .root = fields[3],
					    .point = fields[4],
					    .overlay = overlay_options(rest)};
	return true;
}

/* Of a large node; what is longer is not believed. */
#define MOUNTS_BYTES_MAX (64 * 1024 * 1024)

void kt_mounts_done(struct kt_mounts *mounts)
{
	free(mounts->text);
	free(mounts->lines);
	*mounts = (struct kt_mounts){.text = NULL};
}

int kt_mounts_read(int process, struct kt_mounts *ret_mounts)
{
	KT_OWN(kt_mounts_done) struct kt_mounts mounts = {.text = NULL};
	KT_OWN(kt_close_fd) int fd = openat(process, "mountinfo", O_RDONLY | O_CLOEXEC);
	size_t size = 0, room = 0;
	int r = fd < 0 ? kt_negative_errno() : kt_fs_read_fd(fd, MOUNTS_BYTES_MAX, &mounts.text, &size);

	if (r < 0 || !mounts.text)
		return r;
	for (char *line = mounts.text, *end; *line && (end = strchrnul(line, '\n')); line = end) {
		if (*end)
			*end++ = '\0';
		if (mounts.count == room) {
			struct kt_mount_line *grown = reallocarray(mounts.lines, room * 2 + 64, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			mounts.lines = grown;
			room = room * 2 + 64;
		}
		mounts.count += kt_mount_line_parse(line, &mounts.lines[mounts.count]);
	}
	*ret_mounts = mounts;
	mounts = (struct kt_mounts){.text = NULL};
	return 0;
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

/* "8:1 /opt/kontain": device and path, in its filesystem, of the folder on which a mount lies; "" when that is not
 * told. */
static void above_find(const struct kt_mounts *mounts, size_t index, char *ret_above, size_t size)
{
	const struct kt_mount_line *mount = &mounts->lines[index];

	ret_above[0] = '\0';
	for (size_t i = 0; i < mounts->count; i++) {
		const struct kt_mount_line *parent = &mounts->lines[i];
		int length;

		if (parent->id != mount->parent || i == index)
			continue;
		length = snprintf(ret_above, size, "%s ", parent->device);
		if (!join_below(parent->root, parent->point, mount->point, ret_above + length, size - (size_t)length))
			ret_above[0] = '\0';
		return;
	}
}

static int find_root(const struct kt_store *store, int proc, struct kt_places *places, struct kt_error *err)
{
	KT_OWN(kt_mounts_done) struct kt_mounts mounts = {.text = NULL};
	KT_OWN(kt_close_fd) int self = openat(proc, "self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char link[64];
	struct statx info = {.stx_mask = 0};
	int r = self < 0 ? kt_negative_errno() : kt_mounts_read(self, &mounts);

	(void)snprintf(link, sizeof(link), "fd/%d", store->dir);

	ssize_t length = r < 0 ? -1 : readlinkat(self, link, places->path, sizeof(places->path) - 1);

	if (r == 0 && (length < 0 || statx(store->dir, "", AT_EMPTY_PATH, STATX_MNT_ID, &info) < 0))
		r = kt_negative_errno();
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_PROC_MISSING, "cannot find the mount that %s lies on",
				     store->root);
	places->path[length] = '\0';
	(void)snprintf(places->named, sizeof(places->named), "%s", store->root);
	places->mount = info.stx_mnt_id;
	for (size_t i = 0; i < mounts.count; i++) {
		const struct kt_mount_line *mount = &mounts.lines[i];

		if (mount->id != info.stx_mnt_id)
			continue;
		(void)snprintf(places->device, sizeof(places->device), "%s", mount->device);
		if (!join_below(mount->root, mount->point, places->path, places->fs_root, sizeof(places->fs_root)))
			continue;
		if (places->fs_root[0] == '\0')
			above_find(&mounts, i, places->above, sizeof(places->above));
		return 0;
	}
	return kt_fail(err, ENOENT, KT_REASON_PROC_MISSING, "%s is in no line of this process's mount table",
		       store->root);
}

int kt_places_build(const struct kt_store *store, int proc, enum kt_scope scope, struct kt_places *ret_places,
		    struct kt_error *err)
{
	KT_OWN(kt_places_done) struct kt_places places = {.entries = NULL};
	struct builder builder = {.places = &places, .folder = ""};
	int r = find_root(store, proc, &places, err);

	if (r < 0)
		return r;
	r = kt_each_entry(store->dir, ".", kept_visit, &builder);
	if (r == 0 && scope == KT_SCOPE_ALL) {
		builder.folder = KT_STORE_SETS;
		r = kt_each_entry(store->dir, KT_STORE_SETS, version_visit, &builder);
	}
	for (size_t i = 0; r == 0 && scope == KT_SCOPE_ALL && kt_component_names[i]; i++) {
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

/* The place that a path below the root, "versions/km/1.0/bin", lies in; NULL for none. */
static const char *place_above(const struct kt_places *places, const char *below)
{
	for (size_t i = 0; i < places->name_count; i++) {
		size_t size = strlen(places->names[i]);

		if (strncmp(below, places->names[i], size) == 0 && (below[size] == '\0' || below[size] == '/'))
			return places->names[i];
	}
	return NULL;
}

/* A folder that holds versions or sets. */
static bool is_folder(const char *below)
{
	const char *component = below + strlen(KT_STORE_VERSIONS "/");

	if (strcmp(below, KT_STORE_SETS) == 0 || strcmp(below, KT_STORE_VERSIONS) == 0)
		return true;
	if (strncmp(below, KT_STORE_VERSIONS "/", strlen(KT_STORE_VERSIONS "/")) != 0)
		return false;
	for (size_t i = 0; kt_component_names[i]; i++)
		if (strcmp(kt_component_names[i], component) == 0)
			return true;
	return false;
}

static bool ends_with(const char *text, const char *end)
{
	size_t length = strlen(text), size = strlen(end);

	return length >= size && strcmp(text + length - size, end) == 0;
}

const char *kt_places_of_mount(const struct kt_places *places, const struct kt_mounts *mounts, size_t index)
{
	const struct kt_mount_line *mount = &mounts->lines[index];
	const char *root = strcmp(mount->root, "/") == 0 ? "" : mount->root, *place;
	size_t length = strlen(places->fs_root);
	char above[sizeof(places->above)];

	if (strcmp(mount->device, places->device) != 0 || strncmp(root, places->fs_root, length) != 0 ||
	    (root[length] != '/' && root[length] != '\0') || ends_with(root, "//deleted"))
		return NULL;
	if (root[length] ==
	    '\0') { /* of the root itself; a copy of the mount that the store lies on is nobody's use of it */
		if (places->above[0])
			above_find(mounts, index, above, sizeof(above));
		return places->above[0] && strcmp(above, places->above) == 0 ? NULL : ".";
	}
	root += length + 1;
	place = place_above(places, root);
	return place ? place : is_folder(root) ? root : ".";
}

const char *kt_places_below(const struct kt_places *places, const char *point)
{
	size_t length = strlen(places->path);

	if (strncmp(point, places->path, length) != 0 || point[length] != '/')
		return NULL;
	return place_above(places, point + length + 1);
}

/* ---- overlays ---- */

/* What a layer's path means in the namespace of its table, below the store's root; NULL for what is not there. The path
 * as the host names it counts too: a container's own table does not show what its overlay was made of. */
static const char *layer_below(const struct kt_places *places, const struct kt_mounts *mounts, const char *path,
			       char *joined, size_t size)
{
	const char *const roots[] = {places->path, places->named};
	const struct kt_mount_line *on = NULL;
	size_t length = strlen(places->fs_root);

	for (size_t i = 0; i < mounts->count; i++) {
		const struct kt_mount_line *mount = &mounts->lines[i];

		if ((!on || strlen(mount->point) >= strlen(on->point)) &&
		    join_below(mount->root, mount->point, path, joined, size))
			on = mount;
	}
	if (on && strcmp(on->device, places->device) == 0 && join_below(on->root, on->point, path, joined, size) &&
	    strncmp(joined, places->fs_root, length) == 0 && (joined[length] == '\0' || joined[length] == '/'))
		return joined + length + (joined[length] == '/');
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++)
		if (*roots[i] && join_below("/", roots[i], path, joined, size))
			return joined + (*joined == '/');
	return NULL;
}

/* Was it taken out of this place? ".kept-3-versions-km-1.0" of "versions/km/1.0" (door.c) */
static bool is_kept_of(const char *name, const char *place)
{
	size_t i = strlen(KT_STORE_KEPT);

	if (!kt_store_is_kept(name))
		return false;
	i += strspn(name + i, "0123456789");
	if (name[i++] != '-')
		return false;
	for (; *place && (name[i] == *place || (*place == '/' && name[i] == '-')); place++)
		i++;
	return *place == '\0' && name[i] == '\0';
}

struct holding {
	const struct kt_places *places;
	kt_layer_visit *visit;
	void *context;
};

/* below: "versions/km/1.0/bin"; count: how many names of it make a place */
static int place_hold(const struct holding *holding, const char *below, size_t count)
{
	char place[KT_PLACE_MAX];
	const char *end = below;
	int r = 0;

	for (size_t i = 0; i < count; i++)
		end += strcspn(end, "/") + (i + 1 < count);
	(void)snprintf(place, sizeof(place), "%.*s", (int)(end - below), below);
	for (size_t i = 0; r == 0 && i < holding->places->name_count; i++) {
		const char *name = holding->places->names[i];

		if (strcmp(name, place) == 0 || is_kept_of(name, place))
			r = holding->visit(holding->context, name);
	}
	return r;
}

static bool is_root_link(const char *below)
{
	char name[KT_PLACE_MAX];

	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(below, "/"), below);
	return strcmp(name, KT_STORE_CURRENT) == 0 || strcmp(name, KT_STORE_PREVIOUS) == 0 ||
	       kt_component_of_folder(name);
}

static int layer_hold(const struct holding *holding, const char *below)
{
	size_t slashes = 0;
	const char *place;

	for (const char *c = below; *c; c++)
		slashes += *c == '/';
	if (is_folder(below))
		return holding->visit(holding->context, below);
	if (strncmp(below, KT_STORE_VERSIONS "/", strlen(KT_STORE_VERSIONS "/")) == 0 && slashes >= 2)
		return place_hold(holding, below, 3);
	if (strncmp(below, KT_STORE_SETS "/", strlen(KT_STORE_SETS "/")) == 0 && slashes == 1)
		return place_hold(holding, below, 2);
	if (strncmp(below, KT_STORE_SETS "/", strlen(KT_STORE_SETS "/")) == 0 || is_root_link(below))
		return holding->visit(holding->context, KT_PLACE_ANY);
	place = place_above(holding->places, below);
	return holding->visit(holding->context, place ? place : ".");
}

/* Takes the next layer off a list; a colon in a name has a backslash before it. */
static char *layer_take(char **list)
{
	char *layer = *list, *to = layer;

	if (!layer)
		return NULL;
	for (char *from = layer;; from++) {
		bool is_end = *from == ':' || *from == '\0';

		if (*from == '\\' && from[1] != '\0')
			from++;
		*to = *from;
		if (is_end) {
			*list = *from ? from + 1 : NULL;
			*to = '\0';
			return layer;
		}
		to++;
	}
}

int kt_places_each_layer(const struct kt_places *places, const struct kt_mounts *mounts, size_t index,
			 kt_layer_visit *visit, void *context)
{
	static const char *const keys[] = {"lowerdir=", "lowerdir+=", "datadir+=", "upperdir="};
	const struct holding holding = {places, visit, context};
	char *options = mounts->lines[index].overlay, *option, joined[2 * sizeof(places->path)];
	int r = 0;

	while (r == 0 && (option = strsep(&options, ","))) {
		size_t i = 0;

		while (i < sizeof(keys) / sizeof(keys[0]) && strncmp(option, keys[i], strlen(keys[i])) != 0)
			i++;
		if (i == sizeof(keys) / sizeof(keys[0]))
			continue;

		char *list = option + strlen(keys[i]), *layer;

		unescape(list);
		while (r == 0 && (layer = layer_take(&list))) {
			const char *below =
				*layer == '/' ? layer_below(places, mounts, layer, joined, sizeof(joined)) : NULL;

			r = below ? layer_hold(&holding, below) : 0;
		}
	}
	return r;
}
