/* The kernel's own word, and the one door to it: /proc and /sys are believed only where the file system says that it is
 * one. A folder of that name, a link, or a file mounted over one of theirs may hold anything. */
#ifndef KONTAIN_PROC_H
#define KONTAIN_PROC_H

#include <stddef.h>

/* Of this process: the link to what a descriptor has open. What is opened by it is compared by the caller. */
#define KT_PROC_SELF_FD "/proc/self/fd/"

/* Open HOST/proc and HOST/sys (host is "" or "/host"). An owned descriptor or -errno; -ENOENT too where something else
 * lies there. */
int kt_proc_open(const char *host);
int kt_sys_open(const char *host);

/* Read a file of it, cut to size - 1 bytes; text is NUL-terminated, without the last newline. Its length or -errno. */
int kt_proc_read(const char *host, const char *path, char *text, size_t size);
int kt_sys_read(const char *host, const char *path, char *text, size_t size);

#endif
