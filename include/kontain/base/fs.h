/* Files below a directory descriptor. Every path is relative and walked with
 * openat2(RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS|RESOLVE_NO_MAGICLINKS) (openat2(2), Linux 5.6). */
#ifndef KONTAIN_FS_H
#define KONTAIN_FS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "kontain/base/error.h"

#define KT_FS_NAME_MAX 256 /* NAME_MAX and NUL */

/* flags as open(2); O_CLOEXEC is always added. Returns a descriptor or -errno (no text: the
 * caller knows what the path is). */
int kt_fs_open_beneath(int dir, const char *path, int flags, mode_t mode);

/* Opens a regular file for reading, looked at before it is opened: what a device node does when it is opened (a
 * watchdog starts, a tape rewinds), or how long a FIFO waits, is never found out. dir may be AT_FDCWD: then path is
 * used as open(2) would. Returns an owned descriptor or -errno: -EISDIR for a directory, -EINVAL for what is not a
 * file. */
int kt_fs_open_file(int dir, const char *path, struct stat *ret_info);

/* Opens the directory that holds `path` beneath dir and points *ret_name (into path) at the last
 * part. Returns an owned descriptor or -errno. */
int kt_fs_open_parent(int dir, const char *path, const char **ret_name);

/* Reads a whole regular file of at most max_bytes (EFBIG beyond). *ret_bytes is owned, has a NUL
 * behind its *ret_size bytes. dir may be AT_FDCWD: then path is used as open(2) would. */
int kt_fs_read_all(int dir, const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_size,
		   struct kt_error *err);
int kt_fs_read_fd(int fd, size_t max_bytes, char **ret_bytes, size_t *ret_size);

int kt_fs_write_full(int fd, const void *bytes, size_t size);
/* A new file, not synced. -EEXIST when something is there. */
int kt_fs_make_file(int dir, const char *name, const void *bytes, size_t size, mode_t mode);

/* Of the temporary names that these functions use. */
#define KT_FS_TEMPORARY ".partial-"

/* Whole or not at all: temporary name beside it (.partial-<name>, cleared first: callers hold the lock of what they
 * write), write, fsync, rename, fsync of the directory. name has no slash. dir is not O_PATH. */
int kt_fs_replace_file(int dir, const char *name, const void *bytes, size_t size, mode_t mode, struct kt_error *err);

/* Makes `name` in dir a symbolic link to target in one step (temporary link, rename); no sync. */
int kt_fs_replace_link(int dir, const char *name, const char *target, struct kt_error *err);

/* Reads a link; target is NUL-terminated, -ENAMETOOLONG when it does not fit. */
int kt_fs_read_link(int dir, const char *path, char *target, size_t size);

/* Renames to a name that must be free: -EEXIST when it is not. Where renameat2(2) takes no flags (zfs before 2.2, some
 * FUSE servers, a filter) the name is looked at first: callers hold the lock of what they rename in. */
int kt_fs_rename_new(int dir, const char *name, int to_dir, const char *to);

/* Exchanges two names in one step; -EOPNOTSUPP where that cannot be had (as above). */
int kt_fs_exchange(int dir, const char *name, int other_dir, const char *other);

/* Could this directory be renamed? Asked of the filesystem by a rename that no filesystem may do: to `taken`, a
 * directory that is not empty (rename(2)). 0, or why not: -EXDEV (of an overlay's lower layer, another filesystem),
 * -EBUSY (a mount point) ... Nothing is changed. What is no directory is 0. */
int kt_fs_can_move(int dir, const char *name, int to_dir, const char *taken);

/* mkdir -p beneath dir, 0755 each. Existing directories are fine. */
int kt_fs_make_dirs(int dir, const char *path);

/* Removes a tree beneath dir, never leaving it and never following a link. A missing path is 0; InUse when something
 * is mounted in it. */
int kt_fs_remove_tree(int dir, const char *path, struct kt_error *err);

/* "/a/b" -> "/a/", "b" -> ".": where the last part of a path lies. */
void kt_fs_folder_of(const char *path, char ret_folder[PATH_MAX]);

/* Does this open file give who runs it capabilities (setcap(8))? A mode does not show it. */
int kt_fs_has_capabilities(int fd);

bool kt_fs_exists(int dir, const char *path);

/* What makes a name be there already in a folder that holds none so spelled: one that the file system takes for the
 * same, as it does where case does not count. False: there is none. */
bool kt_fs_find_twin(int dir, const char *name, char ret_twin[KT_FS_NAME_MAX]);

/* Boot id of the running kernel, 36 characters and NUL. */
int kt_fs_boot_id(char ret_id[37]);

#endif
