/* Landing, up to the point where a set is there and nobody uses it yet.
 *
 * A set or version without its manifest or list is not there:
 *   .partial-*          being written; any start may delete it
 *   versions/c/v        complete, verified, synced; its bytes are never edited again
 *   sets/v              likewise
 * Order: sweep, take over an earlier layout, put owners and modes right, look, room, copy and read back each missing
 * component, write the set, ELF contract over what is new, sync the tree, rename each component into versions/ (both
 * directories synced), rename the set into sets/ (both directories synced), note what all of it looks like. The set's
 * links name versions that are durable by then, and what the contract refuses leaves nothing behind. (A km that takes
 * the place of one of the same name comes after the set, which brings the link to its tools.)
 *
 * Whatever can refuse does so before the first byte is written where it can be known by then: another content under a
 * version that is there, too little room. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "copy.h"
#include "door.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "room.h"
#include "set.h"
#include "takeover.h"

#define PARTIAL_SET KT_STORE_PARTIAL "set"
struct item {
	const struct kt_component *component;
	bool is_there;
	bool is_published;
	char contract[KT_DIGEST_HEX]; /* among which others it kept the contract, as noted; "" for none */
	char partial[32];
	uint64_t *stamps; /* owned: of its files as they were read back; NULL of what is there */
};

struct landing {
	const struct kt_store *store;
	struct kt_bundle *bundle;
	struct item items[KT_COMPONENT_MAX];
	size_t count;
	enum kt_set_state set;
	bool is_set_there; /* so that a km that takes another's place may */
	struct kt_copy copy;
	struct kt_staged staged;
	bool has_replaced;
	char contract[KT_DIGEST_HEX]; /* what the new set's components are among */
};

static void landing_done(struct landing *landing)
{
	for (size_t i = 0; i < landing->count; i++)
		kt_stamps_free(landing->items[i].stamps, landing->items[i].component->list.count);
}

/* ---- what is there ---- */

/* A version of that name, with a list that is another's. Damage, or another content? What is another content is whole
 * by its own list. */
static bool is_conflict(const struct kt_component *component, const struct kt_seen *seen, int dir,
			const struct kt_filelist *list)
{
	struct kt_error ignored = {.code = 0};
	struct kt_first first = {.where = "", .err = &ignored};
	struct kt_tree_check check = {.depth = KT_DEPTH_ALL, .visit = kt_first_visit, .context = &first};
	struct kt_version_tree tree;

	if (kt_version_is_old(dir) || strcmp(seen->digest, component->digest) == 0)
		return false;
	kt_version_tree(dir, component->name, list, &tree);
	return kt_tree_check(&tree.tree, &check) == 0 && first.count == 0;
}

/* Is this very component there, whole? 1, 0, or VersionConflict. Damage counts as not there: it is replaced. */
static int component_look(const struct kt_store *store, struct item *item, struct kt_error *err)
{
	const struct kt_component *component = item->component;
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	KT_OWN(kt_close_fd) int dir = kt_version_open(store, component->name, component->version);
	struct kt_version_tree tree;

	if (dir < 0 && dir != -ENOENT && dir != -ENOTDIR && dir != -ELOOP)
		return kt_fail_errno(err, -dir, KT_REASON_IO_ERROR, "cannot open %s/" KT_STORE_VERSIONS "/%s/%s",
				     store->root, component->name, component->version);
	if (dir < 0)
		return 0;
	(void)kt_seen_read(store, component->name, component->version, &seen);
	if (strcmp(seen.digest, component->digest) == 0) {
		memcpy(item->contract, seen.contract, sizeof(item->contract));
		if (kt_tree_is_as_seen(dir, &seen))
			return 1;
	}
	if (kt_version_list(dir, component->name, component->version, &list, KT_ERROR_IGNORED) < 0)
		return 0;
	if (strcmp(list.digest, component->digest) != 0) {
		if (!is_conflict(component, &seen, dir, &list))
			return 0;
		return kt_fail(err, EEXIST, KT_REASON_VERSION_CONFLICT,
			       "%s %s is landed already with other content (digest %.12s..., the bundle's is %.12s...)",
			       component->name, component->version, list.digest, component->digest);
	}
	kt_version_tree(dir, component->name, &list, &tree);
	return kt_tree_make_whole(store, &tree.tree, component, err);
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

		*item = (struct item){.component = &manifest->components[i]};
		(void)snprintf(item->partial, sizeof(item->partial), KT_STORE_PARTIAL "%s", item->component->name);
		landing->count = i + 1;
		r = component_look(landing->store, item, err);
		if (r < 0)
			return r;
		item->is_there = r > 0;
	}
	return 0;
}

/* What is there is not read from the bundle, so its names do not count. */
static int names_check(const struct landing *landing, struct kt_error *err)
{
	bool is_there[KT_COMPONENT_MAX];

	for (size_t i = 0; i < landing->count; i++)
		is_there[i] = landing->items[i].is_there;
	return kt_bundle_check_names(landing->bundle, is_there, err);
}

static int room_check(struct landing *landing, struct kt_error *err)
{
	struct kt_room room;
	int r = kt_room_init(landing->store, &room, err);

	for (size_t i = 0; r == 0 && i < landing->count; i++) {
		const struct kt_component *component = landing->items[i].component;

		if (landing->items[i].is_there)
			continue;
		kt_room_add(&room, &component->list);
		landing->copy.total_bytes += component->list.total_bytes;
	}
	return r < 0 ? r : kt_room_check(landing->store, &room, landing->bundle->manifest.version, err);
}

/* ---- writing ---- */

static int item_stage(struct landing *landing, struct item *item, struct kt_error *err)
{
	const struct kt_component *component = item->component;
	const char *folder = kt_component_source(component->name);
	KT_OWN(kt_close_fd) int source = kt_fs_open_beneath(landing->bundle->dir, folder, O_RDONLY | O_DIRECTORY, 0);

	if (source < 0 && source != -ENOENT && source != -ENOTDIR && source != -ELOOP)
		return kt_fail_errno(err, -source, KT_REASON_BUNDLE_UNREADABLE, "cannot open the bundle's folder %s",
				     folder);
	if (source < 0)
		return kt_fail(err, -source, KT_REASON_BUNDLE_INVALID, "the bundle's folder %s is missing", folder);
	item->stamps = kt_stamps_new(component->list.count);
	if (!item->stamps)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	return kt_version_stage(landing->store, source, strcmp(folder, ".") == 0 ? component->name : folder,
				item->partial, component, item->stamps, &landing->copy, err);
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
	int r = 0;

	kt_copy_tell(&landing->copy);
	for (size_t i = 0; r == 0 && i < landing->count; i++)
		if (!landing->items[i].is_there)
			r = item_stage(landing, &landing->items[i], err);
	return r;
}

static void fds_close(int (*fds)[KT_COMPONENT_MAX])
{
	for (size_t i = 0; i < KT_COMPONENT_MAX; i++)
		kt_close_fd(&(*fds)[i]);
}

/* The contract holds of what was written, before any of it gets its name. What is there and kept it among the same
 * paths and links keeps it still. */
static int contract_check(struct landing *landing, struct kt_error *err)
{
	const struct kt_manifest *manifest = &landing->bundle->manifest;
	KT_OWN(fds_close) int fds[KT_COMPONENT_MAX] = {-1, -1, -1, -1, -1, -1, -1};

	if (kt_elf_surroundings(manifest, landing->contract) < 0)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	for (size_t i = 0; i < landing->count; i++) {
		const struct item *item = &landing->items[i];
		char place[KT_PLACE_MAX];

		if (item->is_there && strcmp(item->contract, landing->contract) == 0)
			continue;
		if (item->is_there)
			kt_place_files(item->component->name, item->component->version, place);
		else
			(void)snprintf(place, sizeof(place), "%s/%s", item->partial,
				       kt_place_inside(item->component->name));
		fds[i] = kt_fs_open_beneath(landing->store->dir, place, O_RDONLY | O_DIRECTORY, 0);
		if (fds[i] < 0)
			return kt_fail_errno(err, -fds[i], KT_REASON_IO_ERROR, "cannot open %s/%s",
					     landing->store->root, place);
	}
	return kt_elf_check(manifest, fds, false, NULL, NULL, err);
}

/* A km that takes the place of one that is current, and whose tools may come with the set. */
static bool is_last(const struct landing *landing, const struct item *item)
{
	char place[KT_PLACE_MAX];

	kt_place_version(item->component->name, item->component->version, place);
	return strcmp(item->component->name, "km") == 0 && kt_fs_exists(landing->store->dir, place);
}

static int components_publish(struct landing *landing, struct kt_error *err)
{
	for (size_t i = 0; i < landing->count; i++) {
		struct item *item = &landing->items[i];
		char place[KT_PLACE_MAX];
		int r;

		if (item->is_there || item->is_published || is_last(landing, item) != landing->is_set_there)
			continue;
		kt_place_version(item->component->name, item->component->version, place);
		r = kt_store_publish(landing->store, item->partial, place, err);
		if (r < 0)
			return r;
		landing->has_replaced |= r > 0;
		item->is_published = true;
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

/* ---- noting ---- */

/* What was just landed, as it looks now that it has its name: its files are known from their verifier, the names in its
 * directories are read, so the next look needs no byte of it. */
static int item_note(const struct landing *landing, const struct item *item, struct kt_error *err)
{
	const struct kt_component *component = item->component;
	KT_OWN(kt_close_fd) int dir = kt_version_open(landing->store, component->name, component->version);
	KT_OWN(kt_free_mem) char *body = NULL;
	size_t size = 0;
	FILE *notes = open_memstream(&body, &size);
	char place[KT_PLACE_MAX];
	struct kt_first first = {.where = place, .err = err};
	struct kt_tree_check check = {.depth = KT_DEPTH_CHANGED,
				      .is_staged = true,
				      .stamps = item->stamps,
				      .visit = kt_first_visit,
				      .context = &first,
				      .notes = notes};
	struct kt_seen head = {.read_at = time(NULL)};
	struct kt_version_tree tree;
	const struct kt_file *km = strcmp(component->name, "km") == 0 ? kt_filelist_find(&component->list, "km") : NULL;
	int r;

	kt_place_version(component->name, component->version, place);
	kt_version_tree(dir, component->name, &component->list, &tree);
	r = !notes ? -ENOMEM : dir < 0 ? dir : kt_tree_check(&tree.tree, &check);
	if (notes && fclose(notes) != 0 && r == 0)
		r = -ENOMEM;
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot look at %s", place);
	if (first.count > 0) { /* a disk that does not read, or somebody else who writes here */
		err->reason = err->reason == KT_REASON_STORE_DAMAGED ? KT_REASON_IO_ERROR : err->reason;
		return -err->code;
	}
	head.count = check.note_count;
	memcpy(head.digest, component->digest, sizeof(head.digest));
	memcpy(head.contract, landing->contract, sizeof(head.contract));
	if (km && km->sha256)
		memcpy(head.km_digest, km->sha256, KT_DIGEST_HEX);
	/* a cache: without it all of it is read once more, by a verification */
	(void)kt_seen_write(landing->store, component->name, component->version, &head, body, size, KT_ERROR_IGNORED);
	return 0;
}

/* The same notes, but for what the component kept the contract among. */
static void contract_note(const struct landing *landing, const struct item *item)
{
	const struct kt_component *component = item->component;
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};

	if (strcmp(item->contract, landing->contract) == 0 ||
	    kt_seen_read(landing->store, component->name, component->version, &seen) < 0)
		return;
	memcpy(seen.contract, landing->contract, sizeof(seen.contract));
	(void)kt_seen_write(landing->store, component->name, component->version, &seen, seen.body,
			    kt_seen_body_size(&seen), KT_ERROR_IGNORED);
}

static int set_note(const struct landing *landing, struct kt_error *err)
{
	const struct kt_bundle *bundle = landing->bundle;
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	KT_OWN(kt_seen_done) struct kt_seen before = {.text = NULL};
	struct kt_seen head = {.read_at = time(NULL)};

	if (!digest)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	kt_digest_add(digest, bundle->manifest_bytes, bundle->manifest_size);
	kt_digest_take(digest, head.digest);
	if (kt_seen_read(landing->store, KT_SEEN_SET, bundle->manifest.version, &before) == 0 &&
	    strcmp(before.digest, head.digest) == 0)
		return 0;
	(void)kt_seen_write(landing->store, KT_SEEN_SET, bundle->manifest.version, &head, "", 0, KT_ERROR_IGNORED);
	return 0;
}

static int landing_note(const struct landing *landing, struct kt_error *err)
{
	int r = set_note(landing, err);

	for (size_t i = 0; r == 0 && i < landing->count; i++) {
		if (landing->items[i].is_there)
			contract_note(landing, &landing->items[i]);
		else
			r = item_note(landing, &landing->items[i], err);
	}
	return r;
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

static int landing_write(struct landing *landing, struct kt_error *err)
{
	const struct kt_bundle *bundle = landing->bundle;
	int r = places_make(landing, err);

	if (r == 0)
		r = components_stage(landing, err);
	if (r == 0 && landing->set != KT_SET_SAME)
		r = kt_set_write(landing->store, &bundle->manifest, bundle->manifest_bytes, bundle->manifest_size,
				 PARTIAL_SET, err);
	if (r == 0)
		r = contract_check(landing, err);
	if (r == 0)
		r = kt_store_sync(landing->store, err);
	if (r == 0)
		r = components_publish(landing, err);
	if (r == 0 && landing->set != KT_SET_SAME)
		r = set_publish(landing, err);
	landing->is_set_there = true;
	if (r == 0)
		r = components_publish(landing, err);
	return r < 0 ? r : landing_note(landing, err);
}

static int landing_run(struct landing *landing, struct kt_error *err)
{
	int r = kt_folders_require(landing->store, err);

	if (r == 0)
		r = kt_store_sweep(landing->store, err);
	if (r == 0)
		r = kt_store_take_over(landing->store, err);
	if (r == 0)
		r = kt_folders_mend(landing->store, err);
	if (r == 0)
		r = landing_look(landing, err);
	if (r < 0)
		return r;
	if (is_complete(landing))
		return set_note(landing, err);
	r = kt_bundle_read_lists(landing->bundle, err);
	if (r == 0 && !is_own_root(landing))
		r = names_check(landing, err);
	if (r == 0)
		r = room_check(landing, err);
	if (r == 0)
		r = places_check(landing, err);
	return r < 0 ? r : landing_write(landing, err);
}

int kt_store_stage(struct kt_store *store, struct kt_bundle *bundle, kt_store_progress *progress, void *context,
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
		(void)kt_store_sweep(store, KT_ERROR_IGNORED);
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	}
	if (landing.has_replaced) /* what cannot be removed now is by a later start */
		(void)kt_store_sweep(store, KT_ERROR_IGNORED);
	landing.staged.bytes_written = landing.copy.done_bytes;
	if (ret_staged)
		*ret_staged = landing.staged;
	return 0;
}
