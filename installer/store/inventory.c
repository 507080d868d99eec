/* What is there, told without a lock and without believing any of it: another process may be landing or removing
 * meanwhile, so each thing is looked at once and what vanishes is not there.
 *
 * It runs at every tick: links are read and each file of the current set is looked at (stat), but no JSON is parsed, and
 * only the content of files is read that changed since they were verified (seen.h). While all is as it was seen, records
 * and the manifest are not read either. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "record.h"
#include "set.h"

struct found_set {
	char version[KT_VERSION_MAX];
	struct timespec landed_at;
};

struct listing {
	struct found_set *sets; /* owned by the caller */
	size_t count;
	size_t room;
};

static int listing_visit(void *context, int dir, const char *name)
{
	struct listing *listing = context;
	char path[KT_PLACE_MAX];
	struct stat info;

	if (!kt_version_is_valid(name))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/" KT_MANIFEST_NAME, name);

	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, path, O_PATH | O_NOFOLLOW, 0);

	if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
		return 0;
	if (fd < 0 || fstat(fd, &info) < 0) /* it may be there: who counts sets must not go on without it */
		return fd < 0 ? fd : -errno;
	if (!S_ISREG(info.st_mode))
		return 0;
	if (listing->count == listing->room) {
		size_t room = listing->room ? listing->room * 2 : KT_STATE_LIST_MAX;
		struct found_set *grown = realloc(listing->sets, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		listing->sets = grown;
		listing->room = room;
	}

	struct found_set *set = &listing->sets[listing->count++];

	(void)snprintf(set->version, sizeof(set->version), "%s", name);
	set->landed_at = info.st_mtim;
	return 0;
}

static int newest_first(const void *left, const void *right)
{
	const struct found_set *a = left, *b = right;

	if (a->landed_at.tv_sec != b->landed_at.tv_sec)
		return a->landed_at.tv_sec < b->landed_at.tv_sec ? 1 : -1;
	if (a->landed_at.tv_nsec != b->landed_at.tv_nsec)
		return a->landed_at.tv_nsec < b->landed_at.tv_nsec ? 1 : -1;
	return strcmp(a->version, b->version);
}

int kt_set_list(const struct kt_store *store, kt_visit *visit, void *context)
{
	struct listing listing = {.sets = NULL};
	int r = kt_each_entry(store->dir, KT_STORE_SETS, listing_visit, &listing);

	if (r == 0 && listing.count > 0)
		qsort(listing.sets, listing.count, sizeof(*listing.sets), newest_first);
	for (size_t i = 0; r == 0 && i < listing.count; i++)
		r = visit(context, store->dir, listing.sets[i].version);
	free(listing.sets);
	return r;
}

static int sets_visit(void *context, int dir, const char *version)
{
	struct kt_inventory *inventory = context;

	(void)dir;
	if (inventory->set_count < KT_STATE_LIST_MAX)
		(void)snprintf(inventory->sets[inventory->set_count++], KT_VERSION_MAX, "%s", version);
	return 0;
}

/* Of what changed since it was seen, read at once in one look: more than any km, and no tick's worth of a large tree. */
#define READ_MAX_BYTES (64 * 1024 * 1024)

static void damage(struct kt_inventory *inventory, enum kt_reason reason, const char *text)
{
	inventory->is_whole = false;
	if (inventory->damage[0])
		return;
	inventory->damage_reason = reason;
	(void)snprintf(inventory->damage, sizeof(inventory->damage), "%.*s", (int)sizeof(inventory->damage) - 1, text);
}

struct look {
	const struct kt_store *store;
	struct kt_inventory *inventory;
	bool has_km;
};

/* One part of the current set was read to its last byte then; 0: never. */
static void part_note(struct kt_inventory *inventory, int64_t read_at)
{
	if (read_at < inventory->verified_at)
		inventory->verified_at = read_at;
	if (read_at == 0)
		inventory->is_unread = true;
}

/* Is every file as it was when it was read last, and right? Looked at by stat(2) alone. files: the part's own folder. */
static bool is_as_seen(const struct kt_seen *seen, int files)
{
	KT_OWN(kt_way_done) struct kt_way way;
	struct kt_seen_file file;
	char *cursor = seen->body;
	size_t count = 0;

	kt_way_init(&way, files);
	while (kt_seen_next(&cursor, &file)) {
		const char *name = NULL;
		int parent = kt_way_enter(&way, file.path, false, &name);
		struct stat info;

		if (parent < 0 || file.is_wrong || fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0 ||
		    kt_stamp(&info) != file.stamp)
			return false;
		count++;
	}
	return count == seen->file_count;
}

static bool component_is_as_seen(const struct look *look, const char *component, const char *version, int dir)
{
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	KT_OWN(kt_close_fd)
	int files = kt_fs_open_beneath(dir, kt_place_inside(component), O_RDONLY | O_DIRECTORY, 0);

	if (files < 0 || kt_seen_read(look->store, component, version, kt_seen_mark(dir, component), &seen) < 0 ||
	    !is_as_seen(&seen, files))
		return false;
	if (strcmp(component, "km") == 0)
		memcpy(look->inventory->km_digest, seen.digest, sizeof(seen.digest));
	part_note(look->inventory, seen.read_at);
	return true;
}

/* Something is not as it was seen, or nothing was ever seen: the record says what is meant to be there. */
static void component_check(struct look *look, const char *component, const char *version, int dir, const char *place)
{
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	struct kt_record_check check = {.read_max_bytes = READ_MAX_BYTES};
	struct kt_error err = {.code = 0};
	int r = dir < 0 ? dir : kt_record_read(dir, &record, &err);

	if (r < 0) {
		(void)kt_fail(&err, -r, KT_REASON_STORE_DAMAGED, "%s has no record: it is not there", place);
		damage(look->inventory, err.reason, err.text);
		return;
	}
	if (strcmp(record.name, component) != 0 || strcmp(record.version, version) != 0) {
		damage(look->inventory, KT_REASON_STORE_DAMAGED, "a component's record is another's");
		return;
	}
	if (kt_seen_read(look->store, component, version, kt_seen_mark(dir, component), &seen) == 0)
		check.seen = &seen;
	if (kt_record_check(&record, dir, place, &check, &err) < 0)
		damage(look->inventory, err.reason, err.text);
	if (strcmp(component, "km") == 0)
		memcpy(look->inventory->km_digest, check.km_digest, sizeof(check.km_digest));
	part_note(look->inventory, seen.read_at);
	look->inventory->is_unread |= check.is_unread;
}

static int component_visit(void *context, const char *component, const char *version)
{
	struct look *look = context;
	char place[KT_PLACE_MAX];

	kt_place_version(component, version, place);

	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(look->store->dir, place, O_RDONLY | O_DIRECTORY, 0);

	if (strcmp(component, "km") == 0) {
		look->has_km = true;
		(void)snprintf(look->inventory->km_version, KT_VERSION_MAX, "%s", version);
	}
	if (dir < 0 || !component_is_as_seen(look, component, version, dir))
		component_check(look, component, version, dir, place);
	return 0;
}

/* Every name in the set's folder that the set itself put there must still be a link that names a version. */
static int link_visit(void *context, int dir, const char *name)
{
	struct look *look = context;
	char target[KT_PLACE_MAX + 8], version[KT_VERSION_MAX], text[KT_PLACE_MAX];

	if (!kt_component_of_folder(name))
		return 0;
	if (kt_fs_read_link(dir, name, target, sizeof(target)) == 0 && kt_place_parse_link(name, target, version))
		return 0;
	(void)snprintf(text, sizeof(text), KT_STORE_SETS "/%s/%s names no version", look->inventory->current, name);
	damage(look->inventory, KT_REASON_STORE_DAMAGED, text);
	return 0;
}

/* The manifest's digest as it was seen, or anew when that is not it any more. */
static void manifest_digest(struct look *look, int dir, const struct kt_seen *seen, const struct kt_seen_file *was)
{
	KT_OWN(kt_reader_done) struct kt_reader reader = {.digest = NULL};
	struct kt_inventory *inventory = look->inventory;
	struct kt_reading reading;
	char text[KT_PLACE_MAX];
	struct stat info;

	if (was && fstatat(dir, KT_MANIFEST_NAME, &info, AT_SYMLINK_NOFOLLOW) == 0 && kt_stamp(&info) == was->stamp) {
		memcpy(inventory->manifest_sha256, seen->digest, sizeof(seen->digest));
		return;
	}
	inventory->is_unread = true;
	if (fstatat(dir, KT_MANIFEST_NAME, &info, AT_SYMLINK_NOFOLLOW) < 0 || info.st_size > KT_MANIFEST_BYTES_MAX ||
	    kt_reader_init(&reader) < 0 || kt_reader_read(&reader, dir, KT_MANIFEST_NAME, &reading) < 0) {
		damage(inventory, KT_REASON_STORE_DAMAGED, "the current set has no manifest");
		return;
	}
	memcpy(inventory->manifest_sha256, reading.sha256, sizeof(reading.sha256));
	if (!was || strcmp(reading.sha256, seen->digest) == 0)
		return;
	(void)snprintf(text, sizeof(text), KT_STORE_SETS "/%s/" KT_MANIFEST_NAME " has another content than was landed",
		       inventory->current);
	damage(inventory, KT_REASON_STORE_FILE_CHANGED, text);
}

/* What the set holds beside its links. Only the manifest, which is costly to parse, says what an extra should be: one
 * that is not as it was seen is left to the deep verification. */
static void extra_look(struct look *look, int dir, const struct kt_seen_file *was)
{
	char path[KT_MANIFEST_PATH_MAX + 16], text[KT_PLACE_MAX + 256];
	struct stat info;

	(void)snprintf(path, sizeof(path), KT_SET_EXTRAS "/%s", was->path);

	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, path, O_PATH | O_NOFOLLOW, 0);
	bool is_gone = fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP;

	if (!is_gone && (fd < 0 || fstat(fd, &info) < 0)) {
		look->inventory->is_unread = true;
		return;
	}
	if (!is_gone && kt_stamp(&info) == was->stamp && !was->is_wrong)
		return;
	look->inventory->is_unread |= !is_gone;
	if (!is_gone && kt_stamp(&info) != was->stamp)
		return;
	(void)snprintf(text, sizeof(text), KT_STORE_SETS "/%s/%.200s %s", look->inventory->current, path,
		       is_gone ? "is missing" : "has another content than was landed");
	damage(look->inventory, is_gone ? KT_REASON_STORE_FILE_LOST : KT_REASON_STORE_FILE_CHANGED, text);
}

static void set_look(struct look *look, int dir)
{
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	struct kt_seen_file file;
	char *cursor;
	bool is_seen = kt_seen_read(look->store, KT_SEEN_SET, look->inventory->current, kt_seen_mark(dir, KT_SEEN_SET),
				    &seen) == 0;

	cursor = seen.body;
	/* the manifest comes first, see verify.c */
	is_seen = is_seen && kt_seen_next(&cursor, &file) && strcmp(file.path, KT_MANIFEST_NAME) == 0;
	part_note(look->inventory, is_seen ? seen.read_at : 0);
	manifest_digest(look, dir, &seen, is_seen ? &file : NULL);
	while (is_seen && kt_seen_next(&cursor, &file))
		extra_look(look, dir, &file);
}

/* The five links, as they lead to the current set. A dangling one is as good as any. */
static void folders_check(const struct kt_store *store, struct kt_inventory *inventory)
{
	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);
		char wanted[KT_PLACE_MAX], target[KT_PLACE_MAX], text[KT_PLACE_MAX + 32];

		(void)snprintf(wanted, sizeof(wanted), KT_STORE_CURRENT "/%s", folder);
		if (kt_fs_read_link(store->dir, folder, target, sizeof(target)) == 0 && strcmp(target, wanted) == 0)
			continue;
		(void)snprintf(text, sizeof(text), "%s does not lead to the current set", folder);
		damage(inventory, KT_REASON_STORE_DAMAGED, text);
	}
}

static int current_look(const struct kt_store *store, struct kt_inventory *inventory, struct kt_error *err)
{
	struct look look = {.store = store, .inventory = inventory};
	char place[KT_PLACE_MAX];
	int r;

	kt_place_set(inventory->current, place);

	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(store->dir, place, O_RDONLY | O_DIRECTORY, 0);

	inventory->is_whole = true;
	inventory->verified_at = INT64_MAX;
	if (dir < 0)
		damage(inventory, KT_REASON_STORE_DAMAGED, "the current set is missing");
	else
		set_look(&look, dir);
	folders_check(store, inventory);
	r = kt_each_entry(store->dir, place, link_visit, &look);
	if (r == 0)
		r = kt_set_each_link(store, inventory->current, component_visit, &look);
	if (r < 0 && r != -ENOENT)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/%s", store->root, place);
	if (!look.has_km)
		damage(inventory, KT_REASON_STORE_DAMAGED, "the current set has no km");
	inventory->verified_at = inventory->verified_at == INT64_MAX ? 0 : inventory->verified_at;
	return 0;
}

/* A real bin/ or runtime/ is another's, whoever made the root. */
static void foreign_look(const struct kt_store *store, const char *first_foreign, struct kt_inventory *inventory)
{
	char name[256];
	struct stat info;

	(void)snprintf(name, sizeof(name), "%s", first_foreign);
	for (size_t i = 0; !name[0] && kt_component_names[i]; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);

		if (fstatat(store->dir, folder, &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISLNK(info.st_mode) &&
		    !kt_is_skeleton(store->dir, folder))
			(void)snprintf(name, sizeof(name), "%s", folder);
	}
	if (!name[0])
		return;
	inventory->is_foreign = true;
	inventory->is_whole = false;
	inventory->damage_reason = KT_REASON_FOREIGN_INSTALLATION;
	(void)snprintf(inventory->damage, sizeof(inventory->damage), "%.100s is there and was not made by kontain-installer",
		       name);
}

int kt_store_inventory(const struct kt_store *store, struct kt_inventory *ret_inventory, struct kt_error *err)
{
	struct kt_inventory inventory = {.is_whole = false};
	enum kt_claim claim;
	char foreign[256];
	int r = kt_store_claim(store, &claim, foreign);

	if (r == 0)
		r = kt_set_list(store, sets_visit, &inventory);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	inventory.is_ours = claim == KT_CLAIM_OURS;
	(void)kt_place_read_pointer(store->dir, KT_STORE_PREVIOUS, inventory.previous);
	if (kt_place_read_pointer(store->dir, KT_STORE_CURRENT, inventory.current) == 0) {
		r = current_look(store, &inventory, err);
		if (r < 0)
			return r;
	}
	foreign_look(store, foreign, &inventory);
	r = inventory.is_foreign ? kt_store_is_adoptable(store, claim) : 0;
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	inventory.is_adoptable = r > 0;
	*ret_inventory = inventory;
	return 0;
}
