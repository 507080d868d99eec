/* Setting another's installation aside, for an operator who says --force. Nothing is deleted: each entry is renamed
 * into a new directory beside the root, and the root itself stays what running pods have mounted. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "layout.h"

struct aside {
	const struct kt_store *store;
	int to; /* borrowed */
	enum kt_claim claim;
	char unmovable[256];
};

/* Nothing can be renamed to it, as it is not empty. */
#define PROBE KT_STORE_PARTIAL "probe"

/* In a root of ours only what lies in the place of a link or a pointer is another's. */
static bool is_in_the_way(const struct aside *aside, const char *name)
{
	bool is_place = kt_is_linked_folder(name) || strcmp(name, KT_STORE_CURRENT) == 0 ||
			strcmp(name, KT_STORE_PREVIOUS) == 0;
	enum kt_entry entry;

	if (aside->claim == KT_CLAIM_FOREIGN)
		return strcmp(name, "lost+found") != 0 && strcmp(name, KT_STORE_OLD_LOCK) != 0;
	return is_place && kt_root_entry(aside->store, name, &entry) == 0 && entry == KT_ENTRY_FOREIGN;
}

/* Before the first is moved: could each? The root may be a filesystem of its own, or lie in an overlay's lower
 * layer. */
static int movable_visit(void *context, int dir, const char *name)
{
	struct aside *aside = context;
	int r = is_in_the_way(aside, name) ? kt_fs_can_move(dir, name, aside->to, PROBE) : 0;

	if (r == -EXDEV)
		(void)snprintf(aside->unmovable, sizeof(aside->unmovable), "%s", name);
	return r;
}

static int movable_check(struct aside *aside, int dir)
{
	int r = kt_fs_make_dirs(aside->to, PROBE "/full");

	if (r == 0)
		r = kt_each_entry(dir, ".", movable_visit, aside);
	(void)kt_fs_remove_tree(aside->to, PROBE, KT_ERROR_IGNORED);
	return r;
}

static int aside_visit(void *context, int dir, const char *name)
{
	struct aside *aside = context;

	if (!is_in_the_way(aside, name))
		return 0;
	return renameat(dir, name, aside->to, name) < 0 ? kt_negative_errno() : 0;
}

int kt_store_set_aside(struct kt_store *store, char *ret_place, size_t place_size, struct kt_error *err)
{
	const char *base = strrchr(store->root, '/') + 1;
	KT_OWN(kt_close_fd) int parent = openat(store->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_OWN(kt_close_fd) int to = -1;
	struct aside aside = {.store = store, .unmovable = ""};
	time_t now = time(NULL);
	struct tm parts;
	char stamp[32], name[256], foreign[256];
	int r = kt_store_claim(store, &aside.claim, foreign);

	if (r < 0 || parent < 0)
		return kt_fail_errno(err, r < 0 ? -r : errno, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	(void)gmtime_r(&now, &parts);
	(void)strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &parts);
	(void)snprintf(name, sizeof(name), "%.200s.replaced-%s", base, stamp);
	if (mkdirat(parent, name, 0755) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot make %s beside %s", name, store->root);
	to = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open %s", name);
	aside.to = to;
	r = movable_check(&aside, store->dir);
	if (r == 0)
		r = kt_each_entry(store->dir, ".", aside_visit, &aside);
	if (r == 0 && (fsync(to) < 0 || fsync(store->dir) < 0 || fsync(parent) < 0))
		r = kt_negative_errno();
	if (r < 0) {
		(void)unlinkat(parent, name, AT_REMOVEDIR); /* gone when nothing was moved */
		if (aside.unmovable[0])
			return kt_fail(err, EXDEV, KT_REASON_STORE_UNSUPPORTED,
				       "%s/%.100s cannot be moved to a folder beside %s: that is another filesystem, "
				       "or %s lies in the "
				       "lower layer of an overlay. Move it away by hand",
				       store->root, aside.unmovable, store->root, store->root);
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot move what is in %s to %s beside it",
				     store->root, name);
	}
	(void)snprintf(ret_place, place_size, "%.*s%s", (int)(base - store->root), store->root, name);
	return 0;
}
