/* Sets are small: a handful of links and one manifest. */
#include "set.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "kontain/base/array.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

static int set_open(const struct kt_store *store, const char *version)
{
	char place[KT_PLACE_MAX];

	kt_place_set(version, place);
	return kt_fs_open_beneath(store->dir, place, O_RDONLY | O_DIRECTORY, 0);
}

int kt_set_exists(const struct kt_store *store, const char *version)
{
	KT_OWN(kt_close_fd) int dir = kt_version_is_valid(version) ? set_open(store, version) : -ENOENT;
	struct stat info;

	if (dir < 0)
		return dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP ? 0 : dir;
	if (fstatat(dir, KT_MANIFEST_NAME, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : kt_negative_errno();
	return S_ISREG(info.st_mode);
}

static void link_target(const struct kt_component *component, char ret_target[KT_PLACE_MAX + 8])
{
	char place[KT_PLACE_MAX];

	kt_place_files(component->name, component->version, place);
	(void)snprintf(ret_target, KT_PLACE_MAX + 8, "../../%s", place);
}

void kt_set_done(struct kt_set *set)
{
	kt_close_fd(&set->dir);
	kt_manifest_done(&set->manifest);
	kt_free_mem(&set->bytes);
}

int kt_set_load(const struct kt_store *store, const char *version, struct kt_set *ret_set, struct kt_error *err)
{
	KT_OWN(kt_set_done) struct kt_set set = {.dir = -1};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	struct kt_error mine = {.code = 0};
	int r;

	if (!kt_version_is_valid(version))
		return kt_fail(err, EINVAL, KT_REASON_NO_VERSION, "\"%.80s\" is not a version", version);
	if (!digest)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	set.dir = set_open(store, version);
	r = set.dir < 0 ?
		    set.dir :
		    kt_fs_read_all(set.dir, KT_MANIFEST_NAME, KT_MANIFEST_BYTES_MAX, &set.bytes, &set.size, &mine);
	if (r == -ENOENT || r == -ENOTDIR)
		return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "version %s is not landed in %s", version,
			       store->root);
	if (r < 0 && r != -ELOOP && r != -EISDIR && r != -EINVAL && r != -EFBIG)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/" KT_STORE_SETS "/%s", store->root,
				     version);
	if (r == 0) {
		kt_digest_add(digest, set.bytes, set.size);
		kt_digest_take(digest, set.sha256);
		r = kt_manifest_parse(set.bytes, set.size, &set.manifest, &mine);
	}
	if (r < 0)
		return kt_fail(err, -r, KT_REASON_STORE_DAMAGED, "%s/" KT_STORE_SETS "/%s/" KT_MANIFEST_NAME ": %s",
			       store->root, version, mine.code ? mine.text : strerror(-r));
	*ret_set = set;
	set = (struct kt_set){.dir = -1};
	return 0;
}

int kt_store_read_set(const struct kt_store *store, const char *version, struct kt_manifest *ret_manifest,
		      struct kt_error *err)
{
	KT_OWN(kt_set_done) struct kt_set set = {.dir = -1};
	int r = kt_set_load(store, version, &set, err);

	if (r < 0)
		return r;
	*ret_manifest = set.manifest;
	set.manifest = (struct kt_manifest){.component_count = 0};
	return 0;
}

void kt_set_tree(const struct kt_set *set, struct kt_set_tree *ret_tree)
{
	size_t count = 0;

	ret_tree->own[count++] = (struct kt_file){
		.path = KT_MANIFEST_NAME, .sha256 = set->sha256, .size_bytes = set->size, .mode = 0644};
	for (size_t i = 0; i < set->manifest.component_count; i++) {
		const struct kt_component *component = &set->manifest.components[i];

		link_target(component, ret_tree->targets[i]);
		ret_tree->own[count++] =
			(struct kt_file){.path = kt_component_folder(component->name), .link = ret_tree->targets[i]};
	}
	ret_tree->tree = (struct kt_tree){.dir = set->dir, .prefix = "", .own = ret_tree->own, .own_count = count};
}

/* Was it this bundle's manifest when it was landed? Then what lies there now is damage, not another bundle. */
static bool was_seen_same(const struct kt_store *store, const struct kt_bundle *bundle)
{
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char sha256[KT_DIGEST_HEX];

	if (!digest || kt_seen_read(store, KT_SEEN_SET, bundle->manifest.version, &seen) < 0)
		return false;
	kt_digest_add(digest, bundle->manifest_bytes, bundle->manifest_size);
	kt_digest_take(digest, sha256);
	return strcmp(sha256, seen.digest) == 0;
}

/* A set that was made of one of an earlier kontain-installer is known by its km: it is replaced by what the same
 * version is now. */
static bool is_old(const struct kt_store *store, const struct kt_manifest *manifest)
{
	const struct kt_component *km = kt_manifest_component(manifest, "km");
	KT_OWN(kt_close_fd) int dir = km ? kt_version_open(store, km->name, km->version) : -1;

	return dir >= 0 && kt_version_is_old(dir);
}

int kt_set_look(const struct kt_store *store, const struct kt_bundle *bundle, enum kt_set_state *ret_state,
		struct kt_error *err)
{
	const char *version = bundle->manifest.version;
	KT_OWN(kt_set_done) struct kt_set set = {.dir = -1};
	struct kt_error mine = {.code = 0};
	struct kt_set_tree tree;
	int r = kt_set_load(store, version, &set, &mine);

	*ret_state = KT_SET_MISSING;
	if (r < 0 && mine.reason == KT_REASON_NO_VERSION)
		return 0;
	if (r < 0 && mine.reason != KT_REASON_STORE_DAMAGED)
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	*ret_state = KT_SET_DAMAGED; /* a manifest that nobody can read is damage, not another version */
	if (r < 0)
		return 0;
	if (set.size != bundle->manifest_size || memcmp(set.bytes, bundle->manifest_bytes, set.size) != 0) {
		if (!was_seen_same(store, bundle) && !is_old(store, &set.manifest))
			*ret_state = KT_SET_OTHER;
		return 0;
	}
	kt_set_tree(&set, &tree);
	r = kt_tree_make_whole(store, &tree.tree, NULL, err);
	if (r > 0)
		*ret_state = KT_SET_SAME;
	return r < 0 ? r : 0;
}

static int links_write(int dir, const struct kt_manifest *manifest, struct kt_error *err)
{
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];
		char target[KT_PLACE_MAX + 8];

		link_target(component, target);
		if (symlinkat(target, dir, kt_component_folder(component->name)) < 0)
			return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot make the link %s of a set",
					     component->name);
	}
	return 0;
}

static int manifest_write(int dir, const char *bytes, size_t size, struct kt_error *err)
{
	int r = kt_fs_make_file(dir, KT_MANIFEST_NAME, bytes, size, 0644);

	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot write the manifest of a set") : 0;
}

int kt_set_write(const struct kt_store *store, const struct kt_manifest *manifest, const char *bytes, size_t size,
		 const char *partial, struct kt_error *err)
{
	int r = kt_fs_make_dirs(store->dir, partial);
	KT_OWN(kt_close_fd) int dir = r < 0 ? r : kt_fs_open_beneath(store->dir, partial, O_RDONLY | O_DIRECTORY, 0);

	if (dir < 0)
		return kt_fail_errno(err, -dir, KT_REASON_IO_ERROR, "cannot make %s/%s", store->root, partial);
	r = links_write(dir, manifest, err);
	return r < 0 ? r : manifest_write(dir, bytes, size, err);
}

int kt_set_each_link(const struct kt_store *store, const char *version, kt_set_use *use, void *context)
{
	KT_OWN(kt_close_fd) int dir = set_open(store, version);

	if (dir < 0)
		return dir;
	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);
		char target[KT_PLACE_MAX + 8], found[KT_VERSION_MAX];
		int r = kt_fs_read_link(dir, folder, target, sizeof(target));

		if (r == -ENOENT || r == -EINVAL || r == -ENAMETOOLONG) /* no link: names nothing */
			continue;
		if (r < 0) /* may name what the caller would remove */
			return r;
		if (!kt_place_parse_link(folder, target, found))
			continue;
		r = use(context, kt_component_names[i], found);
		if (r != 0)
			return r;
	}
	return 0;
}

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
		return fd < 0 ? fd : kt_negative_errno();
	if (!S_ISREG(info.st_mode))
		return 0;
	if (kt_array_reserve(&listing->sets, listing->count, &listing->room, sizeof(*listing->sets)) < 0)
		return -ENOMEM;

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
