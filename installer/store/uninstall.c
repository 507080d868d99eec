/* Taking everything back. What pods see goes first, so that nobody starts from a tree that is going; the mark that the
 * root is ours goes last, so that a crash anywhere leaves something that a second run still takes for ours. What we did
 * not make stays and is named. A folder that somebody has mounted stays, empty: whoever mounted it sees what is
 * installed in it next, which he never would in another of the same name. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "door.h"
#include "inuse.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
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

/* What cannot be removed keeps nothing else from going; the first of it is told at the end. */
struct removal {
	const struct kt_store *store;
	const char *folder; /* below the root */
	bool is_forced;
	struct kt_error *rest; /* borrowed */
};

static void rest_keep(struct kt_error *rest, const struct kt_error *failure)
{
	if (rest->code == 0)
		*rest = *failure;
}

static int version_visit(void *context, int dir, const char *name)
{
	struct removal *removal = context;
	struct kt_error failure = {.code = 0};
	char path[KT_PLACE_MAX];

	(void)dir;
	if (!kt_version_is_valid(name))
		return 0;
	(void)snprintf(path, sizeof(path), "%s/%s", removal->folder, name);
	if (kt_store_retire(removal->store, path, removal->is_forced, &failure) < 0)
		rest_keep(removal->rest, &failure);
	return 0;
}

/* Everything of ours in a folder. */
static int folder_empty(struct removal *removal, const char *folder, struct kt_error *err)
{
	int r;

	removal->folder = folder;
	r = kt_each_entry(removal->store->dir, folder, version_visit, removal);
	if (r < 0 && r != -ENOTDIR && r != -ELOOP)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/%s", removal->store->root, folder);
	return 0;
}

static int versions_remove(struct removal *removal, struct kt_error *err)
{
	int r = folder_empty(removal, KT_STORE_SETS, err);
	bool are_sets_gone = removal->rest->code == 0; /* what one that stays names stays, too */

	for (size_t i = 0; r == 0 && are_sets_gone && kt_component_names[i]; i++) {
		char folder[KT_PLACE_MAX];

		(void)snprintf(folder, sizeof(folder), KT_STORE_VERSIONS "/%s", kt_component_names[i]);
		r = folder_empty(removal, folder, err);
	}
	if (r < 0)
		return r;
	r = kt_seen_sweep(removal->store);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot remove what was noted of files in %s",
				     removal->store->root) :
		       0;
}

/* Empty folders in our places: a runtime made them for some pod's hostPath. */
static void skeletons_remove(struct removal *removal)
{
	const struct kt_store *store = removal->store;

	for (size_t i = 0; i < KT_COMPONENT_LINKED; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);
		struct kt_error failure = {.code = 0};

		if (kt_is_skeleton(store->dir, folder) &&
		    kt_store_retire(store, folder, removal->is_forced, &failure) < 0)
			rest_keep(removal->rest, &failure);
	}
}

/* What was taken out of its place just now, and before. ret_users: who is there now that nobody finds anything any
 * more; by force it is removed all the same, and where nobody can be asked. */
static int all_clear(const struct removal *removal, struct kt_users *ret_users, struct kt_error *err)
{
	const struct kt_store *store = removal->store;
	struct kt_state_kept kept = {.count = 0};
	struct kt_error failure = {.code = 0};
	int r = kt_store_find_kept_users(store, ret_users, err);
	const char *user = kept.list[0].user;

	if (r == 0 || removal->is_forced)
		r = kt_store_clear_unused(store, removal->is_forced ? NULL : ret_users, &kept, err);
	if (r < 0 || kept.count == 0)
		return r;
	if (strncmp(user, KT_KEPT_OBSTACLE, strlen(KT_KEPT_OBSTACLE)) != 0)
		return kt_fail(err, EBUSY, KT_REASON_IN_USE, "%s/%s is in use: %s", store->root, kept.list[0].name,
			       user);
	(void)kt_fail(&failure, EPERM, KT_REASON_ACCESS_DENIED, "%s/%s %s", store->root, kept.list[0].name, user);
	rest_keep(removal->rest, &failure);
	return 0;
}

/* The folder, or one in it. */
static bool is_mounted(const struct kt_users *users, const char *folder)
{
	size_t length = strlen(folder);

	for (size_t i = 0; i < users->count; i++) {
		const char *place = users->list[i].place;

		if (strncmp(place, folder, length) == 0 && (place[length] == '\0' || place[length] == '/'))
			return true;
	}
	return false;
}

/* One that holds nothing but folders; a foreign file keeps it, and is named at the end. */
static void folder_remove(const struct kt_store *store, const struct kt_users *users, const char *folder)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(store->dir, folder, &name);

	if (parent >= 0 && !is_mounted(users, folder) && kt_is_skeleton(parent, name))
		(void)kt_fs_remove_tree(parent, name, KT_ERROR_IGNORED);
}

static void folders_remove(const struct kt_store *store, const struct kt_users *users)
{
	for (size_t i = 0; kt_component_names[i]; i++) {
		char folder[KT_PLACE_MAX];

		(void)snprintf(folder, sizeof(folder), KT_STORE_VERSIONS "/%s", kt_component_names[i]);
		folder_remove(store, users, folder);
	}
	folder_remove(store, users, KT_STORE_VERSIONS);
	folder_remove(store, users, KT_STORE_SETS);
}

struct remains {
	const struct kt_users *users;
	char first[256]; /* what is neither ours nor mounted by somebody; "" for nothing */
};

static int first_visit(void *context, int dir, const char *name)
{
	struct remains *remains = context;

	if (strcmp(name, KT_STORE_OWNER) == 0 || strcmp(name, KT_STORE_OLD_LOCK) == 0 ||
	    strcmp(name, "lost+found") == 0)
		return 0;
	if ((strcmp(name, KT_STORE_SETS) == 0 || strcmp(name, KT_STORE_VERSIONS) == 0) &&
	    is_mounted(remains->users, name) && kt_is_skeleton(dir, name))
		return 0;
	(void)snprintf(remains->first, sizeof(remains->first), "%s", name);
	return 1;
}

/* The root itself, when it is empty. A mount point stays: it is not ours to unmount. */
static int root_remove(const struct kt_store *store, bool *ret_kept, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int above = openat(store->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code = above < 0 || unlinkat(above, strrchr(store->root, '/') + 1, AT_REMOVEDIR) < 0 ? errno : 0;

	*ret_kept = code == EBUSY || code == ENOTEMPTY;
	if (code != 0 && code != ENOENT && !*ret_kept)
		return kt_fail_errno(err, code, KT_REASON_IO_ERROR, "cannot remove %s", store->root);
	kt_store_unlock_for_good(store, above);
	if (fsync(above) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot sync the folder above %s", store->root);
	return 0;
}

/* The marks go last, and with them the root. */
static int marks_remove(const struct kt_store *store, const struct kt_users *users, bool *ret_root_kept,
			struct kt_error *err)
{
	struct remains remains = {.users = users};
	int r = kt_each_entry(store->dir, ".", first_visit, &remains);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	if (fsync(store->dir) < 0 || (unlinkat(store->dir, KT_STORE_OWNER, 0) < 0 && errno != ENOENT) ||
	    (unlinkat(store->dir, KT_STORE_OLD_LOCK, 0) < 0 && errno != ENOENT) || fsync(store->dir) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot remove our marks from %s", store->root);
	if (r > 0)
		return kt_fail(err, ENOTEMPTY, KT_REASON_FOREIGN_INSTALLATION,
			       "%s/%s was not made by kontain-installer and was kept; all else is removed", store->root,
			       remains.first);
	*ret_root_kept = is_mounted(users, ".");
	return *ret_root_kept ? 0 : root_remove(store, ret_root_kept, err);
}

int kt_store_refuse_used(const struct kt_store *store, struct kt_error *err)
{
	KT_OWN(kt_users_done) struct kt_users users = {.list = NULL};
	int r = kt_store_find_users(store, &users, err);

	return r < 0 ? r : kt_users_refuse(&users, store->root, err);
}

int kt_store_uninstall(struct kt_store *store, bool is_forced, bool *ret_root_kept, struct kt_error *err)
{
	KT_OWN(kt_users_done) struct kt_users users = {.list = NULL};
	struct kt_error rest = {.code = 0};
	struct removal removal = {.store = store, .is_forced = is_forced, .rest = &rest};
	enum kt_claim claim;
	char foreign[256] = "";
	int r = kt_store_claim(store, &claim, foreign);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	if (store->lock < 0 || claim == KT_CLAIM_FOREIGN)
		return kt_fail(err, EPERM, KT_REASON_FOREIGN_INSTALLATION,
			       "%s was not made by kontain-installer (%s is there): nothing was removed", store->root,
			       foreign);
	r = is_forced ? 0 : kt_store_refuse_used(store, err);
	if (r == 0)
		r = links_remove(store, err);
	if (r == 0)
		r = versions_remove(&removal, err);
	if (r == 0)
		skeletons_remove(&removal);
	if (r == 0)
		r = all_clear(&removal, &users, err);
	if (r == 0)
		r = kt_store_sweep(store, err);
	if (r == 0)
		r = kt_store_forget_failures(store) < 0 ?
			    kt_fail(err, EIO, KT_REASON_IO_ERROR, "cannot remove the notes of failures in %s",
				    store->root) :
			    0;
	if (r == 0)
		r = kt_store_release(store, NULL, err);
	if (r == 0)
		r = kt_store_note_activator(store, NULL, err);
	if (r < 0)
		return r;
	(void)unlinkat(store->dir, KT_STORE_PINNED, 0); /* one that stays is named below */
	folders_remove(store, &users);
	if (rest.code) /* the marks stay, so that a second run takes it for ours */
		return kt_fail(err, rest.code, rest.reason, "%s; all else is removed", rest.text);
	return marks_remove(store, &users, ret_root_kept, err);
}
