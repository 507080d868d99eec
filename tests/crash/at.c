/* Strikes a command, and all processes that it makes, at one of its system calls. A call is named by what it is:
 *
 *   PROCESS CALL OBJECT #N      main renameat root/.partial-current -> root/current #1
 *
 * PROCESS  main; main.2 is the second child that main made; main.2:prober when it runs another program than its parent;
 *          main+1 is main's first thread
 * OBJECT   the paths that the call names, by descriptor or by name, without the root's own path (-r, -s), and with what
 *          differs from run to run replaced (-n); "socket" and "pipe" for those; nothing where the call names none
 * #N       which of the calls of this name that the process makes. A call that a signal interrupted and that is made
 *          again, by the kernel or by the program, is the same call
 *
 *   kt-crash-at [OPTION]... record COMMAND...             strikes none
 *   kt-crash-at [OPTION]... watch IN OUT COMMAND...       before each call that changes something, writes its name to
 *                                                         the descriptor OUT and reads a byte from IN
 *   kt-crash-at [OPTION]... kill NAME COMMAND...          SIGKILL to all of them as the call is entered
 *   kt-crash-at [OPTION]... tear NAME COMMAND...          the call writes half of what it was asked to, then SIGKILL
 *   kt-crash-at [OPTION]... short NAME COMMAND...         the call writes half of what it was asked to
 *   kt-crash-at [OPTION]... fail NAME ERRNO COMMAND...    the call does not happen and answers -ERRNO
 *   kt-crash-at [OPTION]... bereave NAME COMMAND...       SIGKILL to the one process that makes it
 *   kt-crash-at [OPTION]... rival NAME OTHER COMMAND...   OTHER, a line for the shell, runs to its end before the call
 *
 *   -r ROOT       the store's root, "root" in names; the folder above it, which must be the store's alone, is "above"
 *   -s FROM=TO    a path, and all below it, by another name
 *   -n REGEX=TEXT what matches (POSIX, extended) is replaced in every path
 *   -u REGEX      a call whose name, without its number, matches is an instant only the first time: how often it is
 *                 made depends on what is beside the command
 *   -k FILE       names that are known, a line each
 *   -o FILE       gets a line "FLAGS NAME" for each call before the strike whose name is not known. FLAGS: e, s, i: it
 *                 can fail with EIO, ENOSPC, EINTR; c: it changes the store; w: it can write half; b: its
 *                 process was made by the command; -: none of them
 *
 * A program's calls count from the first that names the root, the folder above it or something in them: what comes
 * before touches nothing. The calls of the processes that it makes count from their beginning.
 * Exit status: the command's own; 99 killed, all processes have ended; 98 the command ended before that call; 97 this
 * program failed. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <search.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 99, NOT_REACHED = 98, BROKEN = 97 };
enum { EIO_ = 1, ROOM = 2, EINTR_ = 4, CHANGES = 8, WRITES = 16, CLOSES = 32, CREATES = 64, BORN = 128 };

/* The kernel's own, which programs never see: the call was interrupted and is made again (include/linux/errno.h). */
enum { RESTART_SYS = 512, RESTART_NO_INTR = 513, RESTART_NO_HAND = 514, RESTART_BLOCK = 516 };

/* Older headers lack it. */
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

/* Longer than any call's name: two paths, the process and the number. */
#define NAME_BYTES  (2 * PATH_MAX + 256)
#define PATIENCE_S  120 /* a command that hangs ends this program, and is killed with it */
#define TASKS_MAX   256
#define NUMBERS_MAX 512

/* By their manual pages. `object`: pairs of what an argument is, and which one it is: f a descriptor, p a path, a the
 * descriptor of a directory with a path in the next argument. An open that creates nothing changes nothing. */
static const struct call {
	const char *name;
	const char *object;
	unsigned what;
} calls[NUMBERS_MAX] = {
	[SYS_open] = {"open", "p0", EIO_ | ROOM | EINTR_ | CHANGES | CREATES},
	[SYS_creat] = {"creat", "p0", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_openat] = {"openat", "a0", EIO_ | ROOM | EINTR_ | CHANGES | CREATES},
	[SYS_openat2] = {"openat2", "a0", EIO_ | ROOM | EINTR_ | CHANGES | CREATES},
	[SYS_close] = {"close", "f0", EIO_ | ROOM | EINTR_ | CLOSES},
	[SYS_read] = {"read", "f0", EIO_ | EINTR_},
	[SYS_readv] = {"readv", "f0", EIO_ | EINTR_},
	[SYS_pread64] = {"pread64", "f0", EIO_ | EINTR_},
	[SYS_write] = {"write", "f0", EIO_ | ROOM | EINTR_ | CHANGES | WRITES},
	[SYS_pwrite64] = {"pwrite64", "f0", EIO_ | ROOM | EINTR_ | CHANGES | WRITES},
	[SYS_writev] = {"writev", "f0", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_pwritev] = {"pwritev", "f0", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_pwritev2] = {"pwritev2", "f0", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_sendfile] = {"sendfile", "f0f1", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_splice] = {"splice", "f0f2", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_copy_file_range] = {"copy_file_range", "f0f2", EIO_ | ROOM | CHANGES},
	[SYS_truncate] = {"truncate", "p0", EIO_ | EINTR_ | CHANGES},
	[SYS_ftruncate] = {"ftruncate", "f0", EIO_ | EINTR_ | CHANGES},
	[SYS_fallocate] = {"fallocate", "f0", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_sync_file_range] = {"sync_file_range", "f0", EIO_ | ROOM | CHANGES},
	[SYS_fsync] = {"fsync", "f0", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_fdatasync] = {"fdatasync", "f0", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_syncfs] = {"syncfs", "f0", EIO_ | ROOM | EINTR_ | CHANGES},
	[SYS_sync] = {"sync", "", CHANGES},
	[SYS_msync] = {"msync", "", EIO_ | CHANGES},
	[SYS_rename] = {"rename", "p0p1", EIO_ | ROOM | CHANGES},
	[SYS_renameat] = {"renameat", "a0a2", EIO_ | ROOM | CHANGES},
	[SYS_renameat2] = {"renameat2", "a0a2", EIO_ | ROOM | CHANGES},
	[SYS_link] = {"link", "p0p1", EIO_ | ROOM | CHANGES},
	[SYS_linkat] = {"linkat", "a0a2", EIO_ | ROOM | CHANGES},
	[SYS_symlink] = {"symlink", "p1", EIO_ | ROOM | CHANGES},
	[SYS_symlinkat] = {"symlinkat", "a1", EIO_ | ROOM | CHANGES},
	[SYS_mkdir] = {"mkdir", "p0", EIO_ | ROOM | CHANGES},
	[SYS_mkdirat] = {"mkdirat", "a0", EIO_ | ROOM | CHANGES},
	[SYS_mknod] = {"mknod", "p0", EIO_ | ROOM | CHANGES},
	[SYS_mknodat] = {"mknodat", "a0", EIO_ | ROOM | CHANGES},
	[SYS_unlink] = {"unlink", "p0", EIO_ | CHANGES},
	[SYS_unlinkat] = {"unlinkat", "a0", EIO_ | CHANGES},
	[SYS_rmdir] = {"rmdir", "p0", EIO_ | CHANGES},
	[SYS_chmod] = {"chmod", "p0", EIO_ | CHANGES},
	[SYS_fchmod] = {"fchmod", "f0", EIO_ | CHANGES},
	[SYS_fchmodat] = {"fchmodat", "a0", EIO_ | CHANGES},
	[SYS_fchmodat2] = {"fchmodat2", "a0", EIO_ | CHANGES},
	[SYS_chown] = {"chown", "p0", EIO_ | CHANGES},
	[SYS_lchown] = {"lchown", "p0", EIO_ | CHANGES},
	[SYS_fchown] = {"fchown", "f0", EIO_ | CHANGES},
	[SYS_fchownat] = {"fchownat", "a0", EIO_ | CHANGES},
	[SYS_utimensat] = {"utimensat", "a0", EIO_ | CHANGES},
	[SYS_setxattr] = {"setxattr", "p0", EIO_ | ROOM | CHANGES},
	[SYS_lsetxattr] = {"lsetxattr", "p0", EIO_ | ROOM | CHANGES},
	[SYS_fsetxattr] = {"fsetxattr", "f0", EIO_ | ROOM | CHANGES},
	[SYS_removexattr] = {"removexattr", "p0", EIO_ | CHANGES},
	[SYS_lremovexattr] = {"lremovexattr", "p0", EIO_ | CHANGES},
	[SYS_fremovexattr] = {"fremovexattr", "f0", EIO_ | CHANGES},
	[SYS_mount] = {"mount", "p1", CHANGES},
	[SYS_umount2] = {"umount2", "p0", CHANGES},
	[SYS_ioctl] = {"ioctl", "f0", CHANGES},
	[SYS_stat] = {"stat", "p0", EIO_},
	[SYS_lstat] = {"lstat", "p0", EIO_},
	[SYS_fstat] = {"fstat", "f0", EIO_},
	[SYS_newfstatat] = {"newfstatat", "a0", EIO_},
	[SYS_statx] = {"statx", "a0", EIO_},
	[SYS_statfs] = {"statfs", "p0", EIO_ | EINTR_},
	[SYS_fstatfs] = {"fstatfs", "f0", EIO_ | EINTR_},
	[SYS_getdents64] = {"getdents64", "f0", EIO_},
	[SYS_readlink] = {"readlink", "p0", EIO_},
	[SYS_readlinkat] = {"readlinkat", "a0", EIO_},
	[SYS_access] = {"access", "p0", EIO_},
	[SYS_faccessat] = {"faccessat", "a0", EIO_},
	[SYS_faccessat2] = {"faccessat2", "a0", EIO_},
	[SYS_getxattr] = {"getxattr", "p0", EIO_},
	[SYS_lgetxattr] = {"lgetxattr", "p0", EIO_},
	[SYS_fgetxattr] = {"fgetxattr", "f0", EIO_},
	[SYS_flock] = {"flock", "f0", EINTR_},
	[SYS_sendto] = {"sendto", "f0", EINTR_},
	[SYS_recvfrom] = {"recvfrom", "f0", EINTR_},
	[SYS_sendmsg] = {"sendmsg", "f0", EINTR_},
	[SYS_recvmsg] = {"recvmsg", "f0", EINTR_},
	[SYS_wait4] = {"wait4", "", EINTR_},
	[SYS_waitid] = {"waitid", "", EINTR_},
	/* no more than a name */
	[SYS_lseek] = {"lseek", "f0", 0},
	[SYS_fcntl] = {"fcntl", "f0", 0},
	[SYS_fadvise64] = {"fadvise64", "f0", 0},
	[SYS_dup] = {"dup", "f0", 0},
	[SYS_fchdir] = {"fchdir", "f0", 0},
	[SYS_chdir] = {"chdir", "p0", 0},
	[SYS_mmap] = {"mmap", "f4", 0},
	[SYS_munmap] = {"munmap", "", 0},
	[SYS_mremap] = {"mremap", "", 0},
	[SYS_mprotect] = {"mprotect", "", 0},
	[SYS_madvise] = {"madvise", "", 0},
	[SYS_brk] = {"brk", "", 0},
	[SYS_futex] = {"futex", "", 0},
	[SYS_getpid] = {"getpid", "", 0},
	[SYS_getppid] = {"getppid", "", 0},
	[SYS_gettid] = {"gettid", "", 0},
	[SYS_geteuid] = {"geteuid", "", 0},
	[SYS_uname] = {"uname", "", 0},
	[SYS_umask] = {"umask", "", 0},
	[SYS_getrandom] = {"getrandom", "", 0},
	[SYS_clock_gettime] = {"clock_gettime", "", 0},
	[SYS_poll] = {"poll", "", 0},
	[SYS_ppoll] = {"ppoll", "", 0},
	[SYS_rt_sigaction] = {"rt_sigaction", "", 0},
	[SYS_rt_sigprocmask] = {"rt_sigprocmask", "", 0},
	[SYS_set_robust_list] = {"set_robust_list", "", 0},
	[SYS_set_tid_address] = {"set_tid_address", "", 0},
	[SYS_rseq] = {"rseq", "", 0},
	[SYS_arch_prctl] = {"arch_prctl", "", 0},
	[SYS_prctl] = {"prctl", "", 0},
	[SYS_prlimit64] = {"prlimit64", "", 0},
	[SYS_kill] = {"kill", "", 0},
	[SYS_socketpair] = {"socketpair", "", 0},
	[SYS_socket] = {"socket", "", 0},
	[SYS_shutdown] = {"shutdown", "f0", 0},
	[SYS_pipe2] = {"pipe2", "", 0},
	[SYS_clone] = {"clone", "", 0},
	[SYS_clone3] = {"clone3", "", 0},
	[SYS_fork] = {"fork", "", 0},
	[SYS_vfork] = {"vfork", "", 0},
	[SYS_execve] = {"execve", "p0", 0},
	[SYS_unshare] = {"unshare", "", 0},
	[SYS_exit] = {"exit", "", 0},
	[SYS_exit_group] = {"exit_group", "", 0},
};

static const struct way {
	const char *name;
	enum { NEVER, ASKS, ONE_CALL, HALF_A_CALL, HALF_THEN_ALL, ONE_PROCESS, ALL_PROCESSES, LETS_IN } does;
} ways[] = {
	{"record", NEVER},      {"watch", ASKS},    {"kill", ALL_PROCESSES},  {"tear", HALF_THEN_ALL},
	{"short", HALF_A_CALL}, {"fail", ONE_CALL}, {"bereave", ONE_PROCESS}, {"rival", LETS_IN},
};

struct traced {
	pid_t pid;      /* 0 when it has ended: its number may be another's from then on */
	char role[128]; /* "" until its parent's stop reports it: it is held that long */
	unsigned children, threads;
	bool has_run; /* a program of its own: the first that main runs is the command */
	bool has_begun, is_born;
	bool may_resume;  /* its last call was interrupted */
	uint64_t last[8]; /* that call: number, arguments, from where */
};

struct counted {
	char *name;
	unsigned count;
};

struct strike {
	const struct way *way;
	const char *at; /* the name of the call */
	int error, ask_in, ask_out;
	const char *rival;
	FILE *news; /* NULL: nobody asks */
	bool is_done;
	pid_t failing, tearing;          /* whose call is to answer -error, or to be its last, on its way out */
	struct traced traced[TASKS_MAX]; /* in the order of their births */
	unsigned births;
	void *counts, *known; /* trees of struct counted, of char * */
};

/* What paths are called. */
static struct {
	char from[PATH_MAX], to[64];
} substitutes[16];
static size_t substitute_count;
static struct {
	regex_t what;
	const char *with;
} noises[16];
static size_t noise_count;
static regex_t uncounted[16];
static size_t uncounted_count;

/* ---- names ---- */

static bool memory_read(pid_t pid, uint64_t from, void *bytes, size_t size)
{
	struct iovec here = {bytes, size}, there = {(void *)from, size};

	return process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)size;
}

/* A page at a time: behind the text's own there may be none. */
static bool text_read(pid_t pid, uint64_t from, char text[PATH_MAX])
{
	for (size_t used = 0; used < PATH_MAX;) {
		size_t step = 4096 - (from + used) % 4096;

		if (step > PATH_MAX - used)
			step = PATH_MAX - used;
		if (!memory_read(pid, from + used, text + used, step))
			return false;
		if (memchr(text + used, '\0', step))
			return true;
		used += step;
	}
	return false;
}

/* What a descriptor of a process is: a path, or "socket", "pipe"... without their numbers. */
static void descriptor_read(pid_t pid, int fd, char path[PATH_MAX])
{
	static const char deleted[] = " (deleted)";
	char link[64];
	ssize_t size;

	(void)snprintf(link, sizeof(link), fd == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", (int)pid, fd);
	size = readlink(link, path, PATH_MAX - 1);
	path[size > 0 ? size : 0] = '\0';
	if (size <= 0)
		(void)snprintf(path, PATH_MAX, "none");
	else if (path[0] != '/')
		path[strcspn(path, ":")] = '\0';
	else if ((size_t)size >= sizeof(deleted) && strcmp(path + size - (sizeof(deleted) - 1), deleted) == 0)
		path[(size_t)size - (sizeof(deleted) - 1)] = '\0';
}

/* Takes out "//", "/./" and what is at the end. */
static void path_tidy(char *path)
{
	char *to = path;

	for (const char *from = path; *from; from++) {
		if (from[0] == '/' && (from[1] == '/' || (from[1] == '\0' && to != path)))
			continue;
		if (from[0] == '/' && from[1] == '.' && (from[2] == '/' || from[2] == '\0')) {
			from++;
			continue;
		}
		*to++ = *from;
	}
	*to = '\0';
}

static void replace(char path[PATH_MAX], size_t from, size_t to, const char *with)
{
	char rest[PATH_MAX];

	(void)snprintf(rest, sizeof(rest), "%s", path + to);
	(void)snprintf(path + from, PATH_MAX - from, "%s%s", with, rest);
}

static void path_rename(char path[PATH_MAX])
{
	path_tidy(path);
	for (size_t i = 0; i < substitute_count; i++) {
		size_t size = strlen(substitutes[i].from);

		if (strncmp(path, substitutes[i].from, size) == 0 && (path[size] == '/' || path[size] == '\0')) {
			replace(path, 0, size, substitutes[i].to);
			break;
		}
	}
	for (size_t i = 0; i < noise_count; i++) {
		regmatch_t found;
		size_t at = 0;

		while (path[at] && regexec(&noises[i].what, path + at, 1, &found, at ? REG_NOTBOL : 0) == 0 &&
		       found.rm_eo > found.rm_so) {
			replace(path, at + (size_t)found.rm_so, at + (size_t)found.rm_eo, noises[i].with);
			at += (size_t)found.rm_so + strlen(noises[i].with);
		}
	}
}

/* One of a call's objects. */
static void object_read(pid_t pid, const struct __ptrace_syscall_info *info, const char *object, char path[PATH_MAX])
{
	const uint64_t *args = info->entry.args;
	size_t index = (size_t)(object[1] - '0');
	char name[PATH_MAX] = "";
	size_t size;

	path[0] = '\0';
	if (object[0] == 'f') {
		if ((int)args[index] >= 0)
			descriptor_read(pid, (int)args[index], path);
	} else if (text_read(pid, args[index + (object[0] == 'a')], name)) {
		if (name[0] != '/')
			descriptor_read(pid, object[0] == 'a' ? (int)args[index] : AT_FDCWD, path);
		size = strlen(path);
		if (name[0] != '\0' && size + 1 + strlen(name) < PATH_MAX) {
			path[size] = '/';
			memcpy(path + size + 1, name, strlen(name) + 1);
		}
	}
	path_rename(path);
}

static bool is_below(const char *path, const char *folder)
{
	size_t size = strlen(folder);

	return strncmp(path, folder, size) == 0 && (path[size] == '\0' || path[size] == '/');
}

/* openat2 has its flags in memory, as the first member of struct open_how. */
static bool is_creating(pid_t pid, const struct __ptrace_syscall_info *info)
{
	uint64_t flags = info->entry.args[info->entry.nr == SYS_open ? 1 : 2];

	if (info->entry.nr == SYS_openat2 && !memory_read(pid, flags, &flags, sizeof(flags)))
		return false;
	return flags & O_CREAT;
}

/* The call's name but for its number, what can be done to it, and whether it names the root or its folder. */
static unsigned name_make(const struct traced *traced, const struct __ptrace_syscall_info *info, char name[NAME_BYTES],
			  bool *ret_is_ours)
{
	const uint64_t nr = info->entry.nr;
	const struct call *call = nr < NUMBERS_MAX && calls[nr].name ? &calls[nr] : NULL;
	unsigned what = call ? call->what : 0;
	int size;

	*ret_is_ours = false;
	if (what & CREATES && !is_creating(traced->pid, info))
		what &= ~(unsigned)(ROOM | CHANGES | CREATES);
	if (what & WRITES && info->entry.args[2] < 2)
		what &= ~(unsigned)WRITES;
	if (traced->is_born)
		what |= BORN;
	if (call)
		size = snprintf(name, NAME_BYTES, "%s %s%s", traced->role, call->name, what & CREATES ? "+create" : "");
	else
		size = snprintf(name, NAME_BYTES, "%s call-%llu", traced->role, (unsigned long long)nr);
	for (const char *object = call ? call->object : ""; *object; object += 2) {
		char path[PATH_MAX];

		object_read(traced->pid, info, object, path);
		if (*path)
			size += snprintf(name + size, NAME_BYTES - (size_t)size, "%s%s",
					 object == call->object ? " " : " -> ", path);
		*ret_is_ours |= is_below(path, "root") || is_below(path, "above");
	}
	if (call && *call->object && !*ret_is_ours) /* what names nothing may mean anything */
		what &= ~(unsigned)CHANGES;
	return what;
}

static int name_compare(const void *one, const void *other)
{
	return strcmp(one, other);
}

static int counted_compare(const void *one, const void *other)
{
	return strcmp(((const struct counted *)one)->name, ((const struct counted *)other)->name);
}

/* Which of its name it is, from 1; 0 when memory is gone. */
static unsigned count_add(struct strike *strike, char *name)
{
	struct counted wanted = {.name = name}, *counted;
	void *node = tfind(&wanted, &strike->counts, counted_compare);

	if (node) {
		counted = *(struct counted **)node;
	} else {
		counted = malloc(sizeof(*counted));
		if (!counted)
			return 0;
		*counted = (struct counted){.name = strdup(name)};
		if (!counted->name || !tsearch(counted, &strike->counts, counted_compare))
			return 0;
	}
	return ++counted->count;
}

static bool is_uncounted(const char *name)
{
	for (size_t i = 0; i < uncounted_count; i++)
		if (regexec(&uncounted[i], name, 0, NULL, 0) == 0)
			return true;
	return false;
}

static void news_report(struct strike *strike, const char *name, unsigned what)
{
	static const struct {
		unsigned what;
		char letter;
	} letters[] = {{EIO_, 'e'}, {ROOM, 's'}, {EINTR_, 'i'}, {CHANGES, 'c'}, {WRITES, 'w'}, {BORN, 'b'}};
	char flags[8] = "-";
	size_t used = 0;

	if (!strike->news || strike->is_done || tfind(name, &strike->known, name_compare))
		return;
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (what & letters[i].what)
			flags[used++] = letters[i].letter;
	(void)fprintf(strike->news, "%s %s\n", flags, name);
}

/* ---- strikes ---- */

/* Ends all that is left; one that was just made shows itself only now, stopped. */
static void rest_kill(const struct strike *strike)
{
	int status;
	pid_t pid;

	for (unsigned i = 0; i < strike->births; i++)
		if (strike->traced[i].pid > 0)
			(void)kill(strike->traced[i].pid, SIGKILL);
	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR)
		if (pid > 0 && WIFSTOPPED(status))
			(void)kill(pid, SIGKILL);
}

static void rival_run(const char *line)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)execl("/bin/sh", "sh", "-c", line, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* false: nobody answers any more. */
static bool ask(const struct strike *strike, const char *name)
{
	char line[NAME_BYTES + 1], answer;
	int size = snprintf(line, sizeof(line), "%s\n", name);

	return write(strike->ask_out, line, (size_t)size) == size && read(strike->ask_in, &answer, 1) == 1;
}

/* true: this was it, and all are to be killed. */
static bool call_strike(struct strike *strike, pid_t pid, unsigned what)
{
	struct user_regs_struct registers;

	strike->is_done = true;
	if (strike->way->does == ALL_PROCESSES)
		return true;
	if (strike->way->does == ONE_PROCESS)
		(void)kill(pid, SIGKILL);
	if (strike->way->does == LETS_IN)
		rival_run(strike->rival);
	if (strike->way->does == ONE_PROCESS || strike->way->does == LETS_IN)
		return false;
	(void)ptrace(PTRACE_GETREGS, pid, NULL, &registers);
	if (strike->way->does == ONE_CALL) {
		if (!(what & CLOSES)) /* a close that fails has closed all the same */
			registers.orig_rax = (unsigned long long)-1;
		strike->failing = pid;
	} else {
		registers.rdx /= 2;
		if (strike->way->does == HALF_THEN_ALL)
			strike->tearing = pid;
	}
	(void)ptrace(PTRACE_SETREGS, pid, NULL, &registers);
	return false;
}

/* Is it the call that was interrupted, made again? By the kernel, from the same place with the same arguments (or by
 * restart_syscall, for those that count time), or by the program, in a loop while there is EINTR. */
static bool is_resumed(struct traced *traced, const struct __ptrace_syscall_info *info)
{
	uint64_t now[8] = {info->entry.nr};
	bool is_same;

	memcpy(now + 1, info->entry.args, sizeof(info->entry.args));
	now[7] = info->instruction_pointer;
	is_same = memcmp(now, traced->last, sizeof(now)) == 0 || info->entry.nr == SYS_restart_syscall;
	is_same = is_same && traced->may_resume;
	if (info->entry.nr != SYS_restart_syscall)
		memcpy(traced->last, now, sizeof(now));
	traced->may_resume = false;
	return is_same;
}

/* Calls that have no name: a handler's end, which comes when a signal does, between call and call; and sleep, of which
 * there may be more or less until the time has come. What is called next has one. */
static bool is_passing(uint64_t number)
{
	return number == SYS_rt_sigreturn || number == SYS_nanosleep || number == SYS_clock_nanosleep ||
	       number == SYS_futex;
}

/* KILLED: all are to be killed; BROKEN; 0: on with it. */
static int call_enter(struct strike *strike, struct traced *traced, const struct __ptrace_syscall_info *info)
{
	char name[NAME_BYTES];
	bool is_ours;
	unsigned what, n;

	if (is_passing(info->entry.nr))
		return 0;
	if (is_resumed(traced, info) || strike->is_done)
		return 0;
	what = name_make(traced, info, name, &is_ours);
	traced->has_begun |= is_ours;
	if (!traced->has_begun)
		return 0;
	n = count_add(strike, name);
	if (n == 0)
		return BROKEN;
	if (n > 1 && is_uncounted(name))
		return 0;
	(void)sprintf(name + strlen(name), " #%u", n); /* a name leaves more than room for it */
	if (strike->at && strcmp(name, strike->at) == 0)
		return call_strike(strike, traced->pid, what) ? KILLED : 0;
	news_report(strike, name, what);
	if (strike->way->does == ASKS && what & CHANGES && !ask(strike, name))
		return BROKEN;
	return 0;
}

/* Likewise. */
static int call_leave(struct strike *strike, struct traced *traced, const struct __ptrace_syscall_info *info)
{
	struct user_regs_struct registers;

	switch (-info->exit.rval) {
	case EINTR:
	case RESTART_SYS:
	case RESTART_NO_INTR:
	case RESTART_NO_HAND:
	case RESTART_BLOCK:
		traced->may_resume = true;
		break;
	default:
		traced->may_resume = false;
	}
	if (strike->tearing == traced->pid)
		return KILLED;
	if (strike->failing != traced->pid)
		return 0;
	(void)ptrace(PTRACE_GETREGS, traced->pid, NULL, &registers);
	registers.rax = (unsigned long long)-(long long)strike->error;
	(void)ptrace(PTRACE_SETREGS, traced->pid, NULL, &registers);
	strike->failing = 0;
	return 0;
}

/* ---- processes ---- */

static struct traced *traced_find(struct strike *strike, pid_t pid)
{
	for (unsigned i = 0; i < strike->births; i++)
		if (strike->traced[i].pid == pid)
			return &strike->traced[i];
	return NULL;
}

/* NULL when there are too many of them. */
static struct traced *traced_add(struct strike *strike, pid_t pid)
{
	struct traced *traced;

	if (strike->births == TASKS_MAX)
		return NULL;
	traced = &strike->traced[strike->births++];
	*traced = (struct traced){.pid = pid};
	return traced;
}

/* After the strike nobody asks for calls any more, but for the end of the one that was struck. */
static void resume(const struct strike *strike, pid_t pid, int deliver)
{
	bool is_over = strike->is_done && strike->failing != pid && strike->tearing != pid;

	(void)ptrace(is_over ? PTRACE_CONT : PTRACE_SYSCALL, pid, NULL, (void *)(long)deliver);
}

/* A parent's stop reports a child, or a thread. The child may have stopped before, and waits to be named. */
static bool birth(struct strike *strike, struct traced *parent, bool is_thread)
{
	unsigned long pid = 0;
	struct traced *child;
	bool is_held;

	(void)ptrace(PTRACE_GETEVENTMSG, parent->pid, NULL, &pid);
	child = traced_find(strike, (pid_t)pid);
	is_held = child != NULL;
	if (!child)
		child = traced_add(strike, (pid_t)pid);
	if (!child)
		return false;
	(void)snprintf(child->role, sizeof(child->role), "%.100s%c%u", parent->role, is_thread ? '+' : '.',
		       is_thread ? ++parent->threads : ++parent->children);
	child->has_begun = parent->has_begun;
	child->is_born = is_thread ? parent->is_born : parent->has_begun;
	child->has_run = true;
	if (is_held)
		resume(strike, child->pid, 0);
	return true;
}

/* Another program: its calls count at once when one that counts made the process, else from where it names the root. */
static void program_begin(struct strike *strike, struct traced *traced)
{
	char path[64], name[32] = "";
	unsigned long former = 0;
	struct traced *thread;
	FILE *comm;

	(void)ptrace(PTRACE_GETEVENTMSG, traced->pid, NULL, &former);
	thread = traced_find(strike, (pid_t)former);
	if (thread && thread != traced) /* a thread that runs a program takes its process's number */
		thread->pid = 0;
	traced->has_begun = traced->is_born;
	if (!traced->has_run) {
		traced->has_run = true;
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)traced->pid);
	comm = fopen(path, "re");
	if (comm) {
		if (fgets(name, sizeof(name), comm))
			name[strcspn(name, "\n")] = '\0';
		(void)fclose(comm);
	}
	if (!strchr(traced->role, ':') || strrchr(traced->role, ':') < strrchr(traced->role, '.'))
		(void)snprintf(traced->role + strlen(traced->role), sizeof(traced->role) - strlen(traced->role), ":%s",
			       name);
}

static int end(const struct strike *strike, int status)
{
	rest_kill(strike); /* none of its children may outlive the answer */
	if (strike->at && !strike->is_done)
		return NOT_REACHED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* One of them has stopped. KILLED, BROKEN, or 0 when it goes on. */
static int stop_handle(struct strike *strike, struct traced *traced, int status)
{
	struct __ptrace_syscall_info info;
	int event = status >> 16, deliver = 0, r = 0;
	pid_t pid = traced->pid;

	if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0)
			return 0; /* killed meanwhile: its end is reported next */
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
			r = call_enter(strike, traced, &info);
		else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
			r = call_leave(strike, traced, &info);
	} else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
		r = birth(strike, traced, event == PTRACE_EVENT_CLONE) ? 0 : BROKEN;
	} else if (event == PTRACE_EVENT_EXEC) {
		program_begin(strike, traced);
	} else if (event == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP) {
		(void)ptrace(PTRACE_LISTEN, pid, NULL, NULL); /* stopped by a signal, until another lets it go on */
		return 0;
	} else if (event == 0) {
		deliver = WSTOPSIG(status);
	}
	if (r == 0)
		resume(strike, pid, deliver);
	return r;
}

static int follow(struct strike *strike)
{
	int status, r = 0;

	while (r == 0) {
		pid_t pid = waitpid(-1, &status, __WALL);
		struct traced *traced;

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return BROKEN;
		traced = traced_find(strike, pid);
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (traced)
				traced->pid = 0;
			if (traced == strike->traced)
				return end(strike, status);
			continue;
		}
		if (!traced && !(traced = traced_add(strike, pid)))
			r = BROKEN;
		else if (*traced->role)
			r = stop_handle(strike, traced, status);
		/* else it is held until its parent's stop reports it: only then is it known whose child it is */
	}
	rest_kill(strike);
	return r;
}

static int run(struct strike *strike, char **command)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
	int gate[2];
	char byte = 0;
	pid_t pid;

	if (pipe2(gate, O_CLOEXEC) < 0 || (pid = fork()) < 0)
		return BROKEN;
	if (pid == 0) {
		if (read(gate[0], &byte, 1) == 1)
			(void)execvp(command[0], command);
		_exit(BROKEN);
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)options) < 0) {
		(void)fprintf(stderr, "kt-crash-at: cannot trace %s: %s\n", command[0], strerror(errno));
		(void)kill(pid, SIGKILL);
		return BROKEN;
	}
	(void)snprintf(traced_add(strike, pid)->role, sizeof(strike->traced[0].role), "main");
	if (write(gate[1], &byte, 1) != 1) /* from here to its exec nothing stops it */
		return BROKEN;
	return follow(strike);
}

/* ---- the command line ---- */

static bool substitute_add(const char *from, size_t size, const char *to)
{
	if (size == 0 || size >= PATH_MAX || substitute_count == sizeof(substitutes) / sizeof(substitutes[0]))
		return false;
	(void)snprintf(substitutes[substitute_count].from, PATH_MAX, "%.*s", (int)size, from);
	(void)snprintf(substitutes[substitute_count].to, sizeof(substitutes[0].to), "%s", to);
	substitute_count++;
	return true;
}

static bool root_set(const char *root)
{
	const char *slash = strrchr(root, '/');

	return root[0] == '/' && substitute_add(root, strlen(root), "root") &&
	       (slash == root || substitute_add(root, (size_t)(slash - root), "above"));
}

static bool noise_add(char *text)
{
	char *with = strrchr(text, '=');

	if (!with || noise_count == sizeof(noises) / sizeof(noises[0]))
		return false;
	*with = '\0';
	noises[noise_count].with = with + 1;
	return regcomp(&noises[noise_count++].what, text, REG_EXTENDED) == 0;
}

static bool known_read(struct strike *strike, const char *path)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return false;
	while (getline(&line, &room, file) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!tsearch(line, &strike->known, name_compare))
			return false;
		line = NULL; /* the tree's now */
		room = 0;
	}
	free(line);
	(void)fclose(file);
	return true;
}

static bool option_take(struct strike *strike, int option, char *value)
{
	const char *equals = strchr(value, '=');

	switch (option) {
	case 'r':
		return root_set(value);
	case 's':
		return equals && substitute_add(value, (size_t)(equals - value), equals + 1);
	case 'n':
		return noise_add(value);
	case 'u':
		return uncounted_count < sizeof(uncounted) / sizeof(uncounted[0]) &&
		       regcomp(&uncounted[uncounted_count++], value, REG_EXTENDED | REG_NOSUB) == 0;
	case 'k':
		return known_read(strike, value);
	case 'o':
		return (strike->news = fopen(value, "we")) != NULL;
	default:
		return false;
	}
}

static bool way_take(struct strike *strike, char ***next)
{
	char **words = *next;

	for (size_t i = 0; words[0] && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].name, words[0]) == 0)
			strike->way = &ways[i];
	if (!strike->way)
		return false;
	words++;
	if (strike->way->does == ASKS) {
		if (!words[0] || !words[1])
			return false;
		strike->ask_in = atoi(*words++);
		strike->ask_out = atoi(*words++);
	} else if (strike->way->does != NEVER) {
		strike->at = *words++;
		if (!strike->at)
			return false;
	}
	if (strike->way->does == ONE_CALL && words[0])
		strike->error = atoi(*words++);
	if (strike->way->does == LETS_IN && words[0])
		strike->rival = *words++;
	*next = words;
	return words[0] != NULL && (strike->way->does != ONE_CALL || strike->error > 0);
}

int main(int argc, char **argv)
{
	static struct strike strike;
	bool is_clear = true;
	char **next;
	int option;

	while (is_clear && (option = getopt(argc, argv, "+r:s:n:u:k:o:")) != -1)
		is_clear = option != '?' && option_take(&strike, option, optarg);
	next = argv + optind;
	if (!is_clear || !way_take(&strike, &next)) {
		(void)fprintf(stderr, "usage: kt-crash-at [-r ROOT] [-s FROM=TO]... [-n REGEX=TEXT]... [-u REGEX]... "
				      "[-k KNOWN] [-o NEW] record | watch IN OUT | kill|tear|short|bereave NAME | "
				      "fail NAME ERRNO | rival NAME OTHER COMMAND...\n");
		return BROKEN;
	}
	(void)alarm(PATIENCE_S);

	int status = run(&strike, next);

	if (strike.news && fclose(strike.news) != 0)
		return BROKEN;
	return status;
}
