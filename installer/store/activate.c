/* The one step that a node's payloads see: `current` moves.
 *
 *   bin runtime alpine-lib lib shim -> current/<same>   made once, never moved
 *   previous -> what current named                       moved first, synced
 *   current -> sets/<version>                            moved last, synced
 * A crash between the two leaves current as it was, and previous naming the same set: old, whole. Run again, it ends
 * where it would have. All links are relative, so they hold inside any mount of the root. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "door.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "set.h"

static int root_sync(const struct kt_store *store, struct kt_error *err)
{
	if (fsync(store->dir) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot sync %s", store->root);
	return 0;
}

/* One of the five. A skeleton in its place is what a runtime made for a pod's hostPath before anything was landed. */
static int folder_link(const struct kt_store *store, const char *folder, struct kt_error *err)
{
	enum kt_entry entry;
	char wanted[KT_PLACE_MAX];
	int r = kt_root_entry(store, folder, &entry);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/%s", store->root, folder);
	if (entry == KT_ENTRY_OURS)
		return 0;
	if (entry == KT_ENTRY_FOREIGN)
		return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION, "%s/%s is there and was not made by us",
			       store->root, folder);
	if (entry == KT_ENTRY_SKELETON) {
		r = kt_store_retire(store, folder, false, err);
		if (r < 0)
			return r;
		/* what a pod has mounted stays, until a later start finds it free */
		(void)kt_store_clear(store, NULL, KT_ERROR_IGNORED);
	}
	(void)snprintf(wanted, sizeof(wanted), KT_STORE_CURRENT "/%s", folder);
	return kt_fs_replace_link(store->dir, folder, wanted, err);
}

int kt_store_make_links(const struct kt_store *store, bool keeps_folders, struct kt_error *err)
{
	for (size_t i = 0; i < KT_COMPONENT_LINKED; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);
		struct stat info;

		if (keeps_folders && fstatat(store->dir, folder, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISDIR(info.st_mode) && !kt_is_skeleton(store->dir, folder))
			continue;

		int r = folder_link(store, folder, err);

		if (r < 0)
			return r;
	}
	return root_sync(store, err);
}

/* A folder where a pointer belongs: a container runtime makes one for a pod's hostPath, and then there is nothing in
 * it. */
static int pointer_clear(const struct kt_store *store, const char *name, struct kt_error *err)
{
	struct stat info;

	if (fstatat(store->dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(info.st_mode))
		return 0;
	if (kt_skeleton_remove(store->dir, name) < 0)
		return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION, "%s/%s is there and was not made by us",
			       store->root, name);
	return 0;
}

/* Makes a pointer name a set, or nothing at all for "". Synced. */
static int pointer_move(const struct kt_store *store, const char *name, const char *version, struct kt_error *err)
{
	char target[KT_PLACE_MAX];

	if (pointer_clear(store, name, err) < 0)
		return -err->code;
	if (!*version) {
		if (unlinkat(store->dir, name, 0) < 0 && errno != ENOENT)
			return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot remove %s/%s", store->root, name);
		return root_sync(store, err);
	}
	kt_place_set(version, target);

	int r = kt_fs_replace_link(store->dir, name, target, err);

	return r < 0 ? r : root_sync(store, err);
}

/* 1 when the set is there, 0 when it is not, else why that is not known. */
static int set_find(const struct kt_store *store, const char *version, struct kt_error *err)
{
	int r = kt_set_exists(store, version);

	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read version %.80s in %s", version,
				     store->root) :
		       r;
}

static int set_require(const struct kt_store *store, const char *version, struct kt_error *err)
{
	int r;

	if (store->lock < 0)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%s is not locked", store->root);
	r = *version ? set_find(store, version, err) : 1;
	if (r == 0)
		return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "version %.80s is not landed in %s", version,
			       store->root);
	return r < 0 ? r : 0;
}

/* What a pointer names; "" for nothing. */
static int pointer_read(const struct kt_store *store, const char *name, char ret_version[KT_VERSION_MAX],
			struct kt_error *err)
{
	int r = kt_place_read_pointer(store->dir, name, ret_version);

	if (r == 0)
		return 0;
	ret_version[0] = '\0';
	return r == -ENOENT ? 0 : kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/%s", store->root, name);
}

int kt_store_activate(struct kt_store *store, const char *version, struct kt_error *err)
{
	char current[KT_VERSION_MAX];
	int r;

	if (!*version)
		return kt_fail(err, EINVAL, KT_REASON_NO_VERSION, "no version is named");
	r = set_require(store, version, err);
	if (r == 0)
		r = pointer_read(store, KT_STORE_CURRENT, current, err);
	if (r == 0)
		r = kt_store_make_links(store, false, err);
	if (r < 0 || strcmp(current, version) == 0)
		return r;
	r = *current ? set_find(store, current, err) : 0;
	if (r > 0)
		r = pointer_move(store, KT_STORE_PREVIOUS, current, err);
	return r < 0 ? r : pointer_move(store, KT_STORE_CURRENT, version, err);
}

int kt_store_restore(struct kt_store *store, const char *current, const char *previous, struct kt_error *err)
{
	int r = set_require(store, current, err);

	if (r == 0) /* away from what failed first; previous harms nobody meanwhile */
		r = pointer_move(store, KT_STORE_CURRENT, current, err);
	if (r == 0)
		r = set_find(store, previous, err);
	return r < 0 ? r : pointer_move(store, KT_STORE_PREVIOUS, r > 0 ? previous : "", err);
}
