/* links: kt_node kt_contract kt_base */
/* The payloads of the proof as km runs them, without a km: natively under ptrace, with what km does to a guest done
 * at each of its system calls. Below its stack pointer nothing stays, uname answers as km's, and processes are
 * numbered from 1. What they print is then judged, so that the two agree on every length of a release. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/node/proof/judge.h"
#include "../../installer/node/proof/payloads.h"
#include "kontain/base/own.h"

#define RED_ZONE 128 /* of the ABI; km itself writes 56 bytes of it */

struct answers {
	const char *release; /* uname's; NULL: the host's own */
	long process;        /* getpid's; 0: the host's own */
};

struct run {
	int status; /* as of waitpid */
	char output[512];
	size_t size;
};

static void tracee_write(pid_t pid, uint64_t at, const void *bytes, size_t size)
{
	struct iovec local = {(void *)(uintptr_t)bytes, size}, remote = {(void *)(uintptr_t)at, size};

	assert_int_equal(process_vm_writev(pid, &local, 1, &remote, 1, 0), (ssize_t)size);
}

/* A call begins: km's handler puts registers below the stack pointer, before anything is served. */
static void enter(pid_t pid)
{
	struct user_regs_struct registers;
	char garbage[RED_ZONE];

	memset(garbage, '#', sizeof(garbage));
	assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &registers), 0);
	tracee_write(pid, registers.rsp - RED_ZONE, garbage, sizeof(garbage));
}

/* A call was served by the host: km's own answer. */
static void leave(pid_t pid, const struct answers *answers)
{
	struct user_regs_struct registers;

	assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &registers), 0);
	if (registers.orig_rax == SYS_uname && answers->release)
		tracee_write(pid, registers.rdi + offsetof(struct utsname, release), answers->release,
			     strlen(answers->release) + 1);
	if (registers.orig_rax == SYS_getpid && answers->process) {
		registers.rax = (unsigned long long)answers->process;
		assert_int_equal(ptrace(PTRACE_SETREGS, pid, NULL, &registers), 0);
	}
}

/* From its first stop to its end. */
static int follow(pid_t pid, const struct answers *answers)
{
	bool is_inside = false;
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
	for (;;) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSTOPPED(status))
			return status;
		if (WSTOPSIG(status) != (SIGTRAP | 0x80))
			continue;
		if (is_inside)
			leave(pid, answers);
		else
			enter(pid);
		is_inside = !is_inside;
	}
}

static struct run payload_run(const struct kt_payload *payload, const struct answers *answers)
{
	KT_OWN(kt_close_fd) int file = memfd_create("payload", MFD_CLOEXEC);
	static char *const nothing[] = {NULL};
	char *const argv[] = {(char *)"payload", NULL};
	struct run run = {.size = 0};
	int ends[2];
	ssize_t got;

	assert_int_equal(write(file, payload->bytes, payload->size), (ssize_t)payload->size);
	assert_int_equal(pipe(ends), 0);

	pid_t pid = fork();

	if (pid == 0) {
		(void)dup2(ends[1], 1);
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)fexecve(file, argv, nothing); /* stops when it is the payload */
		_exit(99);
	}
	assert_true(pid > 0);
	(void)close(ends[1]);
	run.status = follow(pid, answers);
	while ((got = read(ends[0], run.output + run.size, sizeof(run.output) - 1 - run.size)) > 0)
		run.size += (size_t)got;
	(void)close(ends[0]);
	return run;
}

static enum kt_reason judged(const struct kt_payload *payload, struct run *run, const char *host, char hypervisor[8],
			     char release[96])
{
	struct kt_km_end end = {.exit_status = WIFEXITED(run->status) ? WEXITSTATUS(run->status) : -1,
				.signal = WIFSIGNALED(run->status) ? WTERMSIG(run->status) : 0,
				.child = {.output = run->output, .output_size = run->size}};
	struct kt_error err = {.reason = KT_REASON_NONE};

	hypervisor[0] = '\0';
	if (kt_judge_payload(&end, payload->name, host, hypervisor, release, &err) == 0)
		return KT_REASON_NONE;
	return err.reason;
}

static const struct kt_payload *payload_at(size_t i)
{
	return i == 0 ? kt_payload_integer() : kt_payload_sse2();
}

/* km has the release and its own name in a field of 64 characters, and cuts off what is beyond. */
static void test_every_length_of_a_release(void **state)
{
	static const char *const suffixes[] = {".kontain.KVM", ".kontain.KKM"};
	static const char *const names[] = {"kvm", "kkm"};
	static const size_t lengths[] = {1, 5, 18, 19, 20, 40, 51, 52, 53, 54, 55, 63, 64};
	char host[65], told[128], expected[256], hypervisor[8], release[96];

	(void)state;
	for (size_t i = 0; i < 2 * 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		const struct kt_payload *payload = payload_at(i % 2);
		size_t length = lengths[i / 4], kind = i / 2 % 2;
		struct run run;

		for (size_t at = 0; at < length; at++)
			host[at] = (char)('a' + at % 26);
		host[length] = '\0';
		(void)snprintf(told, sizeof(told), "%s%s", host, suffixes[kind]);
		told[64] = '\0';
		run = payload_run(payload, &(struct answers){.release = told, .process = 1});
		(void)snprintf(expected, sizeof(expected), "kontain-proof %s %s%s\n", payload->name, told,
			       strlen(told) < 64 ? "" : " as-process-1");
		assert_string_equal(run.output, expected);
		assert_true(WIFEXITED(run.status) && WEXITSTATUS(run.status) == KT_PAYLOAD_STATUS);
		assert_int_equal(judged(payload, &run, host, hypervisor, release), KT_REASON_NONE);
		assert_string_equal(release, told);
		/* of the suffix, so much must be left that it says which */
		assert_string_equal(hypervisor, length <= 53 ? names[kind] : "");
	}
}

/* Whatever the release is: a program that the host itself runs is told from one that km runs. */
static void test_native(void **state)
{
	static const size_t lengths[] = {0, 1, 19, 52, 53, 63, 64};
	char host[65], hypervisor[8], release[96];
	struct utsname kernel;

	(void)state;
	assert_int_equal(uname(&kernel), 0);
	for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t length = lengths[i / 2];
		struct run run;

		memset(host, 'r', sizeof(host));
		host[length] = '\0';
		run = payload_run(payload_at(i % 2), &(struct answers){.release = length > 0 ? host : NULL});
		assert_int_equal(
			judged(payload_at(i % 2), &run, length > 0 ? host : kernel.release, hypervisor, release),
			KT_REASON_KM_PRETENDS);
		assert_string_equal(hypervisor, "");
	}
}

/* That what these tests do to a payload would be seen: this one keeps its status where km writes. */
static void test_canary_in_the_red_zone(void **state)
{
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		(void)raise(SIGSTOP);
		__asm__ volatile("movq $42, -56(%%rsp)\n\t"
				 "mov %0, %%eax\n\t"
				 "syscall\n\t"
				 "movq -56(%%rsp), %%rdi\n\t"
				 "mov %1, %%eax\n\t"
				 "syscall\n\t"
				 :
				 : "i"(SYS_getppid), "i"(SYS_exit_group)
				 : "rax", "rcx", "rdi", "r11", "memory");
		_exit(99);
	}
	assert_true(pid > 0);

	int status = follow(pid, &(struct answers){.release = NULL});

	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_length_of_a_release),
		cmocka_unit_test(test_native),
		cmocka_unit_test(test_canary_in_the_red_zone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
