/* KVM and Kontain's own module are misc devices (major 10). KVM's minor is fixed, the module's is the kernel's choice.
 * A container runtime reads type, number and mode of the node and makes one of its own in the pod, so the file system
 * it lies on may be mounted nodev, as /run is. */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"

#define MISC_MAJOR 10
#define NODE_MODE  0666

bool kt_device_parse(const char *misc, const char *name, dev_t *ret_number)
{
	/* "232 kvm" a line, right-aligned */
	for (const char *line = misc; line; line = strchr(line, '\n')) {
		unsigned minor;
		char found[32];

		line += *line == '\n';
		if (sscanf(line, " %7u %31s", &minor, found) == 2 && strcmp(found, name) == 0) {
			*ret_number = makedev(MISC_MAJOR, minor);
			return true;
		}
	}
	return false;
}

int kt_device_number(const char *name, dev_t *ret_number, struct kt_error *err)
{
	char text[4096];
	int r = kt_proc_read("", "misc", text, sizeof(text));

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_PROC_MISSING, "cannot read /proc/misc: mount /proc");
	if (!kt_device_parse(text, name, ret_number))
		return kt_fail(err, ENODEV, KT_REASON_DEVICE_MISSING, "the kernel has no device %s: see /proc/misc",
			       name);
	return 0;
}

static bool is_right(int folder, const char *name, dev_t number)
{
	struct stat info;

	return fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(info.st_mode) &&
	       info.st_rdev == number && (info.st_mode & ALLPERMS) == NODE_MODE && info.st_uid == geteuid();
}

/* The umask, and no chmod(2): that one this program may not make (confine.c), as Landlock has no say in it. */
int kt_device_make_folder(const char *folder, struct kt_error *err)
{
	mode_t before = umask(0);
	int code = mkdir(folder, 0755) < 0 ? errno : 0;

	(void)umask(before);
	if (code != 0 && code != EEXIST)
		return kt_fail_errno(err, code, KT_REASON_INTERNAL, "cannot make the folder %s", folder);
	return 0;
}

static int make_node(int dir, const char *name, dev_t number)
{
	mode_t before = umask(0);
	int r = mknodat(dir, name, S_IFCHR | NODE_MODE, number);

	(void)umask(before); /* leaves errno alone */
	return r;
}

int kt_device_make(const char *folder, const char *name, dev_t number, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int dir = -1;
	char temporary[64];
	struct stat info;
	int r;

	r = kt_device_make_folder(folder, err);
	if (r < 0)
		return r;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot open the folder %s", folder);
	/* Whoever may write there could put another device in the place of ours. */
	if (info.st_uid != geteuid() || (info.st_mode & 022))
		return kt_fail(err, EPERM, KT_REASON_INTERNAL,
			       "%s is open to others (uid %u, mode %03o): expected our own folder with mode 755",
			       folder, (unsigned)info.st_uid, (unsigned)(info.st_mode & 0777));
	if (is_right(dir, name, number))
		return 0;
	(void)snprintf(temporary, sizeof(temporary), KT_FS_TEMPORARY "%.40s", name);
	if (unlinkat(dir, temporary, 0) < 0 && errno != ENOENT)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot remove %s/%s", folder, temporary);
	if (make_node(dir, temporary, number) < 0)
		return kt_fail_errno(err, errno, errno == EPERM ? KT_REASON_MKNOD_DENIED : KT_REASON_INTERNAL,
				     "cannot make a device node in %s", folder);
	if (renameat(dir, temporary, dir, name) < 0) {
		int code = errno;

		(void)unlinkat(dir, temporary, 0);
		return kt_fail_errno(err, code, KT_REASON_INTERNAL, "cannot make %s/%s", folder, name);
	}
	return 0;
}
