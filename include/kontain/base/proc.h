/* The kernel's own word, and the one door to it: /proc and /sys are believed only where the file system says that it is
 * one. A folder of that name, a link, or a file mounted over one of theirs may hold anything. */
#ifndef KONTAIN_PROC_H
#define KONTAIN_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of this process: the link to what a descriptor has open. What is opened by it is compared by the caller. */
#define KT_PROC_SELF_FD "/proc/self/fd/"

/* Open HOST/proc and HOST/sys (host is "" or "/host"). An owned descriptor or -errno; -ENOENT too where something else
 * lies there. */
int kt_proc_open(const char *host);
int kt_sys_open(const char *host);

/* Read a file of it, cut to size - 1 bytes; text is NUL-terminated, without the last newline. Its length or -errno. */
int kt_proc_read(const char *host, const char *path, char *text, size_t size);
int kt_sys_read(const char *host, const char *path, char *text, size_t size);

/* What /proc/PID/stat says of a process (proc(5)). */
#define KT_PROCESS_PROGRAM_MAX 17
struct kt_process {
	int pid, parent;                      /* by the numbers of that proc file system */
	char state;                           /* R, S, Z ... */
	uint64_t start;                       /* clock ticks since boot: with pid, one process of a boot and no other */
	char program[KT_PROCESS_PROGRAM_MAX]; /* printable: the name is the process's own choice */
};
/* path: "self/stat" or "123/stat" below an open proc (kt_proc_open), "stat" below a process of it. False when it has
 * gone. */
bool kt_process_read(int dir, const char *path, struct kt_process *ret_process);

#endif
