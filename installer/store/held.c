/* .held-<digest of the manifest>: a bundle that a person rolled back from. The agent, which may still be asked for it,
 * leaves what the person chose until it is asked for another, or a person lifts it. Unlike a failure it holds over a
 * reboot: it says nothing of kernel or boot. The file has one line for a person: the version,
 * where there was room for it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "layout.h"

static bool name_set(const char *manifest_sha256, char ret_name[128])
{
	if (strlen(manifest_sha256) != KT_DIGEST_HEX - 1 ||
	    strspn(manifest_sha256, "0123456789abcdef") != KT_DIGEST_HEX - 1)
		return false;
	(void)snprintf(ret_name, 128, KT_STORE_HELD "%s", manifest_sha256);
	return true;
}

/* On a full disk without its text, which takes a block where a name mostly takes none: the way back is not to wait for
 * room, and the mark counts by its name. */
static int empty_make(const struct kt_store *store, const char *name)
{
	int r = kt_fs_make_file(store->dir, name, "", 0, 0644);

	if (r < 0 && r != -EEXIST)
		return r;
	return fsync(store->dir) < 0 ? kt_negative_errno() : 0;
}

int kt_store_hold(struct kt_store *store, const char *manifest_sha256, const char *version, struct kt_error *err)
{
	char name[128], text[KT_VERSION_MAX + 1];
	struct kt_error mine = {.code = 0};

	if (!name_set(manifest_sha256, name))
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "cannot tell which bundle version %s came from",
			       version);
	(void)snprintf(text, sizeof(text), "%s\n", version);
	if (kt_fs_replace_file(store->dir, name, text, strlen(text), 0644, &mine) == 0 ||
	    (mine.reason == KT_REASON_DISK_FULL && empty_make(store, name) == 0))
		return 0;
	return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
}

bool kt_store_is_held(const struct kt_store *store, const char *manifest_sha256)
{
	char name[128];
	struct stat info;

	return name_set(manifest_sha256, name) && fstatat(store->dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(info.st_mode);
}

static int release_visit(void *context, int dir, const char *name)
{
	const char *wanted = context;

	if (strncmp(name, KT_STORE_HELD, strlen(KT_STORE_HELD)) != 0 || (wanted && strcmp(name, wanted) != 0))
		return 0;
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? kt_negative_errno() : 0;
}

int kt_store_release(struct kt_store *store, const char *manifest_sha256, struct kt_error *err)
{
	char name[128];
	int r;

	if (manifest_sha256 && !name_set(manifest_sha256, name))
		return 0;
	r = kt_each_entry(store->dir, ".", release_visit, manifest_sha256 ? name : NULL);
	if (r == 0 && fsync(store->dir) < 0)
		r = kt_negative_errno();
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot remove " KT_STORE_HELD "* in %s",
				     store->root) :
		       0;
}
