/* Which of several roots is the store's. In this order, each over all of them:
 *   the first that is there and can be used: what was installed before is found again
 *   the first that could be made
 *   none: the first that can be read at least, as what it has may still serve, else the first; its own trouble is
 * reported Nothing is made or changed here. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/store/store.h"

static bool can_open(const char *host_prefix, const char *root, enum kt_store_mode mode, enum kt_reason *ret_reason)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_error err = {.reason = KT_REASON_NONE};
	int r = kt_store_open(host_prefix, root, mode, &store, &err);

	*ret_reason = err.reason;
	return r == 0;
}

/* The nearest folder above that is there must take a new one, and what lies there must be allowed to run. */
static bool can_be_made(const char *host_prefix, const char *root)
{
	KT_OWN(kt_close_fd) int base = open(*host_prefix ? host_prefix : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char above[256];
	int r = -ENOENT;

	(void)snprintf(above, sizeof(above), "%s", root + strspn(root, "/"));
	while (base >= 0 && r == -ENOENT && strcmp(above, ".") != 0) {
		char *slash = strrchr(above, '/');
		struct statvfs info;

		(void)snprintf(slash ? slash : above, 2, "%s", slash ? "" : ".");

		KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(base, above, O_RDONLY | O_DIRECTORY, 0);

		r = fd < 0 ? fd : 0;
		if (fd >= 0)
			return fstatvfs(fd, &info) == 0 && !(info.f_flag & (ST_RDONLY | ST_NOEXEC)) &&
			       faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
	}
	return false;
}

size_t kt_store_choose(const char *host_prefix, const char *const roots[], size_t count)
{
	enum kt_reason reason;

	for (size_t i = 0; i < count; i++)
		if (can_open(host_prefix, roots[i], KT_STORE_WRITE, &reason))
			return i;
	for (size_t i = 0; i < count; i++)
		if (!can_open(host_prefix, roots[i], KT_STORE_WRITE, &reason) && reason == KT_REASON_NO_VERSION &&
		    can_be_made(host_prefix, roots[i]))
			return i;
	for (size_t i = 0; i < count; i++)
		if (can_open(host_prefix, roots[i], KT_STORE_READ, &reason))
			return i;
	return 0;
}
