/* Asked of what was opened, not of the path: nothing can be put in its place afterwards. A file of it is asked again,
 * as anything can be mounted over one (container runtimes hide some of theirs so). */
#include "kontain/base/proc.h"
#include "kontain/base/error.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kontain/base/own.h"

struct kernelfs {
	const char *folder;
	long magic;
	long inner[4]; /* what the kernel's own folders below it have mounted; 0 for none */
};

static const struct kernelfs proc = {"proc", PROC_SUPER_MAGIC, {0}};
static const struct kernelfs sys = {
	"sys", SYSFS_MAGIC, {SECURITYFS_MAGIC, SELINUX_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC}};

static bool is_inner(const struct kernelfs *kind, long magic)
{
	for (size_t i = 0; i < sizeof(kind->inner) / sizeof(kind->inner[0]); i++)
		if (magic == kind->inner[i])
			return true;
	return false;
}

/* 0 for what has none */
static long magic_of(int fd)
{
	struct statfs info;

	return fstatfs(fd, &info) == 0 ? (long)info.f_type : 0;
}

static int root_open(const struct kernelfs *kind, const char *host)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", host, kind->folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;

	KT_OWN(kt_close_fd) int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return kt_negative_errno();
	return magic_of(fd) == kind->magic ? kt_take_fd(&fd) : -ENOENT;
}

static int file_read_at(const struct kernelfs *kind, int dir, const char *path, char *text, size_t size)
{
	KT_OWN(kt_close_fd) int fd = openat(dir, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	size_t used = 0;
	long magic;

	if (fd < 0)
		return kt_negative_errno();
	magic = magic_of(fd);
	if (magic != kind->magic && (magic == 0 || !is_inner(kind, magic)))
		return -ENOENT;
	while (used < size - 1) {
		ssize_t got = read(fd, text + used, size - 1 - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return kt_negative_errno();
		if (got == 0)
			break;
		used += (size_t)got;
	}
	if (used > 0 && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	return (int)used;
}

static int file_read(const struct kernelfs *kind, const char *host, const char *path, char *text, size_t size)
{
	KT_OWN(kt_close_fd) int root = root_open(kind, host);

	return root < 0 ? root : file_read_at(kind, root, path, text, size);
}

int kt_proc_open(const char *host)
{
	return root_open(&proc, host);
}

int kt_sys_open(const char *host)
{
	return root_open(&sys, host);
}

int kt_proc_read(const char *host, const char *path, char *text, size_t size)
{
	return file_read(&proc, host, path, text, size);
}

int kt_sys_read(const char *host, const char *path, char *text, size_t size)
{
	return file_read(&sys, host, path, text, size);
}

bool kt_process_read(int dir, const char *path, struct kt_process *ret_process)
{
	struct kt_process process;
	char text[1024], *name, *end;

	if (file_read_at(&proc, dir, path, text, sizeof(text)) < 0 || !(name = strchr(text, '(')) ||
	    !(end = strrchr(text, ')')) || sscanf(text, "%d", &process.pid) != 1 ||
	    sscanf(end + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64,
		   &process.state, &process.parent, &process.start) != 3)
		return false;
	*end = '\0';
	name[1 + strcspn(name + 1, "\n")] = '\0';
	(void)snprintf(process.program, sizeof(process.program), "%.*s", KT_PROCESS_PROGRAM_MAX - 1, name + 1);
	for (char *at = process.program; *at; at++)
		if (!isprint((unsigned char)*at))
			*at = '?';
	*ret_process = process;
	return true;
}
