/* inject PID CALL [ARGUMENT]...: has a running process make one system call, with whatever that process is allowed, and
 * prints what it answered: a number, or the name of the error. Then the process goes on as if nothing had been. Root's
 * way to ask "could you?" of a process that would never try.
 *
 *   CALL       a name of the table below, or a number
 *   ARGUMENT   a number; @TEXT or %HEX: the address of that text, or of those bytes, in the process
 *
 * The process is stopped by ptrace while it waits in a system call, so that `syscall` is the instruction behind it.
 * Texts lie below its stack's red zone while the call is made. Ends 0, 2 on trouble, 3 when the process was not
 * waiting. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#define SYSCALL_INSTRUCTION 0x050f
#define SYSCALL_SIZE        2
#define RED_ZONE            128 /* System V ABI for x86-64, 3.2.2 */
#define TEXT_MAX            2048
#define ARGUMENTS_MAX       6

#define CALL(name)                \
	{                         \
#name, SYS_##name \
	}

static const struct {
	const char *name;
	long number;
} calls[] = {
	CALL(getppid),
	CALL(openat),
	CALL(close),
	CALL(write),
	CALL(mount),
	CALL(umount2),
	CALL(open_tree),
	CALL(fsopen),
	CALL(pivot_root),
	CALL(chroot),
	CALL(ptrace),
	CALL(process_vm_readv),
	CALL(process_vm_writev),
	CALL(pidfd_open),
	CALL(pidfd_getfd),
	CALL(bpf),
	CALL(perf_event_open),
	CALL(userfaultfd),
	CALL(io_uring_setup),
	CALL(io_uring_enter),
	CALL(setns),
	CALL(unshare),
	CALL(clone),
	CALL(clone3),
	CALL(fork),
	CALL(vfork),
	CALL(execve),
	CALL(execveat),
	CALL(socket),
	CALL(socketpair),
	CALL(bind),
	CALL(connect),
	CALL(kill),
	CALL(init_module),
	CALL(finit_module),
	CALL(delete_module),
	CALL(keyctl),
	CALL(add_key),
	CALL(open_by_handle_at),
	CALL(mknodat),
	CALL(fchmodat),
	CALL(fchownat),
	CALL(unlinkat),
	CALL(mkdirat),
	CALL(symlinkat),
	CALL(linkat),
	CALL(setuid),
	CALL(setgid),
	CALL(capset),
	CALL(prctl),
	CALL(seccomp),
	CALL(kexec_load),
	CALL(reboot),
	CALL(sethostname),
	CALL(fanotify_init),
	CALL(iopl),
	CALL(syslog),
	CALL(memfd_create),
	CALL(fchownat),
	CALL(personality),
	CALL(swapon),
	CALL(clock_settime),
};

static void die(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(2);
}

static long call_number(const char *word)
{
	char *end;
	long number = strtol(word, &end, 0);

	if (*word != '\0' && *end == '\0')
		return number;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (strcmp(calls[i].name, word) == 0)
			return calls[i].number;
	fprintf(stderr, "inject: %s: no such call in the table of inject.c\n", word);
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

/* The bytes of a word; their number. */
static size_t bytes_of(const char *word, unsigned char bytes[TEXT_MAX])
{
	size_t size = strlen(word + 1) + 1;

	if (size > TEXT_MAX) {
		fprintf(stderr, "inject: an argument is too long\n");
		exit(2);
	}
	if (*word == '@') {
		memcpy(bytes, word + 1, size);
		return size;
	}
	size /= 2;
	for (size_t i = 0; i < size; i++) {
		char digits[] = {word[1 + 2 * i], word[2 + 2 * i], '\0'};

		bytes[i] = (unsigned char)strtoul(digits, NULL, 16);
	}
	return size;
}

static unsigned long long put(pid_t pid, const char *word, unsigned long long *stack)
{
	unsigned char bytes[TEXT_MAX];
	size_t size;

	if (*word != '@' && *word != '%')
		return strtoull(word, NULL, 0);
	size = bytes_of(word, bytes);
	*stack = (*stack - size) & ~15ULL;

	struct iovec from = {bytes, size}, to = {(void *)(uintptr_t)*stack, size};

	if (process_vm_writev(pid, &from, 1, &to, 1, 0) != (ssize_t)size)
		die("cannot write to its memory");
	return *stack;
}

static long call_inside(pid_t pid, const struct user_regs_struct *before, long number, char *words[], int count)
{
	struct user_regs_struct regs = *before;
	unsigned long long *const places[] = {&regs.rdi, &regs.rsi, &regs.rdx, &regs.r10, &regs.r8, &regs.r9};
	unsigned long long stack = before->rsp - RED_ZONE;

	for (int i = 0; i < ARGUMENTS_MAX; i++)
		*places[i] = i < count ? put(pid, words[i], &stack) : 0;
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
	long answer, number;
	pid_t pid;

	if (argc < 3 || argc > 3 + ARGUMENTS_MAX) {
		fprintf(stderr, "usage: inject PID CALL [ARGUMENT]...\n");
		return 2;
	}
	pid = (pid_t)strtol(argv[1], NULL, 10);
	number = call_number(argv[2]);
	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD) != 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0)
		die("cannot stop the process");
	await_stop(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &before) != 0)
		die("cannot read its registers");
	errno = 0;
	if ((ptrace(PTRACE_PEEKTEXT, pid, before.rip - SYSCALL_SIZE, NULL) & 0xffff) != SYSCALL_INSTRUCTION ||
	    errno != 0) {
		fprintf(stderr, "inject: the process was not waiting in a system call, try again\n");
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
		return 3;
	}
	answer = call_inside(pid, &before, number, argv + 3, argc - 3);
	if (ptrace(PTRACE_SETREGS, pid, NULL, &before) != 0 || ptrace(PTRACE_DETACH, pid, NULL, NULL) != 0)
		die("cannot let it go");
	if (answer < 0 && answer > -4096)
		printf("%s\n", strerrorname_np((int)-answer));
	else
		printf("%ld\n", answer);
	return 0;
}
