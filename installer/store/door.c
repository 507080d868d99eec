/* Each step is one rename between synced states and can be run again from whatever a crash left: what lies under a
 * .kept-* is not there for anybody, whether it is old, whole and used, or half removed.
 *
 * The look comes after the rename. Before it somebody could begin to use the thing between the look and the rename; now
 * who has it then is seen, and who comes later does not find it. */
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inuse.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "set.h"

/* Two folders to try renames on: `taken` holds something, so that nothing can be renamed to it. */
#define PROBE           KT_STORE_PARTIAL "probe"
#define PROBE_TAKEN     PROBE "/taken"
#define PROBE_FREE      PROBE "/free"
#define KEPT_NUMBER_MAX 99999

bool kt_store_is_kept(const char *name)
{
	return strncmp(name, KT_STORE_KEPT, strlen(KT_STORE_KEPT)) == 0;
}

/* The first name that is free: ".kept-1-versions-km-0.10.3". */
static int name_find(const struct kt_store *store, const char *path, char ret_name[KT_PLACE_MAX])
{
	struct stat info;

	for (unsigned n = 1; n <= KEPT_NUMBER_MAX; n++) {
		(void)snprintf(ret_name, KT_PLACE_MAX, KT_STORE_KEPT "%u-%.*s", n, KT_PLACE_MAX / 2 + 20, path);
		for (char *c = ret_name; *c; c++)
			if (*c == '/')
				*c = '-';
		if (fstatat(store->dir, ret_name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT ? 0 : kt_negative_errno();
	}
	return -EMFILE;
}

/* Both directories that a rename between root and `parent` touches. */
static int rename_sync(const struct kt_store *store, int parent)
{
	if (fsync(parent) < 0 || fsync(store->dir) < 0)
		return kt_negative_errno();
	return 0;
}

/* ---- out of its place ---- */

static int refuse_used(const struct kt_store *store, const char *path, struct kt_error *err)
{
	KT_OWN(kt_users_done) struct kt_users users = {.list = NULL};
	const struct kt_user *user;
	char text[256];
	int r = kt_store_find_users(store, &users, err);

	if (r < 0)
		return r;
	user = kt_users_find(&users, path);
	if (!user)
		return 0;
	kt_user_print(user, text, sizeof(text));
	return kt_fail(err, EBUSY, KT_REASON_IN_USE, "%s/%s cannot be moved aside on %s and %s", store->root, path,
		       store->filesystem, text);
}

/* What makes a set or a component be there goes first: a crash leaves something that is not there. */
static int remove_in_place(const struct kt_store *store, int parent, const char *name, const char *path, bool is_forced,
			   struct kt_error *err)
{
	static const char *const marks[] = {KT_MANIFEST_NAME, KT_FILELIST_NAME};
	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(parent, name, O_RDONLY | O_DIRECTORY, 0);
	int r = is_forced ? 0 : refuse_used(store, path, err);

	if (r < 0)
		return r;
	for (size_t i = 0; dir >= 0 && i < sizeof(marks) / sizeof(marks[0]); i++)
		if (unlinkat(dir, marks[i], 0) < 0 && errno != ENOENT)
			return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot remove %s/%s/%s", store->root,
					     path, marks[i]);
	if (dir >= 0 && fsync(dir) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot sync %s/%s", store->root, path);
	r = kt_fs_remove_tree(parent, name, err);
	if (r == 0 && fsync(parent) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot sync the folder of %s/%s", store->root,
				     path);
	return r;
}

int kt_store_retire(const struct kt_store *store, const char *path, bool is_forced, struct kt_error *err)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(store->dir, path, &name);
	char kept[KT_PLACE_MAX];
	int r = parent < 0 ? parent : name_find(store, path, kept);

	if (r == 0)
		r = kt_fs_rename_new(parent, name, store->dir, kept);
	if (r == -ENOENT)
		return 0;
	if (r == -EXDEV && parent >= 0)
		return remove_in_place(store, parent, name, path, is_forced, err);
	if (r == 0)
		r = rename_sync(store, parent);
	if (r == -EBUSY)
		return kt_fail(err, EBUSY, KT_REASON_IN_USE, "cannot remove %s/%s: something is mounted there",
			       store->root, path);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot remove %s/%s", store->root, path) : 0;
}

/* ---- can it be exchanged? ---- */

struct served {
	const char *place;
	bool is_it;
};

static int served_visit(void *context, const char *component, const char *version)
{
	struct served *served = context;
	char place[KT_PLACE_MAX];

	kt_place_version(component, version, place);
	served->is_it = strcmp(place, served->place) == 0;
	return served->is_it;
}

/* Is this place what payloads get now? 1, 0, or -errno. */
static int is_served(const struct kt_store *store, const char *place)
{
	struct served served = {.place = place};
	char current[KT_VERSION_MAX], set[KT_PLACE_MAX];
	int r = kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	kt_place_set(current, set);
	if (strcmp(set, place) == 0)
		return 1;
	r = kt_set_each_link(store, current, served_visit, &served);
	return r < 0 && r != -ENOENT ? r : served.is_it;
}

/* 0 when this filesystem exchanges names, and could move what lies at `name`; else why not. */
static int exchange_probe(const struct kt_store *store, int parent, const char *name)
{
	int r = kt_fs_remove_tree(store->dir, PROBE, KT_ERROR_IGNORED);

	if (r == 0)
		r = kt_fs_make_dirs(store->dir, PROBE_FREE);
	if (r == 0)
		r = kt_fs_make_dirs(store->dir, PROBE_TAKEN "/full");

	KT_OWN(kt_close_fd) int probe = r < 0 ? r : kt_fs_open_beneath(store->dir, PROBE, O_RDONLY | O_DIRECTORY, 0);

	if (probe >= 0) /* with flags that are refused another way, EPERM most likely, it is not to be had either */
		r = kt_fs_exchange(probe, "taken", probe, "free") < 0 ? -EOPNOTSUPP :
									kt_fs_can_move(parent, name, probe, "free");
	(void)kt_fs_remove_tree(store->dir, PROBE, KT_ERROR_IGNORED); /* what stays is swept by the next start */
	return probe < 0 ? probe : r;
}

static int exchange_fail(const struct kt_store *store, const char *place, int code, struct kt_error *err)
{
	if (code == EBUSY)
		return kt_fail(err, EBUSY, KT_REASON_IN_USE, "%s/%s cannot be moved: it is a mount point", store->root,
			       place);
	if (code == EOPNOTSUPP)
		return kt_fail(
			err, code, KT_REASON_STORE_UNSUPPORTED,
			"%s/%s serves now and cannot be replaced: this filesystem (%s), or a filter, does not exchange "
			"two names in one step (RENAME_EXCHANGE)",
			store->root, place, store->filesystem);
	if (code == EXDEV)
		return kt_fail(err, code, KT_REASON_STORE_UNSUPPORTED,
			       "%s/%s serves now and cannot be replaced: this filesystem (%s) does not rename it, as "
			       "an overlay "
			       "does not rename a directory of its lower layer",
			       store->root, place, store->filesystem);
	return kt_fail_errno(err, code, KT_REASON_IO_ERROR, "cannot exchange %s/%s", store->root, place);
}

int kt_store_can_exchange(const struct kt_store *store, const char *name, struct kt_error *err)
{
	int r = exchange_probe(store, store->dir, name);

	return r < 0 ? exchange_fail(store, name, -r, err) : 0;
}

int kt_store_can_publish(const struct kt_store *store, const char *place, struct kt_error *err)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(store->dir, place, &name);
	struct stat info;
	int r = parent < 0                                            ? parent :
		fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0 ? kt_negative_errno() :
									is_served(store, place);

	if (r == -ENOENT) /* nothing lies there: a new name is all that it takes */
		return 0;
	if (r > 0)
		r = exchange_probe(store, parent, name);
	return r < 0 ? exchange_fail(store, place, -r, err) : 0;
}

/* ---- in the place of another ---- */

/* Two steps, between which nothing is there: only for what nobody is served. */
static int replace_in_two_steps(const struct kt_store *store, const char *partial, const char *place, int parent,
				const char *name, int code, struct kt_error *err)
{
	int r = is_served(store, place);

	if (r > 0)
		return exchange_fail(store, place, code, err);
	if (r == 0)
		r = kt_store_retire(store, place, false, err);
	else
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read what is current in %s", store->root);
	if (r == 0) {
		r = kt_fs_rename_new(store->dir, partial, parent, name);
		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot move %s into its place in %s", place,
					     store->root);
	}
	return r;
}

/* The new one first gets the name under which the old one is to be kept: so there is no moment in which the old one
 * has a name that the next start may sweep. */
static int replace(const struct kt_store *store, const char *partial, const char *place, int parent, const char *name,
		   struct kt_error *err)
{
	char kept[KT_PLACE_MAX];
	int r = name_find(store, place, kept), exchanged;

	if (r == 0)
		r = kt_fs_rename_new(store->dir, partial, store->dir, kept);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot move %s/%s", store->root, partial);
	exchanged = kt_fs_exchange(store->dir, kept, parent, name);
	if (exchanged == -EOPNOTSUPP || exchanged == -EXDEV)
		return replace_in_two_steps(store, kept, place, parent, name, -exchanged, err);
	return exchanged < 0 ? exchange_fail(store, place, -exchanged, err) : 0;
}

int kt_store_publish(const struct kt_store *store, const char *partial, const char *place, struct kt_error *err)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(store->dir, place, &name);
	bool is_replaced;
	int r = parent < 0 ? parent : kt_fs_rename_new(store->dir, partial, parent, name);

	is_replaced = r == -EEXIST;
	if (is_replaced) { /* damaged: it is never edited, it is replaced as a whole */
		r = replace(store, partial, place, parent, name, err);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = rename_sync(store, parent);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot move %s into its place in %s", place,
				     store->root);
	return is_replaced;
}

int kt_store_exchange_link(const struct kt_store *store, const char *name, const char *target, struct kt_error *err)
{
	char kept[KT_PLACE_MAX];
	int r = name_find(store, name, kept);

	if (r == 0 && symlinkat(target, store->dir, kept) < 0)
		r = kt_negative_errno();
	if (r == 0) {
		r = kt_fs_exchange(store->dir, kept, store->dir, name);
		if (r < 0)
			(void)unlinkat(store->dir, kept, 0);
	}
	if (r == 0 && fsync(store->dir) < 0)
		r = kt_negative_errno();
	return r < 0 ? exchange_fail(store, name, -r, err) : 0;
}

/* ---- out of the store ---- */

enum look {
	LOOK_REMOVES, /* what nobody uses */
	LOOK_ASKS,    /* who uses it, or what keeps it from being removed */
	LOOK_LISTS,
};

struct clearing {
	const struct kt_users *users; /* NULL: nobody counts */
	enum look look;
	struct kt_state_kept *kept;
};

/* What in a tree cannot be removed by anybody, as the filesystem marks it. */
struct obstacle {
	char path[256];        /* with the tree's own name before it */
	const char *attribute; /* NULL: none has one */
};

static int obstacle_visit(void *context, int dir, const char *name)
{
	struct obstacle *obstacle = context;
	size_t length = strlen(obstacle->path);
	struct statx info;

	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &info) < 0)
		return 0;
	(void)snprintf(obstacle->path + length, sizeof(obstacle->path) - length, "%s%s", length ? "/" : "", name);
	if (info.stx_attributes & STATX_ATTR_IMMUTABLE)
		obstacle->attribute = "immutable";
	else if (info.stx_attributes & STATX_ATTR_APPEND)
		obstacle->attribute = "append-only";
	else if (S_ISDIR(info.stx_mode) && !(info.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		(void)kt_each_entry(dir, name, obstacle_visit, obstacle);
	if (obstacle->attribute)
		return 1;
	obstacle->path[length] = '\0';
	return 0;
}

/* code: what its removal failed of; 0 when that was not tried, and then only what is found is told. */
static void obstacle_print(int dir, const char *name, int code, char *ret_text, size_t size)
{
	struct obstacle obstacle = {.path = ""};
	const char *cause = code == EXDEV || code == EBUSY ? "something is mounted there" :
			    code                           ? strerror(code) :
							     strerror(EPERM);

	(void)obstacle_visit(&obstacle, dir, name);
	if (obstacle.attribute) {
		bool is_inside = strlen(obstacle.path) > strlen(name);

		(void)snprintf(ret_text, size, KT_KEPT_OBSTACLE "%s (%.60s is %s)", cause,
			       is_inside ? obstacle.path + strlen(name) + 1 : "it", obstacle.attribute);
	} else if (code)
		(void)snprintf(ret_text, size, KT_KEPT_OBSTACLE "%s", cause);
}

/* user NULL: nobody, and code is what its removal failed of. */
static void kept_add(const struct clearing *clearing, int dir, const char *name, const struct kt_user *user, int code)
{
	struct kt_state_kept *kept = clearing->kept;
	struct kt_state_kept_tree *tree = kept->count < KT_STATE_KEPT_MAX ? &kept->list[kept->count] : NULL;

	kept->count++;
	if (!tree)
		return;
	(void)snprintf(tree->name, sizeof(tree->name), "%s", name);
	if (user)
		kt_user_print(user, tree->user, sizeof(tree->user));
	else if (clearing->look != LOOK_LISTS)
		obstacle_print(dir, name, code, tree->user, sizeof(tree->user));
}

/* A tree that cannot be removed stays, and keeps no other, and no landing, from going on. */
static int clear_visit(void *context, int dir, const char *name)
{
	const struct clearing *clearing = context;
	struct kt_error failure = {.code = 0};
	const struct kt_user *user;

	/* ours are shorter: another's is not known by place, so whether it is used is not known */
	if (!kt_store_is_kept(name) || strlen(name) >= KT_PLACE_MAX)
		return 0;
	user = kt_users_find(clearing->users, name);
	if (user || clearing->look != LOOK_REMOVES || kt_fs_remove_tree(dir, name, &failure) < 0)
		kept_add(clearing, dir, name, user, failure.code);
	return 0;
}

static int any_visit(void *context, int dir, const char *name)
{
	(void)context;
	(void)dir;
	return kt_store_is_kept(name);
}

/* users NULL: nobody counts. */
static int each_kept(const struct kt_store *store, const struct kt_users *users, enum look look,
		     struct kt_state_kept *ret_kept, struct kt_error *err)
{
	struct kt_state_kept kept = {.count = 0};
	struct clearing clearing = {users, look, &kept};
	int r = kt_each_entry(store->dir, ".", clear_visit, &clearing);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	if (ret_kept)
		*ret_kept = kept;
	return 0;
}

/* Nobody is asked where nothing is kept. */
static int find_if_any(const struct kt_store *store, struct kt_users *ret_users, struct kt_error *err)
{
	int r = kt_each_entry(store->dir, ".", any_visit, NULL);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	return r > 0 ? kt_store_find_kept_users(store, ret_users, err) : 0;
}

int kt_store_clear_unused(const struct kt_store *store, const struct kt_users *users, struct kt_state_kept *ret_kept,
			  struct kt_error *err)
{
	return each_kept(store, users, LOOK_REMOVES, ret_kept, err);
}

int kt_store_clear(const struct kt_store *store, struct kt_state_kept *ret_kept, struct kt_error *err)
{
	KT_OWN(kt_users_done) struct kt_users users = {.list = NULL};
	int r = find_if_any(store, &users, err);

	return r < 0 ? r : each_kept(store, &users, LOOK_REMOVES, ret_kept, err);
}

int kt_store_clear_kept(struct kt_store *store, struct kt_state_kept *ret_kept, struct kt_error *err)
{
	if (store->lock < 0)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%s is not locked", store->root);
	return kt_store_clear(store, ret_kept, err);
}

struct sweep {
	const struct kt_store *store;
	struct kt_error *err;
};

static int sweep_visit(void *context, int dir, const char *name)
{
	struct sweep *sweep = context;
	char kept[KT_PLACE_MAX];
	int r = 0;

	if (strncmp(name, KT_STORE_PARTIAL, strlen(KT_STORE_PARTIAL)) != 0)
		return 0;
	if (kt_fs_remove_tree(dir, name, sweep->err) == 0)
		return 0;
	/* its name is to be free for the next that is written: what stays of it is kept aside, like a tree */
	r = name_find(sweep->store, name + 1, kept);
	if (r == 0)
		r = kt_fs_rename_new(dir, name, dir, kept);
	return r < 0 ? -sweep->err->code : 0;
}

int kt_store_sweep(const struct kt_store *store, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct sweep sweep = {store, &mine};
	int r = kt_each_entry(store->dir, ".", sweep_visit, &sweep);

	if (r < 0 && mine.code == 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	if (r < 0)
		return kt_fail(err, mine.code, mine.reason, "%s: %s", store->root, mine.text);
	(void)unlinkat(store->dir, KT_STORE_OLD_LOCK, 0);
	r = kt_store_clear(store, NULL, &mine);
	if (r < 0 && mine.reason != KT_REASON_PROC_MISSING) /* while nobody can be asked all of it stays */
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	return 0;
}

int kt_store_list_kept(const struct kt_store *store, bool asks, struct kt_state_kept *ret_kept, struct kt_error *err)
{
	KT_OWN(kt_users_done) struct kt_users users = {.list = NULL};
	int r = asks ? find_if_any(store, &users, err) : 0;

	return r < 0 ? r : each_kept(store, &users, asks ? LOOK_ASKS : LOOK_LISTS, ret_kept, err);
}
