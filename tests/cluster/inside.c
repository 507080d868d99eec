/* inside PID SYSCALL-NUMBER [ARGUMENT]...: has a running process make one system call, with whatever that process is
 * allowed, and prints what it answered: a number, or the name of the error. Then the process goes on as if nothing
 * had been. Root's way to ask "could you?" of a process that would never try.
 *
 * It is stopped by ptrace while it waits in a system call, so that `syscall` is the instruction behind it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#define SYSCALL_INSTRUCTION 0x050f
#define SYSCALL_SIZE        2

static void die(const char *what)
{
	fprintf(stderr, "inside: %s: %s\n", what, strerror(errno));
	exit(2);
}

static void await_stop(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid || !WIFSTOPPED(status))
		die("the process does not stop");
}

static void resume_to_stop(pid_t pid, int request)
{
	if (ptrace(request, pid, NULL, NULL) != 0)
		die("cannot let it go on");
	await_stop(pid);
}

static long call_inside(pid_t pid, const struct user_regs_struct *before, long number, char *words[], int count)
{
	struct user_regs_struct regs = *before;
	unsigned long long *const places[] = {&regs.rdi, &regs.rsi, &regs.rdx, &regs.r10, &regs.r8, &regs.r9};

	for (int i = 0; i < count; i++)
		*places[i] = strtoull(words[i], NULL, 0);
	regs.rip = before->rip - SYSCALL_SIZE;
	regs.rax = (unsigned long long)number;
	regs.orig_rax = (unsigned long long)-1; /* else the kernel first repeats the call that it was stopped in */
	if (ptrace(PTRACE_SETREGS, pid, NULL, &regs) != 0)
		die("cannot set its registers");
	resume_to_stop(pid, PTRACE_SYSCALL); /* going in */
	resume_to_stop(pid, PTRACE_SYSCALL); /* coming out */
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0)
		die("cannot read its registers");
	return (long)regs.rax;
}

int main(int argc, char *argv[])
{
	struct user_regs_struct before;
	long answer;
	pid_t pid;

	if (argc < 3 || argc > 9) {
		fprintf(stderr, "usage: inside PID SYSCALL-NUMBER [ARGUMENT]...\n");
		return 2;
	}
	pid = (pid_t)strtol(argv[1], NULL, 10);
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD) != 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0)
		die("cannot stop the process");
	await_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &before) != 0)
		die("cannot read its registers");
	errno = 0;
	if ((ptrace(PTRACE_PEEKTEXT, pid, before.rip - SYSCALL_SIZE, NULL) & 0xffff) != SYSCALL_INSTRUCTION || errno != 0) {
		fprintf(stderr, "inside: the process was not waiting in a system call, try again\n");
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		return 3;
	}
	answer = call_inside(pid, &before, strtol(argv[2], NULL, 0), argv + 3, argc - 3);
	if (ptrace(PTRACE_SETREGS, pid, NULL, &before) != 0 || ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
		die("cannot let it go");
	if (answer < 0 && answer > -4096)
		printf("%s\n", strerrorname_np((int)-answer));
	else
		printf("%ld\n", answer);
	return 0;
}
