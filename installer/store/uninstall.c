/* Taking everything back. What pods see goes first, so that nobody starts from a tree that is going; the mark that the
 * root is ours goes last, so that a crash anywhere leaves something that a second run still takes for ours. What we did
 * not make stays and is named. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "seen.h"

static int pointer_remove(const struct kt_store *store, const char *name, const char *starts_with, struct kt_error *err)
{
	char target[KT_PLACE_MAX];
	int r = kt_fs_read_link(store->dir, name, target, sizeof(target));

	if (r < 0 && r != -ENOENT && r != -EINVAL && r != -ENAMETOOLONG)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/%s", store->root, name);
	if (r < 0 || strncmp(target, starts_with, strlen(starts_with)) != 0)
		return 0;
	if (unlinkat(store->dir, name, 0) < 0 && errno != ENOENT)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot remove %s/%s", store->root, name);
	return 0;
}

static int links_remove(const struct kt_store *store, struct kt_error *err)
{
	int r = pointer_remove(store, KT_STORE_CURRENT, KT_STORE_SETS "/", err);

	if (r == 0)
		r = pointer_remove(store, KT_STORE_PREVIOUS, KT_STORE_SETS "/", err);
	for (size_t i = 0; r == 0 && i < KT_COMPONENT_LINKED; i++)
		r = pointer_remove(store, kt_component_folder(kt_component_names[i]), KT_STORE_CURRENT "/", err);
	if (r == 0 && fsync(store->dir) < 0)
		r = kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot sync %s", store->root);
	return r;
}

struct removal {
	const struct kt_store *store;
	const char *folder; /* below the root */
	struct kt_error *err;
};

static int version_visit(void *context, int dir, const char *name)
{
	struct removal *removal = context;
	char path[KT_PLACE_MAX];

	(void)dir;
	if (!kt_version_is_valid(name))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/%s", removal->folder, name);
	return kt_store_discard(removal->store, path, removal->err);
}

/* Everything of ours in a folder, then the folder where nothing else is in it. */
static int folder_remove(const struct kt_store *store, const char *folder, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct removal removal = {.store = store, .folder = folder, .err = &mine};
	const char *name = NULL;
	int r = kt_each_entry(store->dir, folder, version_visit, &removal);

	if (r < 0 && mine.code != 0)
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	if (r < 0 && r != -ENOTDIR && r != -ELOOP)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/%s", store->root, folder);

	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(store->dir, folder, &name);

	if (parent >= 0) /* a foreign file keeps it, and is named at the end */
		(void)unlinkat(parent, name, AT_REMOVEDIR);
	return 0;
}

static int versions_remove(const struct kt_store *store, struct kt_error *err)
{
	int r = folder_remove(store, KT_STORE_SETS, err);

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		char folder[KT_PLACE_MAX];

		(void)snprintf(folder, sizeof(folder), KT_STORE_VERSIONS "/%s", kt_component_names[i]);
		r = folder_remove(store, folder, err);
	}
	if (r < 0)
		return r;
	(void)unlinkat(store->dir, KT_STORE_VERSIONS, AT_REMOVEDIR);
	r = kt_seen_sweep(store);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot remove what was noted of files in %s",
				     store->root) :
		       0;
}

/* Empty folders in our places: a runtime made them for some pod's hostPath. */
static void skeletons_remove(const struct kt_store *store)
{
	static const char *const others[] = {KT_STORE_SETS, KT_STORE_VERSIONS, NULL};

	for (size_t i = 0; i < KT_COMPONENT_LINKED; i++)
		if (kt_is_skeleton(store->dir, kt_component_folder(kt_component_names[i])))
			(void)kt_fs_remove_tree(store->dir, kt_component_folder(kt_component_names[i]), NULL);
	for (size_t i = 0; others[i]; i++)
		if (kt_is_skeleton(store->dir, others[i]))
			(void)kt_fs_remove_tree(store->dir, others[i], NULL);
}

static int first_visit(void *context, int dir, const char *name)
{
	(void)dir;
	if (strcmp(name, KT_STORE_OWNER) == 0 || strcmp(name, KT_STORE_LOCK) == 0 || strcmp(name, "lost+found") == 0)
		return 0;
	(void)snprintf(context, 256, "%s", name);
	return 1;
}

/* The root itself, when it is empty. A mount point stays: it is not ours to unmount. */
static int root_remove(const struct kt_store *store, struct kt_error *err)
{
	size_t prefix = strlen(store->path) - strlen(store->root);
	char host[sizeof(store->path)];
	const char *name = NULL;

	(void)snprintf(host, sizeof(host), "%.*s/", (int)prefix, store->path);

	KT_OWN(kt_close_fd) int base = open(host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_OWN(kt_close_fd) int parent = base < 0 ? -errno : kt_fs_open_parent(base, store->root + 1, &name);

	if (parent < 0)
		return kt_fail_errno(err, -parent, KT_REASON_IO_ERROR, "cannot open the folder above %s", store->root);
	if (unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT && errno != EBUSY && errno != ENOTEMPTY)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot remove %s", store->root);
	if (fsync(parent) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot sync the folder above %s", store->root);
	return 0;
}

int kt_store_uninstall(struct kt_store *store, struct kt_error *err)
{
	enum kt_claim claim;
	char foreign[256] = "";
	int r = kt_store_claim(store, &claim, foreign);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	if (store->lock < 0 || claim == KT_CLAIM_FOREIGN)
		return kt_fail(err, EPERM, KT_REASON_FOREIGN_INSTALLATION,
			       "%s was not made by kontain-installer (%s is there): nothing was removed", store->root,
			       foreign);
	r = links_remove(store, err);
	if (r == 0)
		r = versions_remove(store, err);
	if (r == 0)
		r = kt_store_sweep(store, err);
	if (r == 0)
		r = kt_store_forget_failures(store) < 0 ?
			    kt_fail(err, EIO, KT_REASON_IO_ERROR, "cannot remove the notes of failures in %s", store->root) :
			    0;
	if (r == 0)
		r = kt_store_release(store, NULL, err);
	if (r < 0)
		return r;
	(void)unlinkat(store->dir, KT_STORE_PINNED, 0); /* one that stays is named below */
	skeletons_remove(store);
	r = kt_each_entry(store->dir, ".", first_visit, foreign);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	if (fsync(store->dir) < 0 || (unlinkat(store->dir, KT_STORE_OWNER, 0) < 0 && errno != ENOENT) ||
	    (unlinkat(store->dir, KT_STORE_LOCK, 0) < 0 && errno != ENOENT) || fsync(store->dir) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot remove our marks from %s", store->root);
	if (r > 0)
		return kt_fail(err, ENOTEMPTY, KT_REASON_FOREIGN_INSTALLATION,
			       "%s/%s was not made by kontain-installer and was kept; all else is removed", store->root,
			       foreign);
	return root_remove(store, err);
}
