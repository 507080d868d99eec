/* Taking versions away: a set first, then what no set names any more.
 *
 * A set vanishes by a rename before its content goes, so it is there whole or not at all; a component goes only when
 * no set that is left names it, read from the links themselves. A component that a crash left without a set is found by
 * the next prune. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "prune.h"
#include "set.h"

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
	const char *component;
	size_t removed;
	struct kt_error *err;
};

static int orphan_visit(void *context, int dir, const char *version)
{
	struct orphans *orphans = context;
	char place[KT_PLACE_MAX];

	(void)dir;
	if (!kt_version_is_valid(version))
		return 0;
	kt_place_version(orphans->component, version, place);
	for (size_t i = 0; i < orphans->used->count; i++)
		if (strcmp(orphans->used->names[i], place) == 0)
			return 0;

	int r = kt_store_discard(orphans->store, place, orphans->err);

	orphans->removed += r == 0;
	return r;
}

int kt_store_drop_orphans(const struct kt_store *store, size_t *ret_removed, struct kt_error *err)
{
	KT_OWN(used_done) struct used used = {.store = store};
	struct kt_error mine = {.code = 0};
	struct orphans orphans = {.store = store, .used = &used, .err = &mine};
	int r = kt_each_entry(store->dir, KT_STORE_SETS, used_visit, &used);

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		char folder[KT_PLACE_MAX];

		orphans.component = kt_component_names[i];
		(void)snprintf(folder, sizeof(folder), KT_STORE_VERSIONS "/%s", orphans.component);
		r = kt_each_entry(store->dir, folder, orphan_visit, &orphans);
	}
	if (ret_removed)
		*ret_removed = orphans.removed;
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

int kt_store_drop_set(struct kt_store *store, const char *version, struct kt_error *err)
{
	char place[KT_PLACE_MAX];
	int r;

	if (store->lock < 0 || !kt_version_is_valid(version))
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "cannot drop version \"%.80s\" of %s", version, store->root);
	r = is_pointed_at(store, version);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read what is current in %s", store->root);
	if (r > 0)
		return kt_fail(err, EBUSY, KT_REASON_IN_USE, "version %s is current or previous in %s", version,
			       store->root);
	kt_place_set(version, place);
	r = kt_store_discard(store, place, err);
	return r < 0 ? r : kt_store_drop_orphans(store, NULL, err);
}

struct keep {
	struct kt_store *store;
	unsigned left;
	size_t removed;
	struct kt_error *err;
};

static int keep_visit(void *context, int dir, const char *version)
{
	struct keep *keep = context;
	char place[KT_PLACE_MAX];
	int r = is_pointed_at(keep->store, version);

	(void)dir;
	if (r != 0)
		return r < 0 ? r : 0;
	if (keep->left > 0) {
		keep->left--;
		return 0;
	}
	kt_place_set(version, place);
	r = kt_store_discard(keep->store, place, keep->err);

	keep->removed += r == 0;
	return r;
}

int kt_store_prune(struct kt_store *store, unsigned keep_count, size_t *ret_removed, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct keep keep = {.store = store, .left = keep_count, .err = &mine};
	int r;

	if (store->lock < 0)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "%s is not locked", store->root);
	r = kt_store_sweep(store, err);
	if (r < 0)
		return r;
	r = kt_set_list(store, keep_visit, &keep);
	if (r < 0 && mine.code != 0)
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the sets in %s", store->root);
	if (ret_removed)
		*ret_removed = keep.removed;
	return kt_store_drop_orphans(store, NULL, err);
}
