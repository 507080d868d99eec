/* Opening a device can do things, so what is not the right one is not opened: its folder is held by a descriptor, the
 * node is seen by lstat, and after open the descriptor is asked once more, as the name may have changed in between. */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kontain/base/own.h"

static const struct {
	mode_t type;
	const char *name;
} types[] = {
	{S_IFREG, "a regular file"}, {S_IFLNK, "a symbolic link"}, {S_IFDIR, "a folder"},
	{S_IFBLK, "a block device"}, {S_IFIFO, "a fifo"},          {S_IFSOCK, "a socket"},
};

void kt_device_name(const char *host, const char *dev, const char *node, char *name, size_t size)
{
	size_t prefix = strlen(host);

	if (prefix > 0 && strncmp(dev, host, prefix) == 0 && dev[prefix] == '/')
		dev += prefix;
	(void)snprintf(name, size, "%s/%s", dev, node);
}

static int info_check(const struct stat *info, const char *name, struct kt_error *err)
{
	if (S_ISCHR(info->st_mode) && info->st_rdev == makedev(KT_KVM_MAJOR, KT_KVM_MINOR))
		return 0;
	if (S_ISCHR(info->st_mode))
		return kt_fail(err, ENOTTY, KT_REASON_NOT_CHAR_DEVICE, "%s is character device %u:%u, and KVM is %d:%d",
			       name, major(info->st_rdev), minor(info->st_rdev), KT_KVM_MAJOR, KT_KVM_MINOR);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if ((info->st_mode & S_IFMT) == types[i].type)
			return kt_fail(err, ENOTTY, KT_REASON_NOT_CHAR_DEVICE, "%s is %s, not character device %d:%d",
				       name, types[i].name, KT_KVM_MAJOR, KT_KVM_MINOR);
	return kt_fail(err, ENOTTY, KT_REASON_NOT_CHAR_DEVICE, "%s is not character device %d:%d", name, KT_KVM_MAJOR,
		       KT_KVM_MINOR);
}

static int code_explain(int code, const char *name, struct kt_error *err)
{
	switch (code) {
	case ENOENT:
	case ENOTDIR:
		return kt_fail(err, ENOENT, KT_REASON_DEVICE_MISSING, "%s is not there", name);
	case ENODEV:
	case ENXIO:
		return kt_fail(err, ENODEV, KT_REASON_DEVICE_MISSING, "%s exists but has no driver", name);
	case ELOOP:
		return kt_fail(err, code, KT_REASON_NOT_CHAR_DEVICE, "%s became a symbolic link", name);
	case EACCES:
	case EPERM:
		return kt_fail_errno(err, code, KT_REASON_PERMISSION_DENIED, "cannot open %s", name);
	case EBUSY:
		return kt_fail_errno(err, code, KT_REASON_BUSY, "cannot open %s", name);
	default:
		return kt_fail_errno(err, code, KT_REASON_INTERNAL, "cannot open %s", name);
	}
}

static int look(int folder, const char *name, struct stat *info, struct kt_error *err)
{
	if (folder < 0 || fstatat(folder, KT_KVM_NODE, info, AT_SYMLINK_NOFOLLOW) < 0)
		return code_explain(errno, name, err);
	return info_check(info, name, err);
}

int kt_device_look(const char *dev, const char *name, mode_t *ret_mode, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int folder = open(dev, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat info;
	int r = look(folder, name, &info, err);

	if (r == 0 && ret_mode)
		*ret_mode = info.st_mode;
	return r;
}

int kt_device_open(const char *dev, const char *name, int *ret_fd, mode_t *ret_mode, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int folder = open(dev, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct stat info;
	int r = look(folder, name, &info, err);

	if (r < 0)
		return r;

	KT_OWN(kt_close_fd) int fd = openat(folder, KT_KVM_NODE, O_RDWR | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &info) < 0)
		return code_explain(errno, name, err);
	r = info_check(&info, name, err);
	if (r < 0)
		return r;
	*ret_mode = info.st_mode;
	*ret_fd = kt_take_fd(&fd);
	return 0;
}
