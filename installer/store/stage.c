/* Landing, up to the point where a set is there and nobody uses it yet.
 *
 * A set or version without its manifest or record is not there:
 *   .partial-*          being written; any start may delete it
 *   versions/c/v        complete, verified, synced; never edited again
 *   sets/v              likewise
 * Order: sweep, look, room, copy and read back each missing component, write the set, ELF contract over all of it, sync
 * the tree, rename each component into versions/ (both directories synced), rename the set into sets/ (both directories
 * synced). The set's links name versions that are durable by then, and what the contract refuses leaves nothing behind.
 *
 * Whatever can refuse does so before the first byte is written where it can be known by then: another content under a
 * version that is there, too little room. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "door.h"
#include "record.h"
#include "set.h"

#define PARTIAL_SET KT_STORE_PARTIAL "set"
/* Manifest, record, directories' own growth: room that no file's size shows. */
#define ROOM_MARGIN_BYTES  (256 * 1024)
#define ROOM_MARGIN_INODES 16

struct item {
	const struct kt_component *component;
	bool is_there;
	char partial[32];
	int files; /* owned: where the component's files are, staged or landed; -1 before */
};

struct landing {
	const struct kt_store *store;
	const struct kt_bundle *bundle;
	struct item items[KT_COMPONENT_MAX];
	size_t count;
	enum kt_set_state set;
	struct kt_copy copy;
	struct kt_staged staged;
	bool has_replaced;
};

static void landing_done(struct landing *landing)
{
	for (size_t i = 0; i < landing->count; i++)
		kt_close_fd(&landing->items[i].files);
}

/* Is this very component there, whole? 1, 0, or VersionConflict. Damage counts as not there: it is replaced. What has
 * changed since it was read last is read now; what was never read since it was landed was read back then. */
static int component_look(const struct kt_store *store, const struct kt_component *component, struct kt_error *err)
{
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	struct kt_record_check check = {.read_max_bytes = UINT64_MAX};
	struct kt_error mine = {.code = 0};
	char place[KT_PLACE_MAX];

	kt_place_version(component->name, component->version, place);

	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(store->dir, place, O_RDONLY | O_DIRECTORY, 0);

	if (dir < 0 && dir != -ENOENT && dir != -ENOTDIR && dir != -ELOOP)
		return kt_fail_errno(err, -dir, KT_REASON_IO_ERROR, "cannot open %s/%s", store->root, place);
	if (dir < 0 || kt_record_read(dir, &record, &mine) < 0)
		return 0;
	if (strcmp(record.name, component->name) != 0 || strcmp(record.version, component->version) != 0)
		return 0;
	if (strcmp(record.digest, component->digest) != 0)
		return kt_fail(err, EEXIST, KT_REASON_VERSION_CONFLICT,
			       "%s %s is landed already with other content (digest %.12s..., the bundle's is %.12s...)",
			       component->name, component->version, record.digest, component->digest);
	if (kt_seen_read(store, component->name, component->version, kt_seen_mark(dir, component->name), &seen) == 0)
		check.seen = &seen;
	return kt_record_check(&record, dir, place, &check, &mine) == 0;
}

static int landing_look(struct landing *landing, struct kt_error *err)
{
	const struct kt_manifest *manifest = &landing->bundle->manifest;
	int r = kt_set_look(landing->store, landing->bundle, &landing->set, err);

	if (r < 0)
		return r;
	if (landing->set == KT_SET_OTHER)
		return kt_fail(err, EEXIST, KT_REASON_VERSION_CONFLICT,
			       "version %s is landed already from another bundle with other content",
			       manifest->version);
	for (size_t i = 0; i < manifest->component_count; i++) {
		struct item *item = &landing->items[i];

		*item = (struct item){.component = &manifest->components[i], .files = -1};
		(void)snprintf(item->partial, sizeof(item->partial), KT_STORE_PARTIAL "%s", item->component->name);
		landing->count = i + 1;
		r = component_look(landing->store, item->component, err);
		if (r < 0)
			return r;
		item->is_there = r > 0;
	}
	return 0;
}

/* What files need on this filesystem, counted as it counts: whole blocks, one inode a file, link and directory. */
static void room_add(const struct kt_bundle_file *files, size_t count, uint64_t block, uint64_t *bytes,
		     uint64_t *inodes)
{
	const char *last = "";
	size_t last_length = 0;

	for (size_t i = 0; i < count; i++) {
		const char *slash = strrchr(files[i].path, '/');
		size_t length = slash ? (size_t)(slash - files[i].path) : 0;

		*bytes += files[i].link ? 0 : (files[i].size_bytes + block - 1) / block * block;
		*inodes += 1;
		if (length == last_length && memcmp(last, files[i].path, length) == 0)
			continue;
		last = files[i].path; /* sorted, so a change of parent is nearly always a new directory */
		last_length = length;
		*bytes += block;
		*inodes += 1;
	}
}

static void total_add(struct landing *landing, const struct kt_bundle_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++)
		landing->copy.total_bytes += files[i].link ? 0 : files[i].size_bytes;
}

static int room_check(struct landing *landing, struct kt_error *err)
{
	const struct kt_manifest *manifest = &landing->bundle->manifest;
	uint64_t bytes = ROOM_MARGIN_BYTES + landing->bundle->manifest_size, inodes = ROOM_MARGIN_INODES;
	struct statvfs room;

	if (fstatvfs(landing->store->dir, &room) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read the room in %s",
				     landing->store->root);
	for (size_t i = 0; i < landing->count; i++) {
		const struct kt_component *component = landing->items[i].component;

		if (landing->items[i].is_there)
			continue;
		room_add(component->files, component->file_count, room.f_frsize, &bytes, &inodes);
		total_add(landing, component->files, component->file_count);
	}
	if (landing->set != KT_SET_SAME) {
		room_add(manifest->extras, manifest->extra_count, room.f_frsize, &bytes, &inodes);
		total_add(landing, manifest->extras, manifest->extra_count);
	}

	uint64_t free_bytes = (uint64_t)room.f_bavail * room.f_frsize;

	if (bytes > free_bytes)
		return kt_fail(err, ENOSPC, KT_REASON_DISK_FULL,
			       "version %s needs %" PRIu64 " KiB in %s, %" PRIu64 " KiB are free: %" PRIu64
			       " KiB short",
			       manifest->version, bytes / 1024, landing->store->root, free_bytes / 1024,
			       (bytes - free_bytes + 1023) / 1024);
	if (room.f_files != 0 && inodes > room.f_favail) /* 0: made as needed, as btrfs does */
		return kt_fail(err, ENOSPC, KT_REASON_DISK_FULL,
			       "version %s needs %" PRIu64 " inodes in %s, %" PRIu64 " are free: %" PRIu64 " short",
			       manifest->version, inodes, landing->store->root, (uint64_t)room.f_favail,
			       inodes - (uint64_t)room.f_favail);
	return 0;
}

/* Opens the folder of files below an open or named version's directory, made when `make`. */
static int files_open(const struct kt_store *store, const char *place, const char *component, bool make)
{
	char path[KT_PLACE_MAX + 16];
	int r = 0;

	(void)snprintf(path, sizeof(path), "%s/%s", place, kt_place_inside(component));
	if (make)
		r = kt_fs_make_dirs(store->dir, path);
	return r < 0 ? r : kt_fs_open_beneath(store->dir, path, O_RDONLY | O_DIRECTORY, 0);
}

static int item_stage(struct landing *landing, struct item *item, struct kt_error *err)
{
	const struct kt_component *component = item->component;
	const char *folder = kt_component_folder(component->name);
	KT_OWN(kt_close_fd) int source = kt_fs_open_beneath(landing->bundle->dir, folder, O_RDONLY | O_DIRECTORY, 0);

	if (source < 0 && source != -ENOENT && source != -ENOTDIR && source != -ELOOP)
		return kt_fail_errno(err, -source, KT_REASON_IO_ERROR, "cannot open the bundle's folder %s", folder);
	if (source < 0)
		return kt_fail(err, -source, KT_REASON_BUNDLE_INVALID, "the bundle's folder %s is missing", folder);
	item->files = files_open(landing->store, item->partial, component->name, true);
	if (item->files < 0)
		return kt_fail_errno(err, -item->files, KT_REASON_IO_ERROR, "cannot make %s/%s", landing->store->root,
				     item->partial);

	landing->copy.part = component->name;

	int r = kt_copy_files(source, item->files, folder, component->files, component->file_count, &landing->copy,
			      err);

	if (r < 0)
		return r;

	KT_OWN(kt_close_fd)
	int version_dir = kt_fs_open_beneath(landing->store->dir, item->partial, O_RDONLY | O_DIRECTORY, 0);

	if (version_dir < 0)
		return kt_fail_errno(err, -version_dir, KT_REASON_IO_ERROR, "cannot open %s/%s", landing->store->root,
				     item->partial);
	return kt_record_write(version_dir, component, err);
}

static int item_open_landed(const struct landing *landing, struct item *item, struct kt_error *err)
{
	char place[KT_PLACE_MAX];

	kt_place_version(item->component->name, item->component->version, place);
	item->files = files_open(landing->store, place, item->component->name, false);
	return item->files < 0 ? kt_fail_errno(err, -item->files, KT_REASON_IO_ERROR, "cannot open %s/%s",
					       landing->store->root, place) :
				 0;
}

/* What lies where something is to go, damaged or a skeleton, must be replaceable: known before the first byte. */
static int places_check(const struct landing *landing, struct kt_error *err)
{
	char place[KT_PLACE_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < landing->count; i++) {
		kt_place_version(landing->items[i].component->name, landing->items[i].component->version, place);
		r = landing->items[i].is_there ? 0 : kt_store_can_publish(landing->store, place, err);
	}
	kt_place_set(landing->bundle->manifest.version, place);
	return r < 0 || landing->set == KT_SET_SAME ? r : kt_store_can_publish(landing->store, place, err);
}

/* The directories that renames will go to: made now, so that the tree's sync makes them last. */
static int places_make(const struct landing *landing, struct kt_error *err)
{
	int r = kt_fs_make_dirs(landing->store->dir, KT_STORE_SETS);

	for (size_t i = 0; r == 0 && i < landing->count; i++) {
		char place[KT_PLACE_MAX];

		(void)snprintf(place, sizeof(place), KT_STORE_VERSIONS "/%s", landing->items[i].component->name);
		r = kt_fs_make_dirs(landing->store->dir, place);
	}
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot make the folders of %s",
				     landing->store->root) :
		       0;
}

static int components_stage(struct landing *landing, struct kt_error *err)
{
	kt_copy_tell(&landing->copy);
	for (size_t i = 0; i < landing->count; i++) {
		struct item *item = &landing->items[i];
		int r = item->is_there ? item_open_landed(landing, item, err) : item_stage(landing, item, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The contract holds of what was written, before any of it gets its name. */
static int contract_check(const struct landing *landing, struct kt_error *err)
{
	const struct kt_manifest *manifest = &landing->bundle->manifest;
	int fds[KT_COMPONENT_MAX], r;

	for (size_t i = 0; i < landing->count; i++)
		fds[i] = landing->items[i].files;
	r = kt_elf_check(manifest, fds, false, NULL, NULL, err);
	if (r < 0 || landing->set == KT_SET_SAME || manifest->extra_count == 0)
		return r;

	KT_OWN(kt_close_fd)
	int extras = kt_fs_open_beneath(landing->store->dir, PARTIAL_SET "/" KT_SET_EXTRAS, O_RDONLY | O_DIRECTORY, 0);

	if (extras < 0)
		return kt_fail_errno(err, -extras, KT_REASON_IO_ERROR, "cannot open %s/" PARTIAL_SET "/" KT_SET_EXTRAS,
				     landing->store->root);
	return kt_elf_check_extras(manifest, extras, false, NULL, NULL, err);
}

static int components_publish(struct landing *landing, struct kt_error *err)
{
	for (size_t i = 0; i < landing->count; i++) {
		const struct item *item = &landing->items[i];
		char place[KT_PLACE_MAX];
		int r;

		if (item->is_there)
			continue;
		kt_place_version(item->component->name, item->component->version, place);
		r = kt_store_publish(landing->store, item->partial, place, err);
		if (r < 0)
			return r;
		landing->has_replaced |= r > 0;
		if (r == 0)
			memcpy(landing->staged.places[landing->staged.place_count++], place, sizeof(place));
	}
	return 0;
}

static int set_publish(struct landing *landing, struct kt_error *err)
{
	char place[KT_PLACE_MAX];
	int r;

	kt_place_set(landing->bundle->manifest.version, place);
	r = kt_store_publish(landing->store, PARTIAL_SET, place, err);
	landing->has_replaced |= r > 0;
	landing->staged.has_new_set = r == 0;
	return r < 0 ? r : 0;
}

static bool is_complete(const struct landing *landing)
{
	for (size_t i = 0; i < landing->count; i++)
		if (!landing->items[i].is_there)
			return false;
	return landing->set == KT_SET_SAME;
}

/* Folders that lie in the root itself are being adopted: beside them lies what is ours. */
static bool is_own_root(const struct landing *landing)
{
	struct stat bundle, root;

	return fstat(landing->bundle->dir, &bundle) == 0 && fstat(landing->store->dir, &root) == 0 &&
	       bundle.st_dev == root.st_dev && bundle.st_ino == root.st_ino;
}

static int landing_run(struct landing *landing, struct kt_error *err)
{
	int r = kt_store_sweep(landing->store, err);

	if (r == 0)
		r = landing_look(landing, err);
	if (r < 0 || is_complete(landing))
		return r;
	r = is_own_root(landing) ? 0 : kt_bundle_check_names(landing->bundle, err);
	if (r == 0)
		r = room_check(landing, err);
	if (r == 0)
		r = places_check(landing, err);
	if (r == 0)
		r = places_make(landing, err);
	if (r == 0)
		r = components_stage(landing, err);
	if (r == 0 && landing->set != KT_SET_SAME)
		r = kt_set_write(landing->store, landing->bundle, PARTIAL_SET, &landing->copy, err);
	if (r == 0)
		r = contract_check(landing, err);
	if (r == 0)
		r = kt_store_sync(landing->store, err);
	if (r == 0)
		r = components_publish(landing, err);
	if (r == 0 && landing->set != KT_SET_SAME)
		r = set_publish(landing, err);
	return r;
}

int kt_store_stage(struct kt_store *store, const struct kt_bundle *bundle, kt_store_progress *progress, void *context,
		   struct kt_staged *ret_staged, struct kt_error *err)
{
	KT_OWN(landing_done)
	struct landing landing = {
		.store = store,
		.bundle = bundle,
		.copy = {.progress = progress, .context = context},
	};
	struct kt_error mine = {.code = 0};

	if (store->lock < 0)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%s is not locked", store->root);

	int r = landing_run(&landing, &mine);

	if (r < 0) {
		/* A full disk is not left fuller than it was; what cannot be removed now is swept by the next start. */
		(void)kt_store_sweep(store, NULL);
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	}
	if (landing.has_replaced) /* what cannot be removed now is by a later start */
		(void)kt_store_sweep(store, NULL);
	landing.staged.bytes_written = landing.copy.done_bytes;
	if (ret_staged)
		*ret_staged = landing.staged;
	return 0;
}
