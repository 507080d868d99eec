/* Opening a store: what its root is, and whose.
 *
 * The promise: a root that another could turn against us (a link, another's directory, writable by others) is refused
 * before anything in it is believed, and a root that we did not make is not touched. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"
#include "layout.h"

#define XFS_MAGIC 0x58465342 /* fs/xfs/libxfs/xfs_format.h, as statfs(2) lists it */
#define ZFS_MAGIC 0x2fc12fc1

/* What a store may lie on. A journal (or copy on write) keeps the order of what was synced over a power cut. */
static const struct {
	long magic;
	const char *name;
	bool journalling;
	bool refused; /* not a disk of this node's own */
} filesystems[] = {
	{EXT4_SUPER_MAGIC, "ext4", true, false},
	{XFS_MAGIC, "xfs", true, false},
	{BTRFS_SUPER_MAGIC, "btrfs", true, false},
	{F2FS_SUPER_MAGIC, "f2fs", true, false},
	{ZFS_MAGIC, "zfs", true, false},
	{TMPFS_MAGIC, "tmpfs", false, false},
	{OVERLAYFS_SUPER_MAGIC, "overlay", false, false},
	{NFS_SUPER_MAGIC, "nfs", false, true},
	{SMB_SUPER_MAGIC, "smb", false, true},
	{CIFS_SUPER_MAGIC, "cifs", false, true},
	{PROC_SUPER_MAGIC, "proc", false, true},
	{SYSFS_MAGIC, "sysfs", false, true},
	{CGROUP_SUPER_MAGIC, "cgroup", false, true},
	{CGROUP2_SUPER_MAGIC, "cgroup2", false, true},
};

/* ext4 can be made without a journal, and then says so in sysfs. Where sysfs does not tell, ext4 has one. */
static bool ext4_has_journal(dev_t device)
{
	KT_OWN(kt_close_fd) int sys = kt_sys_open("");
	char path[96], name[256], text[64], *slash;

	(void)snprintf(path, sizeof(path), "dev/block/%u:%u", major(device), minor(device));

	ssize_t length = sys < 0 ? -1 : readlinkat(sys, path, name, sizeof(name) - 1);

	if (length <= 0)
		return true;
	name[length] = '\0';
	slash = strrchr(name, '/');
	if (!slash || strlen(slash) > 32)
		return true;
	(void)snprintf(path, sizeof(path), "fs/ext4%s/journal_task", slash);
	if (kt_sys_read("", path, text, sizeof(text)) < 0)
		return true;
	return strncmp(text, "<none>", 6) != 0;
}

static int filesystem_check(struct kt_store *store, enum kt_store_mode mode, struct kt_error *err)
{
	struct statfs info;
	struct stat root;

	if (fstatfs(store->dir, &info) < 0 || fstat(store->dir, &root) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read what %s lies on", store->root);
	(void)snprintf(store->filesystem, sizeof(store->filesystem), "0x%lx", (unsigned long)info.f_type);
	store->journalling = false;
	for (size_t i = 0; i < sizeof(filesystems) / sizeof(filesystems[0]); i++) {
		if (filesystems[i].magic != (long)info.f_type)
			continue;
		if (filesystems[i].refused && mode != KT_STORE_READ)
			return kt_fail(err, EXDEV, KT_REASON_STORE_UNSAFE,
				       "%s lies on %s: a store needs a disk of this node's own", store->root,
				       filesystems[i].name);
		(void)snprintf(store->filesystem, sizeof(store->filesystem), "%s", filesystems[i].name);
		store->journalling = filesystems[i].journalling;
	}
	if (info.f_type == EXT4_SUPER_MAGIC)
		store->journalling = ext4_has_journal(root.st_dev);
	return 0;
}

static int mount_check(int dir, const char *root, struct kt_error *err)
{
	struct statvfs info;

	if (fstatvfs(dir, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read what %s lies on", root);
	if (info.f_flag & ST_RDONLY)
		return kt_fail(err, EROFS, KT_REASON_STORE_READ_ONLY, "%s is on a filesystem that is mounted read-only",
			       root);
	if (info.f_flag & ST_NOEXEC)
		return kt_fail(err, EACCES, KT_REASON_STORE_NOEXEC,
			       "%s is on a filesystem that is mounted noexec: km could not be run from it", root);
	return 0;
}

/* openat2 came with 5.6; syncfs reports failed write-back since 5.8. */
static int kernel_check(struct kt_error *err)
{
	struct utsname name;
	unsigned major_version = 0, minor_version = 0;

	if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major_version, &minor_version) != 2)
		return 0;
	if (major_version > 5 || (major_version == 5 && minor_version >= 8))
		return 0;
	return kt_fail(err, ENOSYS, KT_REASON_KERNEL_TOO_OLD, "this kernel is %s; the store needs Linux 5.8 or later",
		       name.release);
}

static int root_fail(int code, const struct kt_store *store, struct kt_error *err)
{
	if (code == ENOENT)
		return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "nothing is installed: there is no %s", store->root);
	if (code == ELOOP)
		return kt_fail(err, ELOOP, KT_REASON_STORE_NOT_DIRECTORY,
			       "%s, or a folder above it, is a symbolic link: name the real path as root", store->root);
	if (code == ENOTDIR || code == EEXIST)
		return kt_fail(err, ENOTDIR, KT_REASON_STORE_NOT_DIRECTORY,
			       "%s, or a folder above it, is not a directory", store->root);
	return kt_fail_errno(err, code, KT_REASON_IO_ERROR, "cannot open %s", store->root);
}

/* Makes the root. What it will lie on is looked at first, so that a refusal leaves nothing behind. */
static int root_make(int base, const char *below, const struct kt_store *store, struct kt_error *err)
{
	char above[sizeof(store->root)];
	int r = -ENOENT;

	(void)snprintf(above, sizeof(above), "%.*s", (int)sizeof(above) - 1, below);
	while (r == -ENOENT) {
		char *slash = strrchr(above, '/');

		(void)snprintf(slash ? slash : above, 2, "%s", slash ? "" : ".");

		KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(base, above, O_RDONLY | O_DIRECTORY, 0);

		if (fd >= 0 && mount_check(fd, store->root, err) < 0)
			return -err->code;
		r = fd < 0 ? fd : 0;
		if (strcmp(above, ".") == 0)
			break;
	}
	if (r == 0)
		r = kt_fs_make_dirs(base, below);
	return r < 0 ? root_fail(-r, store, err) : 0;
}

static int root_check(struct kt_store *store, enum kt_store_mode mode, struct kt_error *err)
{
	struct stat info;

	if (fstat(store->dir, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	if (info.st_uid != 0)
		return kt_fail(err, EPERM, KT_REASON_STORE_UNSAFE, "%s belongs to user %u, not to root", store->root,
			       info.st_uid);
	if (info.st_mode & (S_IWGRP | S_IWOTH))
		return kt_fail(err, EPERM, KT_REASON_STORE_UNSAFE, "%s can be written by %s (mode %04o)", store->root,
			       info.st_mode & S_IWOTH ? "everybody" : "its group", info.st_mode & 07777);
	if (mode != KT_STORE_READ && mount_check(store->dir, store->root, err) < 0)
		return -err->code;
	return filesystem_check(store, mode, err);
}

static int name_set(const char *host_prefix, const char *root, struct kt_store *store, struct kt_error *err)
{
	size_t prefix = strlen(host_prefix), size = strlen(root);

	while (prefix > 0 && host_prefix[prefix - 1] == '/')
		prefix--;
	while (size > 1 && root[size - 1] == '/')
		size--;
	/* config and --root refuse these before (kt_config_root) */
	if (root[0] != '/' || size < 2 || strstr(root, "/../") || strstr(root, "//"))
		return kt_fail(err, EINVAL, KT_REASON_STORE_UNSAFE,
			       "the store's root \"%s\": expected an absolute path below / without \"..\" and \"//\"",
			       root);
	if (size >= sizeof(store->root) || prefix + size >= sizeof(store->path))
		return kt_fail(err, ENAMETOOLONG, KT_REASON_STORE_UNSAFE, "the store's root is longer than %zu bytes",
			       sizeof(store->root) - 1);
	(void)snprintf(store->root, sizeof(store->root), "%.*s", (int)size, root);
	(void)snprintf(store->path, sizeof(store->path), "%.*s%s", (int)prefix, host_prefix, store->root);
	return 0;
}

int kt_store_open(const char *host_prefix, const char *root, enum kt_store_mode mode, struct kt_store *ret_store,
		  struct kt_error *err)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	const char *base_path = *host_prefix ? host_prefix : "/";
	int r;

	r = name_set(host_prefix, root, &store, err);
	if (r < 0 || (mode != KT_STORE_READ && (r = kernel_check(err)) < 0))
		return r;

	KT_OWN(kt_close_fd) int base = open(base_path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (base < 0)
		return kt_fail_errno(err, errno, KT_REASON_STORE_NOT_DIRECTORY, "cannot open %s", base_path);
	store.dir = kt_fs_open_beneath(base, store.root + 1, O_RDONLY | O_DIRECTORY, 0);
	if (store.dir == -ENOENT && mode == KT_STORE_CREATE) {
		r = root_make(base, store.root + 1, &store, err);
		if (r < 0)
			return r;
		store.dir = kt_fs_open_beneath(base, store.root + 1, O_RDONLY | O_DIRECTORY, 0);
	}
	if (store.dir < 0)
		return root_fail(-store.dir, &store, err);
	r = root_check(&store, mode, err);
	if (r < 0)
		return r;
	*ret_store = store;
	store.dir = -1;
	return 0;
}

void kt_store_done(struct kt_store *store)
{
	kt_close_fd(&store->lock);
	kt_close_fd(&store->dir);
}

/* What an empty root may hold: traces of our own first steps, and what mkfs makes. */
static bool is_trace(const char *name)
{
	return strcmp(name, KT_STORE_OLD_LOCK) == 0 || strcmp(name, "lost+found") == 0 ||
	       strncmp(name, KT_STORE_PARTIAL, strlen(KT_STORE_PARTIAL)) == 0;
}

static int claim_visit(void *context, int dir, const char *name)
{
	if (is_trace(name) || kt_is_skeleton(dir, name))
		return 0;
	(void)snprintf(context, 256, "%s", name);
	return 1;
}

/* 1, 0, or -errno: a mark that cannot be read is not one that is missing. */
static int has_owner(const struct kt_store *store)
{
	struct stat info;

	if (fstatat(store->dir, KT_STORE_OWNER, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : kt_negative_errno();
	return S_ISREG(info.st_mode);
}

int kt_store_claim(const struct kt_store *store, enum kt_claim *ret_claim, char ret_name[256])
{
	int r = has_owner(store);

	ret_name[0] = '\0';
	*ret_claim = KT_CLAIM_OURS;
	if (r != 0)
		return r < 0 ? r : 0;
	r = kt_each_entry(store->dir, ".", claim_visit, ret_name);
	if (r < 0)
		return r;
	if (r == 0) {
		*ret_claim = KT_CLAIM_EMPTY;
		return 0;
	}
	r = has_owner(store); /* another installer may have marked it while we read: then what we met is its work */
	if (r == 0)
		*ret_claim = KT_CLAIM_FOREIGN;
	return r < 0 ? r : 0;
}

int kt_store_mark(const struct kt_store *store, struct kt_error *err)
{
	static const char text[] =
		"kontain-installer made this directory and removes it: put nothing of your own here.\n";

	return kt_fs_replace_file(store->dir, KT_STORE_OWNER, text, strlen(text), 0644, err);
}

int kt_store_sync(const struct kt_store *store, struct kt_error *err)
{
	int r;

	do
		r = syncfs(store->dir) < 0 ? kt_negative_errno() : 0;
	while (r == -EINTR);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot sync %s to its disk", store->root) : 0;
}
