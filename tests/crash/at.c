/* Strikes a command, and all processes that it makes, at one of its system calls. WHERE is P:N, the N-th call of the
 * P-th process in the order of their births, 0 being the command itself: two that run at once mix their calls otherwise
 * each time, and a number that counts both would miss some.
 *
 *   kt-crash-at kill WHERE COMMAND...         SIGKILL to all of them as the call is entered; every call counts
 *   kt-crash-at cut WHERE COMMAND...          likewise, but only calls count that change what is on the disk
 *   kt-crash-at bereave WHERE COMMAND...      SIGKILL to the one process that makes it; only calls of children count
 *   kt-crash-at fail WHERE ERRNO COMMAND...   the call does not happen and answers -ERRNO; only calls count that can
 *   kt-crash-at short WHERE COMMAND...        the call writes half of what it was asked to; only writes count
 *   kt-crash-at rival WHERE OTHER COMMAND...  OTHER, a line for the shell, runs to its end before the call is made
 *   kt-crash-at count WAY [ERRNO] COMMAND...  prints how many calls count, a line "P N" a process, and strikes none
 *
 * Counting begins with the first openat2: by it the store opens its root, and nothing before it touches anything.
 * The name of the call that was struck is printed on stderr. Exit status: the command's own; 99 killed, all are gone;
 * 98 the command ended before that call; 97 this program failed. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLED = 99, NOT_REACHED = 98, BROKEN = 97 };
enum { CAN_EIO = 1, CAN_ENOSPC = 2, CAN_EINTR = 4, CHANGES = 8, IS_WRITE = 16, IS_CLOSE = 32 };

/* By their manual pages. An open changes something, or lacks room, only where it creates. */
static const struct call {
	long number;
	const char *name;
	unsigned what;
} calls[] = {
	{SYS_openat, "openat", CAN_EIO | CAN_ENOSPC | CAN_EINTR | CHANGES},
	{SYS_openat2, "openat2", CAN_EIO | CAN_ENOSPC | CAN_EINTR | CHANGES},
	{SYS_read, "read", CAN_EIO | CAN_EINTR},
	{SYS_pread64, "pread64", CAN_EIO | CAN_EINTR},
	{SYS_write, "write", CAN_EIO | CAN_ENOSPC | CAN_EINTR | CHANGES | IS_WRITE},
	{SYS_pwrite64, "pwrite64", CAN_EIO | CAN_ENOSPC | CAN_EINTR | CHANGES | IS_WRITE},
	{SYS_copy_file_range, "copy_file_range", CAN_EIO | CAN_ENOSPC | CHANGES},
	{SYS_ftruncate, "ftruncate", CAN_EIO | CAN_EINTR | CHANGES},
	{SYS_fallocate, "fallocate", CAN_EIO | CAN_ENOSPC | CAN_EINTR | CHANGES},
	{SYS_sync_file_range, "sync_file_range", CAN_EIO | CAN_ENOSPC | CHANGES},
	{SYS_fsync, "fsync", CAN_EIO | CAN_ENOSPC | CAN_EINTR | CHANGES},
	{SYS_fdatasync, "fdatasync", CAN_EIO | CAN_ENOSPC | CAN_EINTR | CHANGES},
	{SYS_syncfs, "syncfs", CAN_EIO | CAN_ENOSPC | CAN_EINTR | CHANGES},
	{SYS_rename, "rename", CAN_EIO | CAN_ENOSPC | CHANGES},
	{SYS_renameat, "renameat", CAN_EIO | CAN_ENOSPC | CHANGES},
	{SYS_renameat2, "renameat2", CAN_EIO | CAN_ENOSPC | CHANGES},
	{SYS_mkdirat, "mkdirat", CAN_EIO | CAN_ENOSPC | CHANGES},
	{SYS_symlinkat, "symlinkat", CAN_EIO | CAN_ENOSPC | CHANGES},
	{SYS_unlinkat, "unlinkat", CAN_EIO | CHANGES},
	{SYS_rmdir, "rmdir", CAN_EIO | CHANGES},
	{SYS_fchmod, "fchmod", CAN_EIO | CHANGES},
	{SYS_fchownat, "fchownat", CAN_EIO | CHANGES},
	{SYS_fstat, "fstat", CAN_EIO},
	{SYS_newfstatat, "newfstatat", CAN_EIO},
	{SYS_statx, "statx", CAN_EIO},
	{SYS_statfs, "statfs", CAN_EIO | CAN_EINTR},
	{SYS_fstatfs, "fstatfs", CAN_EIO | CAN_EINTR},
	{SYS_getdents64, "getdents64", CAN_EIO},
	{SYS_readlinkat, "readlinkat", CAN_EIO},
	{SYS_flock, "flock", CAN_EINTR},
	{SYS_close, "close", CAN_EIO | CAN_ENOSPC | CAN_EINTR | IS_CLOSE},
	{SYS_sendto, "sendto", CAN_EINTR},
	{SYS_recvfrom, "recvfrom", CAN_EINTR},
	{SYS_wait4, "wait4", CAN_EINTR},
};

static const struct way {
	const char *name;
	unsigned counts; /* calls that have one of these; all of them for 0 */
	enum { ONE_CALL, ONE_PROCESS, ALL_PROCESSES, NOTHING } ends;
} ways[] = {
	{"kill", 0, ALL_PROCESSES}, {"cut", CHANGES, ALL_PROCESSES}, {"bereave", 0, ONE_PROCESS},
	{"fail", 0, ONE_CALL},      {"short", IS_WRITE, ONE_CALL},   {"rival", 0, NOTHING},
};

struct strike {
	const struct way *way;
	unsigned counts;
	int error;
	const char *rival;
	unsigned process; /* whose call */
	long at;          /* which of them; 0: only count */
	bool has_begun, is_done;
	pid_t failing;    /* whose call is to answer -error on its way out */
	struct traced {
		pid_t pid; /* 0 when it has ended: its number may be another's from then on */
		long seen;
	} traced[64];      /* in the order of their births */
	unsigned births;
};

static const struct call *call_find(uint64_t number)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if ((uint64_t)calls[i].number == number)
			return &calls[i];
	return NULL;
}

/* openat2 has its flags in memory, as the first member of struct open_how. */
static bool is_creating(pid_t pid, const struct __ptrace_syscall_info *info)
{
	uint64_t flags = info->entry.args[2];

	if (info->entry.nr == SYS_openat2)
		flags = (uint64_t)ptrace(PTRACE_PEEKDATA, pid, (void *)info->entry.args[2], NULL);
	return flags & O_CREAT;
}

static unsigned call_what(pid_t pid, const struct __ptrace_syscall_info *info, const struct call *call)
{
	if (!call)
		return 0;
	if ((call->number == SYS_openat || call->number == SYS_openat2) && !is_creating(pid, info))
		return call->what & ~(unsigned)(CAN_ENOSPC | CHANGES);
	if ((call->what & IS_WRITE) && info->entry.args[2] < 2)
		return call->what & ~(unsigned)IS_WRITE;
	return call->what;
}

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

static void call_change(struct strike *strike, pid_t pid, const struct call *call)
{
	struct user_regs_struct registers;

	(void)ptrace(PTRACE_GETREGS, pid, NULL, &registers);
	if (strike->counts == IS_WRITE) {
		registers.rdx /= 2;
	} else {
		if (!(call->what & IS_CLOSE)) /* a close that fails has closed all the same */
			registers.orig_rax = (unsigned long long)-1;
		strike->failing = pid;
	}
	(void)ptrace(PTRACE_SETREGS, pid, NULL, &registers);
}

static struct traced *traced_find(struct strike *strike, pid_t pid)
{
	for (unsigned i = 0; i < strike->births; i++)
		if (strike->traced[i].pid == pid)
			return &strike->traced[i];
	return NULL;
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

/* true: this was it, and all are to be killed. */
static bool call_enter(struct strike *strike, struct traced *traced, const struct __ptrace_syscall_info *info)
{
	const struct call *call = call_find(info->entry.nr);
	unsigned number = (unsigned)(traced - strike->traced);

	strike->has_begun |= info->entry.nr == SYS_openat2;
	if (!strike->has_begun || strike->is_done)
		return false;
	if (strike->counts && !(call_what(traced->pid, info, call) & strike->counts))
		return false;
	if (strike->way->ends == ONE_PROCESS && number == 0)
		return false;
	if (++traced->seen != strike->at || number != strike->process)
		return false;
	strike->is_done = true;
	(void)fprintf(stderr, "%s\n", call ? call->name : "other");
	if (strike->way->ends == ONE_CALL)
		call_change(strike, traced->pid, call);
	else if (strike->way->ends == ONE_PROCESS)
		(void)kill(traced->pid, SIGKILL);
	else if (strike->way->ends == NOTHING)
		rival_run(strike->rival);
	return strike->way->ends == ALL_PROCESSES;
}

static void call_leave(struct strike *strike, pid_t pid)
{
	struct user_regs_struct registers;

	if (strike->failing != pid)
		return;
	(void)ptrace(PTRACE_GETREGS, pid, NULL, &registers);
	registers.rax = (unsigned long long)-(long long)strike->error;
	(void)ptrace(PTRACE_SETREGS, pid, NULL, &registers);
	strike->failing = 0;
}

/* NULL when there are too many of them. */
static struct traced *traced_keep(struct strike *strike, pid_t pid)
{
	struct traced *traced = traced_find(strike, pid);

	if (traced || strike->births == sizeof(strike->traced) / sizeof(strike->traced[0]))
		return traced;
	traced = &strike->traced[strike->births++];
	*traced = (struct traced){.pid = pid};
	return traced;
}

static int end(const struct strike *strike, int status)
{
	rest_kill(strike); /* none of its children may outlive the answer */
	if (strike->at == 0) {
		for (unsigned i = 0; i < strike->births; i++)
			(void)printf("%u %ld\n", i, strike->traced[i].seen);
		return WIFEXITED(status) ? WEXITSTATUS(status) : BROKEN;
	}
	if (!strike->is_done)
		return NOT_REACHED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int follow(struct strike *strike)
{
	struct __ptrace_syscall_info info;
	int status;

	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL);
		struct traced *traced;
		unsigned long born = 0;
		int deliver = 0;

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return BROKEN;
		traced = traced_keep(strike, pid);
		if (!traced)
			return BROKEN;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			traced->pid = 0;
			if (traced == strike->traced)
				return end(strike, status);
			continue;
		}
		if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0)
				continue; /* killed meanwhile: its end is reported next */
			if (info.op == PTRACE_SYSCALL_INFO_ENTRY && call_enter(strike, traced, &info)) {
				rest_kill(strike);
				return KILLED;
			}
			if (info.op == PTRACE_SYSCALL_INFO_EXIT)
				call_leave(strike, pid);
		} else if (status >> 16 == PTRACE_EVENT_FORK || status >> 16 == PTRACE_EVENT_VFORK ||
			   status >> 16 == PTRACE_EVENT_CLONE) {
			/* told by its parent: two children may show themselves in either order */
			(void)ptrace(PTRACE_GETEVENTMSG, pid, NULL, &born);
			(void)traced_keep(strike, (pid_t)born);
		} else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
			deliver = WSTOPSIG(status); /* a real signal; SIGSTOP is how a new child shows itself */
		}
		(void)ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(long)deliver);
	}
}

static int run(struct strike *strike, char **command)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || raise(SIGSTOP) != 0)
			_exit(BROKEN);
		(void)execvp(command[0], command);
		_exit(BROKEN);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, NULL, (void *)options) < 0) {
		(void)fprintf(stderr, "kt-crash-at: cannot trace %s: %s\n", command[0], strerror(errno));
		return BROKEN;
	}
	(void)traced_keep(strike, pid);
	(void)ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
	return follow(strike);
}

static unsigned error_counts(int error)
{
	switch (error) {
	case EIO: return CAN_EIO;
	case ENOSPC:
	case EDQUOT: return CAN_ENOSPC; /* what lacks room may lack it to one user alone */
	case EINTR: return CAN_EINTR;
	default: return 0;
	}
}

/* "P:N" */
static bool where_read(const char *text, struct strike *strike)
{
	char rest;

	return text && sscanf(text, "%u:%ld%c", &strike->process, &strike->at, &rest) == 2 && strike->at > 0;
}

int main(int argc, char **argv)
{
	struct strike strike = {.at = 0};
	bool only_counts = argc > 2 && strcmp(argv[1], "count") == 0, is_clear = argc > 3;
	char **next = argv + 1 + only_counts;

	for (size_t i = 0; is_clear && i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(ways[i].name, *next) == 0)
			strike.way = &ways[i];
	is_clear = strike.way != NULL;
	if (is_clear) {
		next++;
		is_clear = only_counts || where_read(*next++, &strike);
		strike.counts = strike.way->counts;
	}
	if (is_clear && strcmp(strike.way->name, "fail") == 0 && *next) {
		strike.error = atoi(*next++);
		strike.counts = error_counts(strike.error);
		is_clear = strike.counts != 0;
	}
	if (is_clear && strike.way->ends == NOTHING && !only_counts)
		strike.rival = *next++;
	if (!is_clear || !*next) {
		(void)fprintf(stderr, "usage: kt-crash-at kill|cut|bereave|short P:N COMMAND... | fail P:N ERRNO COMMAND... | "
				      "rival P:N OTHER COMMAND... | count WAY [ERRNO] COMMAND...\n");
		return BROKEN;
	}
	return run(&strike, next);
}
