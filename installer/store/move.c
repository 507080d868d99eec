/* The steps by which something comes to be there, or is there no more: each is one rename between synced states, and
 * each can be run again from whatever a crash left. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "layout.h"

struct sweep {
	const struct kt_store *store;
	struct kt_error *err;
};

static int sweep_visit(void *context, int dir, const char *name)
{
	struct sweep *sweep = context;

	if (strncmp(name, KT_STORE_PARTIAL, strlen(KT_STORE_PARTIAL)) != 0)
		return 0;
	return kt_fs_remove_tree(dir, name, sweep->err);
}

int kt_store_sweep(const struct kt_store *store, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct sweep sweep = {store, &mine};
	int r = kt_each_entry(store->dir, ".", sweep_visit, &sweep);

	if (r == 0)
		return 0;
	if (mine.code == 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	return kt_fail(err, mine.code, mine.reason, "%s: %s", store->root, mine.text);
}

/* Both directories that a rename between root and `place` touches. */
static int rename_sync(const struct kt_store *store, int parent)
{
	if (fsync(parent) < 0 || fsync(store->dir) < 0)
		return -errno;
	return 0;
}

int kt_store_publish(const struct kt_store *store, const char *partial, const char *place, struct kt_error *err)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(store->dir, place, &name);
	bool is_exchanged = false;
	int r = parent < 0 ? parent : 0;

	if (r == 0 && renameat2(store->dir, partial, parent, name, RENAME_NOREPLACE) < 0)
		r = -errno;
	if (r == -EEXIST) {
		/* What lies there is damaged: it is never edited, it is replaced as a whole. */
		is_exchanged = renameat2(store->dir, partial, parent, name, RENAME_EXCHANGE) == 0;
		r = is_exchanged ? 0 : -errno;
	}
	if (r == 0)
		r = rename_sync(store, parent);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot move %s into its place in %s", place,
				     store->root);
	return is_exchanged ? kt_fs_remove_tree(store->dir, partial, err) : 0;
}

int kt_store_discard(const struct kt_store *store, const char *path, struct kt_error *err)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(store->dir, path, &name);
	char partial[KT_PLACE_MAX + 32];
	int r = parent < 0 ? parent : 0;

	if (r == -ENOENT)
		return 0;
	(void)snprintf(partial, sizeof(partial), KT_STORE_PARTIAL "gone-%s", path);
	for (char *c = partial; *c; c++)
		*c = *c == '/' ? '-' : *c;
	if (r == 0 && (r = kt_fs_remove_tree(store->dir, partial, err)) < 0)
		return r;
	if (r == 0 && renameat(parent, name, store->dir, partial) < 0)
		r = -errno;
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = rename_sync(store, parent);
	if (r == -EBUSY)
		return kt_fail(err, EBUSY, KT_REASON_IN_USE, "cannot remove %s/%s: something is mounted there",
			       store->root, path);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot remove %s/%s", store->root, path);
	return kt_fs_remove_tree(store->dir, partial, err);
}
