/* An installer that is broken on purpose, each time in one way: loaded before libc (LD_PRELOAD), it changes what the
 * installer's calls do. $KT_CANARY names the fault. A rig that finds nothing wrong with it is broken itself.
 *
 *   no-tree-sync         syncfs does nothing
 *   no-directory-sync    fsync of a directory does nothing
 *   no-file-sync         fsync of a file does nothing
 *   deaf-to-sync         syncs happen, and their failures are not told
 *   believes-writes      a short write is taken for a whole one
 *   no-lock              a lock is held by as many as ask for it
 *   link-in-two-steps    a link that is replaced is removed first
 *   manifest-first       a set gets its name before its content, and its manifest before its links
 *   swapped-renames      a set gets its name before the components that it names */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
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

int renameat(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
	if (is("link-in-two-steps") && strcmp(old_name, ".partial-current") == 0)
		(void)unlinkat(new_dir, new_name, 0);
	return (int)syscall(SYS_renameat2, old_dir, old_name, new_dir, new_name, 0);
}

/* The set's entries, one after the other: manifest, links, and what else is there. */
static int publish_piecewise(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
	static const char *const entries[] = {"kontain-bundle.json", "bin", "lib", "alpine-lib", "extras"};
	int from = openat(old_dir, old_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to = mkdirat(new_dir, new_name, 0755) < 0 ? -1 : openat(new_dir, new_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (from < 0 || to < 0)
		return -1;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		(void)syscall(SYS_renameat2, from, entries[i], to, entries[i], 0);
	(void)close(from);
	(void)close(to);
	return unlinkat(old_dir, old_name, AT_REMOVEDIR);
}

/* Components are held back until their set has its name. */
static struct held {
	int old_dir, new_dir;
	char old_name[64], new_name[64];
} held[8];
static size_t held_count;

static int publish_swapped(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
	if (strcmp(old_name, ".partial-set") != 0 && held_count < 8) {
		struct held *one = &held[held_count++];

		one->old_dir = dup(old_dir);
		one->new_dir = dup(new_dir);
		strncpy(one->old_name, old_name, sizeof(one->old_name) - 1);
		strncpy(one->new_name, new_name, sizeof(one->new_name) - 1);
		return 0;
	}

	long r = syscall(SYS_renameat2, old_dir, old_name, new_dir, new_name, 0);

	while (held_count > 0) {
		struct held *one = &held[--held_count];

		(void)syscall(SYS_renameat2, one->old_dir, one->old_name, one->new_dir, one->new_name, 0);
	}
	return (int)r;
}

int renameat2(int old_dir, const char *old_name, int new_dir, const char *new_name, unsigned flags)
{
	if (is("manifest-first") && strcmp(old_name, ".partial-set") == 0)
		return publish_piecewise(old_dir, old_name, new_dir, new_name);
	if (is("swapped-renames"))
		return publish_swapped(old_dir, old_name, new_dir, new_name);
	return (int)syscall(SYS_renameat2, old_dir, old_name, new_dir, new_name, flags);
}
