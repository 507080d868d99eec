/* A payload's only library: the entry point, one system call and a few words about strings. No libc and no SSE, so
 * that it also runs where KVM emulates instructions. */
#ifndef TEST_PAYLOAD_H
#define TEST_PAYLOAD_H

#include <stddef.h>

/* Numbers of the x86-64 ABI (asm/unistd_64.h). */
enum { CALL_WRITE = 1, CALL_GETPID = 39, CALL_EXIT = 60, CALL_UNAME = 63, CALL_EXIT_GROUP = 231 };

/* Returns the exit code. envp and the auxiliary vector stand behind argv, as the System V ABI has them. */
int payload_main(int argc, char **argv, char **envp);

/* Calls payload_main with what the stack pointer shows; in inline assembly, as a C function may not look there. */
__asm__(".globl _start\n"
	".type _start, @function\n"
	"_start:\n"
	"	mov %rsp, %rdi\n"
	"	xor %ebp, %ebp\n"
	"	call payload_begin\n");

static inline long call3(long number, long one, long two, long three)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(one), "S"(two), "d"(three)
			 : "rcx", "r11", "memory");
	return result;
}

static inline size_t text_length(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}

static inline int text_same(const char *one, const char *two)
{
	while (*one && *one == *two)
		one++, two++;
	return *one == *two;
}

static inline void say(const char *text)
{
	(void)call3(CALL_WRITE, 1, (long)text, (long)text_length(text));
}

__attribute__((used, noreturn)) static void payload_begin(long *stack)
{
	int argc = (int)*stack;
	char **argv = (char **)(stack + 1);

	(void)call3(CALL_EXIT_GROUP, payload_main(argc, argv, argv + argc + 1), 0, 0);
	for (;;)
		;
}

#endif
