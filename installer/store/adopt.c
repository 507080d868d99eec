/* Adopting what an earlier installer left: real bin/, runtime/ ... become versions and a set, and links take
 * their place.
 *
 * Order, each step safe to run again:
 *   look: nothing but component folders and known leftovers, a real ELF km, the contract kept, the filesystem able to
 *         exchange each folder; nothing is written yet.
 *         The contract is asked before a digest is taken: what breaks it is refused again at each attempt, cheaply
 *   mark the root ours, lock
 *   stage the set legacy-<digest> from the folders themselves (copied, verified, synced)
 *   current -> the set, synced; links where no folder is
 *   each folder exchanged for its link (RENAME_EXCHANGE, synced): its name leads to the same content before and after
 *   the old folders, kept aside by now (door.h), are removed, each once nobody uses it
 * A crash before current leaves the folders as they were; one after it leaves folders and links that lead to the
 * same. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "door.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/treecheck.h"
#include "kontain/contract/paths.h"
#include "set.h"

#define LEGACY       "legacy-"
#define KM_BYTES_MAX (256 * 1024 * 1024)

/* What release tarballs hold beside the components: it stays where it is. */
static const char *const leftovers[] = {"include", "examples", "tests", NULL};

/* 1: a directory that holds something; 0: nothing, or something else. A folder that cannot be looked at is an error: a
 * version made without it would never be whole. */
static int folder_look(int dir, const char *name)
{
	struct stat info;

	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : kt_negative_errno();
	return S_ISDIR(info.st_mode) && !kt_is_skeleton(dir, name);
}

static bool is_known(int dir, const char *name)
{
	if (strcmp(name, KT_STORE_OLD_LOCK) == 0 || strcmp(name, "lost+found") == 0 ||
	    strncmp(name, KT_STORE_PARTIAL, strlen(KT_STORE_PARTIAL)) == 0 || kt_is_skeleton(dir, name))
		return true;
	for (size_t i = 0; leftovers[i]; i++)
		if (strcmp(name, leftovers[i]) == 0)
			return true;
	return kt_is_linked_folder(name) && folder_look(dir, name) > 0;
}

static int unknown_visit(void *context, int dir, const char *name)
{
	(void)context;
	return !is_known(dir, name);
}

/* km is what the exercise is for: an executable ELF file, not a script of the same name. */
static bool has_real_km(int root)
{
	struct stat info;
	KT_OWN(kt_close_fd) int fd = kt_fs_open_file(root, "bin/km", &info);
	KT_OWN(kt_free_mem) char *bytes = NULL;
	struct kt_elf elf;
	size_t size = 0;

	return fd >= 0 && (info.st_mode & 0111) && kt_fs_read_fd(fd, KM_BYTES_MAX, &bytes, &size) == 0 &&
	       kt_elf_read(bytes, size, &elf, KT_ERROR_IGNORED) == 0;
}

/* Was the set made and current moved, so that only folders are left to exchange? 1, 0, or -errno. */
static int is_half_done(const struct kt_store *store, char ret_version[KT_VERSION_MAX])
{
	int r = kt_place_read_pointer(store->dir, KT_STORE_CURRENT, ret_version);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return strncmp(ret_version, LEGACY, strlen(LEGACY)) == 0 ? kt_set_exists(store, ret_version) : 0;
}

int kt_store_is_adoptable(const struct kt_store *store, enum kt_claim claim)
{
	char version[KT_VERSION_MAX];
	int r = claim == KT_CLAIM_OURS ? is_half_done(store, version) : 0;

	if (r != 0)
		return r;
	if (claim == KT_CLAIM_OURS && kt_place_read_pointer(store->dir, KT_STORE_CURRENT, version) != -ENOENT)
		return 0; /* a folder put into a root that was ours already */
	return (claim == KT_CLAIM_OURS || kt_each_entry(store->dir, ".", unknown_visit, NULL) == 0) &&
	       has_real_km(store->dir);
}

struct wanted {
	bool takes_digests;
	kt_store_left_out *left_out; /* may be NULL */
	void *context;
	const char *folder;
};

/* A link that leads out is reported, and no part of the version. */
static void link_left_out(void *context, const char *path, const char *how)
{
	const struct wanted *wanted = context;
	char place[KT_MANIFEST_PATH_MAX + 16], shown[KT_SHOWN_MAX];

	(void)snprintf(place, sizeof(place), "%s/%s", wanted->folder, path);
	if (wanted->left_out)
		wanted->left_out(wanted->context, kt_path_show(place, shown), how);
}

/* Every real folder as a component whose version is its digest. */
static int gather_components(const struct kt_store *store, const struct wanted *wanted, struct kt_manifest *manifest,
			     struct kt_error *err)
{
	for (size_t i = 0; i < KT_COMPONENT_LINKED; i++) {
		const char *name = kt_component_names[i], *folder = kt_component_folder(name);
		KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
		KT_OWN(kt_close_fd) int dir = -1;
		struct wanted mine = *wanted;
		struct kt_component *component;
		int r = folder_look(store->dir, folder);

		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot look at %s/%s", store->root, folder);
		if (r == 0)
			continue;
		mine.folder = folder;
		dir = kt_fs_open_beneath(store->dir, folder, O_RDONLY | O_DIRECTORY, 0);
		r = dir < 0 ? kt_fail_errno(err, -dir, KT_REASON_IO_ERROR, "cannot read %s/%s", store->root, folder) :
			      kt_tree_scan(dir, name, wanted->takes_digests, link_left_out, &mine, &list, err);
		if (r < 0)
			return r;
		component = kt_manifest_add(manifest, name, &list);
		(void)snprintf(component->version, sizeof(component->version), LEGACY "%.12s", component->digest);
	}
	return 0;
}

/* The folders described as a bundle that lies in the root itself. What it says is read by the parser that every bundle
 * goes through: it refuses names and links that no bundle may have. */
static int describe(const struct kt_store *store, const struct wanted *wanted, struct kt_bundle *ret_bundle,
		    struct kt_error *err)
{
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.arch = "x86_64"};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char hex[KT_DIGEST_HEX];
	int r = gather_components(store, wanted, &manifest, err);

	if (r < 0)
		return r;
	if (!digest)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	for (size_t i = 0; i < manifest.component_count; i++)
		kt_digest_add(digest, manifest.components[i].digest, KT_DIGEST_HEX - 1);
	kt_digest_take(digest, hex);
	(void)snprintf(manifest.version, sizeof(manifest.version), LEGACY "%.12s", hex);
	ret_bundle->manifest_bytes = kt_manifest_print(&manifest);
	if (!ret_bundle->manifest_bytes)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	ret_bundle->manifest_size = strlen(ret_bundle->manifest_bytes);
	ret_bundle->dir = kt_fs_open_beneath(store->dir, ".", O_RDONLY | O_DIRECTORY, 0);
	(void)snprintf(ret_bundle->path, sizeof(ret_bundle->path), "%s", store->path);
	r = kt_manifest_check_lists(&manifest, err);
	if (r < 0)
		return r;
	ret_bundle->manifest = manifest; /* lists and all */
	manifest = (struct kt_manifest){.component_count = 0};
	return 0;
}

/* Before anything is written or read whole: a landing would refuse it after the copy. */
static int contract_look(const struct kt_store *store, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	const struct kt_manifest *manifest = &bundle.manifest;
	const struct wanted names = {.takes_digests = false};
	int fds[KT_COMPONENT_MAX] = {-1, -1, -1, -1, -1, -1, -1}, r = describe(store, &names, &bundle, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < manifest->component_count; i++)
		fds[i] = kt_fs_open_beneath(bundle.dir, kt_component_folder(manifest->components[i].name),
					    O_RDONLY | O_DIRECTORY, 0);
	r = kt_elf_check(manifest, fds, false, NULL, NULL, err);
	for (size_t i = 0; i < manifest->component_count; i++)
		kt_close_fd(&fds[i]);
	return r;
}

/* The folder's name never goes away: it is the folder, then the link. */
static int folder_exchange(const struct kt_store *store, const char *folder, struct kt_error *err)
{
	char target[KT_PLACE_MAX];

	(void)snprintf(target, sizeof(target), KT_STORE_CURRENT "/%s", folder);
	return kt_store_exchange_link(store, folder, target, err);
}

/* Can each folder be exchanged here? Known before anything is written. */
static int exchange_look(const struct kt_store *store, struct kt_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);

		r = folder_look(store->dir, folder);
		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot look at %s/%s", store->root, folder);
		r = r > 0 ? kt_store_can_exchange(store, folder, err) : 0;
	}
	return r;
}

static int folders_exchange(struct kt_store *store, const char *version, struct kt_error *err)
{
	for (size_t i = 0; i < KT_COMPONENT_LINKED; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);
		char place[KT_PLACE_MAX];
		struct stat info;
		int r = folder_look(store->dir, folder);

		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot look at %s/%s", store->root, folder);
		if (r == 0)
			continue;
		(void)snprintf(place, sizeof(place), KT_STORE_SETS "/%s/%s", version, folder);
		if (fstatat(store->dir, place, &info, AT_SYMLINK_NOFOLLOW) < 0) /* it came after the set was made */
			return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION,
				       "%s/%s exists and is not part of version %s", store->root, folder, version);
		r = folder_exchange(store, folder, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int stage_folders(struct kt_store *store, struct kt_bundle *bundle, struct kt_error *err)
{
	char current[KT_VERSION_MAX], foreign[256];
	enum kt_claim claim = KT_CLAIM_FOREIGN;
	int r = kt_store_mark(store, err);

	/* The mark comes before the lock, so another may have made it, and swept ours away half made. */
	if (r == -ENOENT && kt_store_claim(store, &claim, foreign) == 0 && claim == KT_CLAIM_OURS)
		r = 0;
	if (r == 0)
		r = kt_store_lock(store, 0, err);
	if (r == 0 && kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) != -ENOENT)
		r = kt_fail(err, EAGAIN, KT_REASON_LOCKED, "another installer was faster");
	if (r == 0)
		r = kt_store_stage(store, bundle, NULL, NULL, NULL, err);
	/* the bundle is what lies in the root itself, so the disk is the store's */
	if (r < 0 && err->reason == KT_REASON_BUNDLE_UNREADABLE)
		err->reason = KT_REASON_IO_ERROR;
	return r;
}

/* What there is to adopt, and that a landing would take it. Another that adopts it meanwhile moves the folders away as
 * we read: then what we found tells nothing. */
static int look(const struct kt_store *store, kt_store_left_out *left_out, void *context, struct kt_bundle *bundle,
		struct kt_error *err)
{
	const struct wanted all = {.takes_digests = true, .left_out = left_out, .context = context};
	char current[KT_VERSION_MAX];
	int r = contract_look(store, err);

	if (r == 0)
		r = exchange_look(store, err);
	if (r == 0)
		r = describe(store, &all, bundle, err);
	if (r < 0 && kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) == 0)
		r = kt_fail(err, EAGAIN, KT_REASON_LOCKED, "another installer was faster");
	return r;
}

int kt_store_adopt(struct kt_store *store, kt_store_left_out *left_out, void *context, char ret_version[KT_VERSION_MAX],
		   struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	struct kt_error mine = {.code = 0};
	char version[KT_VERSION_MAX];
	int r = is_half_done(store, version);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read what is current in %s", store->root);
	if (r > 0) {
		r = kt_store_lock(store, 0, &mine);
		if (r == 0 && is_half_done(store, version) != 1)
			r = kt_fail(&mine, EAGAIN, KT_REASON_LOCKED, "another installer was faster");
	} else {
		r = look(store, left_out, context, &bundle, &mine);
		/* what makes a bundle of these folders invalid will not pass: it lies in them */
		if (r < 0 && (mine.reason == KT_REASON_BUNDLE_INVALID || !kt_reason_get(mine.reason)->transient))
			return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION,
				       "what is in %s cannot be adopted: %.300s", store->root, mine.text);
		(void)snprintf(version, sizeof(version), "%s", bundle.manifest.version);
		if (r == 0)
			r = stage_folders(store, &bundle, &mine);
		if (r == 0)
			r = kt_store_restore(store, version, "", &mine);
	}
	if (r == 0) /* first those of components that are not there: with the last exchange all is in its place */
		r = kt_store_make_links(store, true, &mine);
	if (r == 0)
		r = folders_exchange(store, version, &mine);
	if (r == 0)
		r = kt_store_sweep(store, &mine);
	if (r < 0)
		return kt_fail(err, mine.code, mine.reason, "cannot adopt what is in %s: %.400s", store->root,
			       mine.text);
	(void)snprintf(ret_version, KT_VERSION_MAX, "%s", version);
	return 0;
}
