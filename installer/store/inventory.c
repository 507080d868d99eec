/* What is there, told without a lock and without believing any of it: another process may be landing or removing
 * meanwhile, so each thing is looked at once and what vanishes is not there.
 *
 * It runs at every tick: links and records are read and each file of the current set is looked at (stat), but no JSON is
 * parsed and no file's content is read. */
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

static void damage(struct kt_inventory *inventory, const char *text)
{
	inventory->is_whole = false;
	if (!inventory->damage[0])
		(void)snprintf(inventory->damage, sizeof(inventory->damage), "%.*s",
			       (int)sizeof(inventory->damage) - 1, text);
}

struct look {
	const struct kt_store *store;
	struct kt_inventory *inventory;
	bool has_km;
};

static int component_visit(void *context, const char *component, const char *version)
{
	struct look *look = context;
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	bool is_km = strcmp(component, "km") == 0;
	struct kt_error err = {.code = 0};
	char place[KT_PLACE_MAX];
	int r;

	kt_place_version(component, version, place);

	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(look->store->dir, place, O_RDONLY | O_DIRECTORY, 0);

	if (is_km) {
		look->has_km = true;
		(void)snprintf(look->inventory->km_version, KT_VERSION_MAX, "%s", version);
	}
	r = dir < 0 ? dir : kt_record_read(dir, &record, &err);
	if (r < 0) {
		(void)kt_fail(&err, -r, KT_REASON_STORE_DAMAGED, "%s has no record: it is not there", place);
		damage(look->inventory, err.text);
		return 0;
	}
	if (strcmp(record.name, component) != 0 || strcmp(record.version, version) != 0)
		damage(look->inventory, "a component's record is another's");
	else if (kt_record_check(&record, dir, place, is_km ? look->inventory->km_digest : NULL, &err) < 0)
		damage(look->inventory, err.text);
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
	damage(look->inventory, text);
	return 0;
}

static int manifest_digest(const struct kt_store *store, struct kt_inventory *inventory, struct kt_error *err)
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	KT_OWN(kt_free_mem) char *bytes = NULL;
	struct kt_error mine;
	char place[KT_PLACE_MAX];
	size_t size = 0;

	if (!digest)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	kt_place_manifest(inventory->current, place);
	if (kt_fs_read_all(store->dir, place, KT_MANIFEST_BYTES_MAX, &bytes, &size, &mine) < 0) {
		damage(inventory, "the current set has no manifest");
		return 0;
	}
	kt_digest_add(digest, bytes, size);
	kt_digest_take(digest, inventory->manifest_sha256);
	return 0;
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
		damage(inventory, text);
	}
}

static int current_look(const struct kt_store *store, struct kt_inventory *inventory, struct kt_error *err)
{
	struct look look = {.store = store, .inventory = inventory};
	char place[KT_PLACE_MAX];
	int r;

	inventory->is_whole = true;
	r = manifest_digest(store, inventory, err);
	if (r < 0)
		return r;
	folders_check(store, inventory);
	kt_place_set(inventory->current, place);
	r = kt_each_entry(store->dir, place, link_visit, &look);
	if (r == 0)
		r = kt_set_each_link(store, inventory->current, component_visit, &look);
	if (r < 0 && r != -ENOENT)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/%s", store->root, place);
	if (!look.has_km)
		damage(inventory, "the current set has no km");
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
