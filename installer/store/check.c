#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"

static bool is_old_record(const char *name)
{
	return strcmp(name, KT_STORE_OLD_RECORD) == 0;
}

void kt_version_tree(int dir, const char *component, const struct kt_filelist *list, struct kt_version_tree *ret_tree)
{
	bool is_km = strcmp(component, "km") == 0;

	ret_tree->own[0] = (struct kt_file){
		.path = KT_FILELIST_NAME, .sha256 = list->digest, .size_bytes = list->size, .mode = 0644};
	ret_tree->own[1] = (struct kt_file){.path = KT_COMPONENT_TOOLS, .link = KT_VERSION_TOOLS};
	ret_tree->tree = (struct kt_tree){.dir = dir,
					  .prefix = is_km ? "bin/" : "",
					  .list = list,
					  .own = ret_tree->own,
					  .own_count = is_km ? 2 : 1,
					  .is_other = is_old_record};
}

int kt_version_open(const struct kt_store *store, const char *component, const char *version)
{
	char place[KT_PLACE_MAX];

	kt_place_version(component, version, place);
	return kt_fs_open_beneath(store->dir, place, O_RDONLY | O_DIRECTORY, 0);
}

int kt_version_list(int dir, const char *component, const char *version, struct kt_filelist *ret_list,
		    struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	struct kt_error mine = {.code = 0};
	char place[KT_PLACE_MAX];
	size_t size = 0;
	int r = dir < 0 ? dir : kt_fs_read_all(dir, KT_FILELIST_NAME, KT_LISTS_BYTES_MAX, &text, &size, &mine);

	kt_place_version(component, version, place);
	if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP)
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED,
			       "%s has no list " KT_FILELIST_NAME ": it is not there", place);
	if (r == 0)
		r = kt_filelist_parse(component, &text, size, ret_list, &mine);
	return r < 0 ? kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s/" KT_FILELIST_NAME " is damaged: %.200s",
			       place, mine.code ? mine.text : strerror(-r)) :
		       0;
}

bool kt_version_is_old(int dir)
{
	struct stat info;

	return fstatat(dir, KT_STORE_OLD_RECORD, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

int kt_first_visit(void *context, const struct kt_difference *difference)
{
	struct kt_first *first = context;
	char text[sizeof(first->err->text)];

	if (first->count++ > 0)
		return 0;
	kt_difference_print(difference, first->where, text, sizeof(text));
	(void)kt_fail(first->err, EUCLEAN, kt_difference_reason(difference), "%s", text);
	return 0;
}

/* The i-th folder of the way; false behind the last. */
static bool folder_name(size_t i, char ret_name[KT_PLACE_MAX])
{
	if (i < 2)
		(void)snprintf(ret_name, KT_PLACE_MAX, "%s", i == 0 ? KT_STORE_SETS : KT_STORE_VERSIONS);
	else if (kt_component_names[i - 2])
		(void)snprintf(ret_name, KT_PLACE_MAX, KT_STORE_VERSIONS "/%s", kt_component_names[i - 2]);
	else
		return false;
	return true;
}

int kt_folders_check(const struct kt_store *store, kt_difference_visit *visit, void *context)
{
	char name[KT_PLACE_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && folder_name(i, name); i++) {
		struct kt_difference difference = {.path = name, .is_folder = true};
		struct stat info;

		if (fstatat(store->dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0) {
			/* of a component's folder the version that is missing below it says so; and a set need not have
			 * that component */
			difference.flaw = errno == ENOENT ? KT_FLAW_MISSING : KT_FLAW_UNREADABLE;
			difference.code = errno;
			if (i < 2)
				r = visit(context, &difference);
			continue;
		}
		if (!S_ISDIR(info.st_mode)) {
			difference.flaw = KT_FLAW_TYPE;
			difference.found = info.st_mode;
			r = visit(context, &difference);
			continue;
		}
		difference.flaw = info.st_uid != 0 ? KT_FLAW_OWNER : KT_FLAW_MODE;
		difference.found = info.st_uid != 0 ? info.st_uid : info.st_mode & 07777;
		if (info.st_uid != 0 || (info.st_mode & 07777) != 0755)
			r = visit(context, &difference);
	}
	return r;
}

/* What can be put right is; the rest is counted. */
struct mending {
	const struct kt_tree *tree;
	size_t mended;
	size_t left;
};

static int mend_visit(void *context, const struct kt_difference *difference)
{
	struct mending *mending = context;

	if (kt_tree_mend(mending->tree, difference) == 0)
		mending->mended++;
	else
		mending->left++;
	return 0;
}

int kt_tree_make_whole(const struct kt_store *store, const struct kt_tree *tree, const struct kt_component *component,
		       struct kt_error *err)
{
	size_t mended = 0;
	int r = 0;

	for (int i = 0; i < 2; i++) { /* after mending, again: what has another stamp than was noted is read */
		KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
		struct mending mending = {.tree = tree};
		struct kt_tree_check check = {.depth = component ? KT_DEPTH_CHANGED : KT_DEPTH_STAT,
					      .visit = mend_visit,
					      .context = &mending};

		if (component && kt_seen_read(store, component->name, component->version, &seen) == 0 &&
		    strcmp(seen.digest, component->digest) == 0)
			check.seen = &seen;
		if (kt_tree_check(tree, &check) < 0 || mending.left > 0)
			return 0; /* landed anew, and synced then */
		if (mending.mended == 0 && mended > 0)
			r = kt_store_sync(store, err);
		if (mending.mended == 0)
			return r < 0 ? r : 1;
		mended += mending.mended;
	}
	return 0;
}

struct folders_mending {
	const struct kt_store *store;
	struct kt_error *err;
	size_t mended;
};

static int folder_mend(void *context, const struct kt_difference *difference)
{
	struct folders_mending *mending = context;
	const struct kt_tree tree = {.dir = mending->store->dir};
	int r;

	if (difference->flaw == KT_FLAW_MISSING || difference->flaw == KT_FLAW_TYPE)
		return 0; /* a landing makes the one, and refused the other before */
	r = kt_tree_mend(&tree, difference);
	if (r < 0)
		return kt_fail_errno(mending->err, -r, KT_REASON_IO_ERROR, "cannot set owner and mode of %s/%s",
				     mending->store->root, difference->path);
	mending->mended++;
	return 0;
}

static int folder_require(void *context, const struct kt_difference *difference)
{
	struct folders_mending *requiring = context;
	char text[sizeof(requiring->err->text)];

	if (difference->flaw != KT_FLAW_TYPE)
		return 0;
	kt_difference_print(difference, requiring->store->root, text, sizeof(text));
	return kt_fail(requiring->err, ENOTDIR, kt_difference_reason(difference), "%s", text);
}

int kt_folders_require(const struct kt_store *store, struct kt_error *err)
{
	struct folders_mending requiring = {store, err, 0};

	return kt_folders_check(store, folder_require, &requiring);
}

int kt_folders_mend(const struct kt_store *store, struct kt_error *err)
{
	struct folders_mending mending = {store, err, 0};
	int r = kt_folders_check(store, folder_mend, &mending);

	return r < 0 || mending.mended == 0 ? r : kt_store_sync(store, err);
}
