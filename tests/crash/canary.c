/* An installer that is broken on purpose, each time in one way: loaded before libc (LD_PRELOAD), it changes what the
 * installer's calls do. $KT_CANARY names the fault. A rig that finds nothing wrong with it is broken itself.
 *
 *   no-tree-sync           syncfs does nothing
 *   no-directory-sync      fsync of a directory does nothing
 *   no-file-sync           fsync of a file does nothing
 *   deaf-to-sync           syncs happen, and their failures are not returned
 *   believes-writes        a short write is taken for a whole one
 *   no-lock                a lock is held by as many as ask for it
 *   link-in-two-steps      the link that is current is removed before it is replaced
 *   exchange-in-two-steps  what is replaced as a whole is moved away before the other takes its name
 *   manifest-first         a set gets its name before its content, and its manifest before its links
 *   swapped-renames        a set gets its name before the components that it names
 *
 * They know of the store what its users do: `current`, a set's folder below sets/, a component's below versions/. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *canary = "";

__attribute__((constructor)) static void canary_read(void)
{
	const char *name = getenv("KT_CANARY");

	canary = name ? name : "";
}

static bool is(const char *name)
{
	return strcmp(canary, name) == 0;
}

int syncfs(int fd)
{
	long r = is("no-tree-sync") ? 0 : syscall(SYS_syncfs, fd);

	return is("deaf-to-sync") ? 0 : (int)r;
}

int fsync(int fd)
{
	struct stat info;

	if ((is("no-directory-sync") || is("no-file-sync")) && fstat(fd, &info) == 0 &&
	    S_ISDIR(info.st_mode) == is("no-directory-sync"))
		return 0;

	long r = syscall(SYS_fsync, fd);

	return is("deaf-to-sync") ? 0 : (int)r;
}

int flock(int fd, int operation)
{
	return is("no-lock") ? 0 : (int)syscall(SYS_flock, fd, operation);
}

ssize_t write(int fd, const void *bytes, size_t size)
{
	long put = syscall(SYS_write, fd, bytes, size);

	return put > 0 && is("believes-writes") ? (ssize_t)size : (ssize_t)put;
}

static int move(int old_dir, const char *old_name, int new_dir, const char *new_name, unsigned flags)
{
	return (int)syscall(SYS_renameat2, old_dir, old_name, new_dir, new_name, flags);
}

/* Is what gets the name below the store's folder of that name? */
static bool is_below(int dir, const char *name, const char *folder)
{
	char link[64], path[PATH_MAX + 2 + NAME_MAX] = "", wanted[64];
	ssize_t size;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	(void)snprintf(wanted, sizeof(wanted), "/%s/", folder);
	size = readlink(link, path, PATH_MAX - 1);
	if (size < 0)
		return false;
	(void)snprintf(path + size, sizeof(path) - (size_t)size, "/%s", name);
	return strstr(path, wanted) != NULL;
}

static int exchange_in_two(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
	if (move(new_dir, new_name, old_dir, ".partial-canary", 0) < 0 ||
	    move(old_dir, old_name, new_dir, new_name, 0) < 0)
		return -1;
	return move(old_dir, ".partial-canary", old_dir, old_name, 0);
}

/* A set's entries, one after the other: first its files, of which one is the manifest, then its links and folders. */
static int publish_piecewise(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
	int from = openat(old_dir, old_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to = mkdirat(new_dir, new_name, 0755) < 0 ? -1 :
							openat(new_dir, new_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = from < 0 || to < 0 ? NULL : fdopendir(from);
	struct dirent *entry;

	if (!entries)
		return -1;
	for (int files = 1; files >= 0; files--) {
		rewinddir(entries);
		while ((entry = readdir(entries)))
			if (entry->d_name[0] != '.' && (entry->d_type == DT_REG) == files)
				(void)move(from, entry->d_name, to, entry->d_name, 0);
	}
	(void)closedir(entries);
	(void)close(to);
	return unlinkat(old_dir, old_name, AT_REMOVEDIR);
}

/* Components are held back until their set has its name. */
static struct held {
	int old_dir, new_dir;
	char old_name[64], new_name[64];
} held[8];
static size_t held_count;

static int hold(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
	struct held *one = &held[held_count++];

	one->old_dir = dup(old_dir);
	one->new_dir = dup(new_dir);
	(void)snprintf(one->old_name, sizeof(one->old_name), "%s", old_name);
	(void)snprintf(one->new_name, sizeof(one->new_name), "%s", new_name);
	return 0;
}

static void held_move(void)
{
	while (held_count > 0) {
		struct held *one = &held[--held_count];

		(void)move(one->old_dir, one->old_name, one->new_dir, one->new_name, 0);
	}
}

int renameat2(int old_dir, const char *old_name, int new_dir, const char *new_name, unsigned flags)
{
	bool is_set = is_below(new_dir, new_name, "sets"), is_component = is_below(new_dir, new_name, "versions");
	int r;

	if (is("link-in-two-steps") && strcmp(new_name, "current") == 0)
		(void)unlinkat(new_dir, new_name, 0);
	if (is("exchange-in-two-steps") && flags & RENAME_EXCHANGE)
		return exchange_in_two(old_dir, old_name, new_dir, new_name);
	if (is("manifest-first") && is_set)
		return publish_piecewise(old_dir, old_name, new_dir, new_name);
	if (is("swapped-renames") && is_component && held_count < sizeof(held) / sizeof(held[0]))
		return hold(old_dir, old_name, new_dir, new_name);
	r = move(old_dir, old_name, new_dir, new_name, flags);
	if (is_set)
		held_move();
	return r;
}

int renameat(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
	return renameat2(old_dir, old_name, new_dir, new_name, 0);
}

int rename(const char *old_name, const char *new_name)
{
	return renameat2(AT_FDCWD, old_name, AT_FDCWD, new_name, 0);
}
