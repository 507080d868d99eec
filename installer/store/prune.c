/* Taking versions away: a set first, then what no set names any more.
 *
 * A set vanishes by a rename before its content goes (door.c), so it is there whole or not at all; a component goes
 * only when no set that is left names it, read from the links themselves. A component that a crash left without a set
 * is found by the next prune. Where it is not known which version is current, nothing goes. What somebody holds
 * stays where it is (inuse.c says who), and so does a set without which the held component could not be reached
 * again. Nobody is asked before there is something to remove: on most nodes and days there is not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "door.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/store/store.h"
#include "seen.h"
#include "set.h"

/* Who uses the store, asked once, when it first matters. */
struct asked {
	const struct kt_store *store;
	struct kt_users users; /* owned */
	bool is_asked;
};

static void asked_done(struct asked *asked)
{
	kt_users_done(&asked->users);
}

/* 1 when somebody holds this place (*ret_user, borrowed, may be NULL), 0, or -errno. */
static int is_held(struct asked *asked, const char *place, const struct kt_user **ret_user, struct kt_error *err)
{
	const struct kt_user *user;

	if (!asked->is_asked) {
		int r = kt_store_find_users(asked->store, &asked->users, err);

		if (r < 0)
			return r;
		asked->is_asked = true;
	}
	user = kt_users_find(&asked->users, place);
	if (ret_user)
		*ret_user = user;
	return user != NULL;
}

/* "<component>/<version>" of every set, one after the other. */
struct used {
	char (*names)[KT_PLACE_MAX]; /* owned */
	size_t count;
	const struct kt_store *store;
};

static void used_done(struct used *used)
{
	free(used->names);
}

static int used_add(void *context, const char *component, const char *version)
{
	struct used *used = context;
	char(*grown)[KT_PLACE_MAX] = realloc(used->names, (used->count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	used->names = grown;
	kt_place_version(component, version, used->names[used->count++]);
	return 0;
}

/* Every directory in sets/ counts, with or without a manifest: in doubt a component stays. */
static int used_visit(void *context, int dir, const char *set)
{
	struct used *used = context;

	(void)dir;
	if (!kt_version_is_valid(set))
		return 0;

	int r = kt_set_each_link(used->store, set, used_add, used);

	return r == -ENOENT || r == -ENOTDIR || r == -ELOOP ? 0 : r;
}

struct orphans {
	const struct kt_store *store;
	const struct used *used;
	struct asked *asked;
	const struct kt_pins *pins;
	const char *component;
	struct kt_error *err;
};

static int orphan_visit(void *context, int dir, const char *version)
{
	struct orphans *orphans = context;
	char place[KT_PLACE_MAX];
	int r;

	(void)dir;
	if (!kt_version_is_valid(version))
		return 0;
	kt_place_version(orphans->component, version, place);
	for (size_t i = 0; i < orphans->used->count; i++)
		if (strcmp(orphans->used->names[i], place) == 0)
			return 0;
	if (kt_pins_have(orphans->pins, place))
		return 0;
	r = is_held(orphans->asked, place, NULL, orphans->err);
	if (r != 0)
		return r < 0 ? r : 0;
	return kt_store_retire(orphans->store, place, false, orphans->err);
}

static int drop_orphans(struct asked *asked, const struct kt_pins *pins, struct kt_error *err)
{
	const struct kt_store *store = asked->store;
	KT_OWN(used_done) struct used used = {.store = store};
	struct kt_error mine = {.code = 0};
	struct orphans orphans = {.store = store, .used = &used, .asked = asked, .pins = pins, .err = &mine};
	int r = kt_each_entry(store->dir, KT_STORE_SETS, used_visit, &used);

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		char folder[KT_PLACE_MAX];

		orphans.component = kt_component_names[i];
		(void)snprintf(folder, sizeof(folder), KT_STORE_VERSIONS "/%s", orphans.component);
		r = kt_each_entry(store->dir, folder, orphan_visit, &orphans);
	}
	if (r == 0)
		r = kt_seen_sweep(store);
	if (r < 0 && mine.code != 0)
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the versions in %s", store->root) : 0;
}

/* 1, 0, or -errno: a pointer that cannot be read may name anything, so nothing is removed then. */
static int is_pointed_at(const struct kt_store *store, const char *version)
{
	static const char *const pointers[] = {KT_STORE_CURRENT, KT_STORE_PREVIOUS};

	for (size_t i = 0; i < 2; i++) {
		char named[KT_VERSION_MAX];

		int r = kt_place_read_pointer(store->dir, pointers[i], named);

		if (r < 0 && r != -ENOENT)
			return r;
		if (r == 0 && strcmp(named, version) == 0)
			return 1;
	}
	return 0;
}

/* A component that was staged just now, and that no set names, nobody pinned and nobody holds. */
static int drop_component(struct asked *asked, const struct used *used, const struct kt_pins *pins, const char *place,
			  struct kt_error *err)
{
	int r;

	for (size_t i = 0; i < used->count; i++)
		if (strcmp(used->names[i], place) == 0)
			return 0;
	if (kt_pins_have(pins, place))
		return 0;
	r = is_held(asked, place, NULL, err);
	return r == 0 ? kt_store_retire(asked->store, place, false, err) : r < 0 ? r : 0;
}

static int drop_set(struct asked *asked, const struct kt_pins *pins, const char *version, struct kt_error *err)
{
	char place[KT_PLACE_MAX];
	int r;

	kt_place_set(version, place);
	if (kt_pins_have(pins, place))
		return 0;
	r = is_held(asked, place, NULL, err);
	return r == 0 ? kt_store_retire(asked->store, place, false, err) : r < 0 ? r : 0;
}

int kt_store_drop_staged(struct kt_store *store, const char *version, const struct kt_staged *staged,
			 struct kt_error *err)
{
	KT_OWN(asked_done) struct asked asked = {.store = store};
	KT_OWN(used_done) struct used used = {.store = store};
	struct kt_pins pins;
	int r;

	if (store->lock < 0 || !kt_version_is_valid(version))
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "cannot drop version \"%.80s\" of %s", version,
			       store->root);
	r = is_pointed_at(store, version);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read what is current in %s", store->root);
	if (r > 0)
		return kt_fail(err, EBUSY, KT_REASON_IN_USE, "version %s is current or previous in %s", version,
			       store->root);
	r = kt_store_read_pins(store, &pins, err);
	if (r == 0 && staged->has_new_set)
		r = drop_set(&asked, &pins, version, err);
	if (r < 0)
		return r;
	r = kt_each_entry(store->dir, KT_STORE_SETS, used_visit, &used);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the sets in %s", store->root);
	for (size_t i = 0; r == 0 && i < staged->place_count; i++)
		r = drop_component(&asked, &used, &pins, staged->places[i], err);
	if (r == 0 && kt_seen_sweep(store) < 0)
		r = kt_fail(err, EIO, KT_REASON_IO_ERROR, "cannot remove what was noted of files in %s", store->root);
	return r < 0 ? r : kt_store_clear(store, NULL, err);
}

struct keep {
	struct kt_store *store;
	const struct kt_prune *how;
	struct kt_pins pins;
	struct asked asked;
	struct used pointed; /* what current and previous name: it stays whatever becomes of the others */
	unsigned left;
	size_t removed;
	struct kt_error *err;
};

static void keep_done(struct keep *keep)
{
	used_done(&keep->pointed);
	asked_done(&keep->asked);
}

struct holder {
	struct keep *keep;
	const struct kt_user *user;
};

static int holder_visit(void *context, const char *component, const char *version)
{
	struct holder *holder = context;
	char place[KT_PLACE_MAX];

	kt_place_version(component, version, place);
	for (size_t i = 0; i < holder->keep->pointed.count; i++)
		if (strcmp(holder->keep->pointed.names[i], place) == 0)
			return 0;
	return is_held(&holder->keep->asked, place, &holder->user, holder->keep->err);
}

/* Who holds the set itself, or a component of it that neither the current nor the previous set has too: 1, 0,
 * -errno. */
static int find_holder(struct keep *keep, const char *version, const struct kt_user **ret_user)
{
	struct holder holder = {.keep = keep};
	char place[KT_PLACE_MAX];
	int r;

	kt_place_set(version, place);
	r = is_held(&keep->asked, place, &holder.user, keep->err);
	if (r == 0)
		r = kt_set_each_link(keep->store, version, holder_visit, &holder);
	*ret_user = holder.user;
	return r;
}

/* 1 when the set's manifest, written last, is not that old yet. */
static int is_young(const struct keep *keep, const char *version)
{
	char place[KT_PLACE_MAX];
	struct stat info;

	if (keep->how->older_than_s == 0)
		return 0;
	kt_place_manifest(version, place);
	if (fstatat(keep->store->dir, place, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return kt_negative_errno();
	return time(NULL) - info.st_mtim.tv_sec < (time_t)keep->how->older_than_s;
}

/* A fate, or -errno. */
static int decide(struct keep *keep, const char *version, const struct kt_user **ret_user)
{
	char place[KT_PLACE_MAX];
	int r = is_pointed_at(keep->store, version);

	if (r != 0) {
		char current[KT_VERSION_MAX] = "";

		if (r > 0 && kt_place_read_pointer(keep->store->dir, KT_STORE_CURRENT, current) == 0 &&
		    strcmp(current, version) == 0)
			return KT_FATE_CURRENT;
		return r < 0 ? r : KT_FATE_PREVIOUS;
	}
	kt_place_set(version, place);
	if (kt_pins_have(&keep->pins, place))
		return KT_FATE_PINNED;
	if (keep->how->spared && strcmp(keep->how->spared, version) == 0)
		return KT_FATE_NEWEST;
	if (keep->left > 0) {
		keep->left--;
		return KT_FATE_NEWEST;
	}
	r = is_young(keep, version);
	if (r != 0)
		return r < 0 ? r : KT_FATE_YOUNG;
	r = find_holder(keep, version, ret_user);
	if (r < 0)
		return r;
	return *ret_user ? KT_FATE_IN_USE : KT_FATE_REMOVED;
}

static int keep_visit(void *context, int dir, const char *version)
{
	struct keep *keep = context;
	const struct kt_user *user = NULL;
	char place[KT_PLACE_MAX];
	int fate = decide(keep, version, &user);

	(void)dir;
	if (fate < 0)
		return fate;
	if (keep->how->tell)
		keep->how->tell(keep->how->context, version, (enum kt_fate)fate, user);
	if (fate != KT_FATE_REMOVED)
		return 0;
	keep->removed++;
	kt_place_set(version, place);
	return keep->how->is_dry_run ? 0 : kt_store_retire(keep->store, place, false, keep->err);
}

/* A set without its manifest is not there: what a crash left, or a runtime made for a pod's hostPath. Yet its links
 * would keep components from going. */
static int remnant_visit(void *context, int dir, const char *version)
{
	struct keep *keep = context;
	const struct kt_user *user = NULL;
	enum kt_fate fate = KT_FATE_REMNANT;
	char place[KT_PLACE_MAX];
	bool is_skeleton;
	int r;

	if (!kt_version_is_valid(version))
		return 0;
	r = kt_set_exists(keep->store, version);
	if (r != 0)
		return r < 0 ? r : 0;
	r = is_pointed_at(keep->store, version);
	kt_place_set(version, place);
	if (r == 0 && kt_pins_have(&keep->pins, place))
		fate = KT_FATE_PINNED;
	else if (r == 0 && (r = is_held(&keep->asked, place, &user, keep->err)) > 0)
		fate = KT_FATE_IN_USE;
	else if (r > 0)
		return 0; /* current or previous */
	if (r < 0)
		return r;
	is_skeleton = kt_is_skeleton(dir, version); /* it never was a version, and nobody is told of it */
	if (keep->how->tell && !is_skeleton)
		keep->how->tell(keep->how->context, version, fate, user);
	if (fate != KT_FATE_REMNANT)
		return 0;
	keep->removed += is_skeleton ? 0 : 1;
	return keep->how->is_dry_run ? 0 : kt_store_retire(keep->store, place, false, keep->err);
}

static int read_pointed(struct keep *keep)
{
	static const char *const pointers[] = {KT_STORE_CURRENT, KT_STORE_PREVIOUS};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < 2; i++) {
		char version[KT_VERSION_MAX];

		r = kt_place_read_pointer(keep->store->dir, pointers[i], version);
		if (r == 0)
			r = kt_set_each_link(keep->store, version, used_add, &keep->pointed);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

static int any_visit(void *context, int dir, const char *name)
{
	(void)context;
	(void)dir;
	return kt_version_is_valid(name);
}

/* Is there what a prune could take? 1, 0, or -errno. */
static int has_versions(const struct kt_store *store)
{
	int r = kt_each_entry(store->dir, KT_STORE_SETS, any_visit, NULL);

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		char folder[KT_PLACE_MAX];

		(void)snprintf(folder, sizeof(folder), KT_STORE_VERSIONS "/%s", kt_component_names[i]);
		r = kt_each_entry(store->dir, folder, any_visit, NULL);
	}
	return r;
}

/* The links of the root come with the first activation: without one of them no version ever served. */
static bool has_links(const struct kt_store *store)
{
	struct stat info;

	for (size_t i = 0; i < KT_COMPONENT_LINKED; i++)
		if (fstatat(store->dir, kt_component_folder(kt_component_names[i]), &info, AT_SYMLINK_NOFOLLOW) == 0)
			return true;
	return false;
}

/* What serves must be known before anything may be called old: where `current` was removed, or names what is not there,
 * the version that pods run is one among the others. */
static int current_require(const struct kt_store *store, struct kt_error *err)
{
	char current[KT_VERSION_MAX] = "";
	int r = kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current);
	int exists = r == 0 ? kt_set_exists(store, current) : 0;

	if (exists < 0 || (r < 0 && r != -ENOENT))
		return kt_fail_errno(err, exists < 0 ? -exists : -r, KT_REASON_IO_ERROR,
				     "cannot read what is current in %s", store->root);
	if (exists > 0 || !has_links(store))
		return 0;
	r = has_versions(store);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the versions in %s", store->root);
	if (r == 0)
		return 0;
	return kt_fail(err, ENOENT, KT_REASON_NO_VERSION,
		       "nothing is pruned: %s/" KT_STORE_CURRENT
		       " %s%s, so which version serves is not known. Make one "
		       "current by rollback --to VERSION or install, then prune again",
		       store->root, *current ? "names a version that is not there: " : "is missing or names no version",
		       current);
}

int kt_store_prune(struct kt_store *store, const struct kt_prune *prune, size_t *ret_removed, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct kt_state_kept kept;
	KT_OWN(keep_done)
	struct keep keep = {.store = store,
			    .how = prune,
			    .asked = {.store = store},
			    .pointed = {.store = store},
			    .left = prune->keep_count,
			    .err = &mine};
	int r;

	if (store->lock < 0)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%s is not locked", store->root);
	r = kt_folders_require(store, err);
	if (r == 0)
		r = current_require(store, err);
	if (r == 0)
		r = kt_store_read_pins(store, &keep.pins, err);
	if (r == 0 && !prune->is_dry_run)
		r = kt_store_sweep(store, err);
	if (r < 0)
		return r;
	r = read_pointed(&keep);
	if (r == 0)
		r = kt_set_list(store, keep_visit, &keep);
	if (r == 0)
		r = kt_each_entry(store->dir, KT_STORE_SETS, remnant_visit, &keep);
	if (r < 0 && mine.code != 0)
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the sets in %s", store->root);
	if (ret_removed)
		*ret_removed = keep.removed;
	if (prune->is_dry_run)
		return kt_store_list_kept(store, true, prune->ret_kept ? prune->ret_kept : &kept, err);
	r = drop_orphans(&keep.asked, &keep.pins, err);
	return r < 0 ? r : kt_store_clear(store, prune->ret_kept, err);
}
