/* The host's /proc, believed only when it is one. */
#ifndef KT_NODE_PROC_H
#define KT_NODE_PROC_H

#include <stddef.h>

/* Opens HOST/proc. An owned descriptor or -errno; -ENOENT too where something else lies there. */
int kt_proc_open(const char *host);

/* Reads a file of it, cut to size - 1 bytes; text is NUL-terminated, without the last newline. Its length or -errno. */
int kt_proc_read(const char *host, const char *path, char *text, size_t size);

#endif
