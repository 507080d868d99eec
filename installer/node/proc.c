/* A folder called proc may hold anything: its file system's magic number is asked before a word of it is believed. */
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "kontain/own.h"

int kt_proc_open(const char *host)
{
	char path[PATH_MAX];
	struct statfs info;

	if (snprintf(path, sizeof(path), "%s/proc", host) >= (int)sizeof(path))
		return -ENAMETOOLONG;

	KT_OWN(kt_close_fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || fstatfs(fd, &info) < 0)
		return -errno;
	return info.f_type == PROC_SUPER_MAGIC ? kt_take_fd(&fd) : -ENOENT;
}

int kt_proc_read(const char *host, const char *path, char *text, size_t size)
{
	KT_OWN(kt_close_fd) int proc = kt_proc_open(host);
	KT_OWN(kt_close_fd) int fd = proc < 0 ? -1 : openat(proc, path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;

	if (proc < 0)
		return proc;
	if (fd < 0)
		return -errno;
	while (used < size - 1) {
		ssize_t got = read(fd, text + used, size - 1 - used);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		used += (size_t)got;
	}
	if (used > 0 && text[used - 1] == '\n')
		used--;
	text[used] = '\0';
	return (int)used;
}
