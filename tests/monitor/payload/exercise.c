/* exercise.km VERB [ARGUMENT]: does one thing that a monitor must serve or survive. Prints what the call answered. */
#include <elf.h>
#include <stdbool.h>

#include "payload.h"

struct names { /* struct new_utsname (linux/utsname.h) */
	char system[65], node[65], release[65], version[65], machine[65], domain[65];
};

static char digits[24];

static const char *number_text(long number)
{
	unsigned long rest = number < 0 ? -(unsigned long)number : (unsigned long)number;
	char *at = digits + sizeof(digits) - 1;

	do
		*--at = (char)('0' + rest % 10);
	while ((rest /= 10) != 0);
	if (number < 0)
		*--at = '-';
	return at;
}

static void say_number(const char *what, long number)
{
	say(what);
	say("=");
	say(number_text(number));
	say("\n");
}

static int text_number(const char *text)
{
	int number = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		number = number * 10 + *text - '0';
	return number;
}

static int verb_release(void)
{
	struct names names;

	say_number("uname", call3(CALL_UNAME, (long)&names, 0, 0));
	say("release=");
	say(names.release);
	say("\n");
	return 0;
}

/* Addresses beside the payload's memory, from both ends, and one that would wrap round. */
static int verb_faults(void)
{
	static const unsigned long addresses[] = {0, 0x1000, 0x1fffff, 0x3ffffff, 0x4000000, 0xffffffff80006000, -8UL};

	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		say_number("write", call3(CALL_WRITE, 1, (long)addresses[i], 16));
		say_number("uname", call3(CALL_UNAME, (long)addresses[i], 0, 0));
	}
	say_number("length", call3(CALL_WRITE, 1, (long)addresses, -1));
	say_number("descriptor", call3(CALL_WRITE, 5, (long)"text", 4));
	say_number("getpid", call3(CALL_GETPID, 0, 0, 0));
	return 0;
}

/* The first stack: alignment, environment, and the vector behind it. */
static int verb_stack(char **argv, char **envp)
{
	Elf64_auxv_t *entry;
	char **end = envp;

	say_number("misaligned", (long)(argv - 1) & 15);
	while (*end)
		say(*end++), say("\n");
	for (entry = (Elf64_auxv_t *)(end + 1); entry->a_type != AT_NULL; entry++) {
		if (entry->a_type == AT_PAGESZ)
			say_number("pagesize", (long)entry->a_un.a_val);
		if (entry->a_type == AT_PHDR)
			say_number("first-header", *(const int *)entry->a_un.a_val);
	}
	return 0;
}

/* What a compiler's code is full of; an emulating KVM does not know it. */
static int verb_sse2(void)
{
	__asm__ volatile("pxor %xmm0, %xmm0");
	say("sse2 works\n");
	return 0;
}

/* A system call takes rcx and r11, and nothing else. */
static int verb_registers(void)
{
	long kept;

	__asm__ volatile("mov $0x1234567, %%rbx\n\t"
			 "mov %%rbx, %%r12\n\t"
			 "mov $39, %%eax\n\t"
			 "std\n\t"
			 "syscall\n\t"
			 "pushfq\n\t"
			 "pop %%rax\n\t"
			 "cld\n\t"
			 "and $0x400, %%eax\n\t"
			 "sub %%r12, %%rbx\n\t"
			 "or %%rbx, %%rax"
			 : "=a"(kept)
			 :
			 : "rbx", "r12", "rcx", "r11", "memory", "cc");
	say_number("kept", kept);
	return 0;
}

/* 17 words below the stack pointer, more than the red zone: how many of them a system call changes, and how deep the
 * last of these is. The registers that km's handler pushes are none of them what is in the words. */
static int verb_redzone(void)
{
	register long changed __asm__("r13"), deepest __asm__("r14");

	__asm__ volatile("movabs $0x5a5a5a5a5a5a5a5a, %%r12\n\t"
			 "mov $-136, %%rbx\n"
			 "1:\n\t"
			 "mov %%r12, (%%rsp, %%rbx)\n\t"
			 "add $8, %%rbx\n\t"
			 "jnz 1b\n\t"
			 "mov $1, %%edi\n\t"
			 "mov $2, %%esi\n\t"
			 "mov $3, %%edx\n\t"
			 "mov $4, %%r10d\n\t"
			 "mov $5, %%r8d\n\t"
			 "mov $6, %%r9d\n\t"
			 "mov $39, %%eax\n\t"
			 "syscall\n\t"
			 "xor %%r13d, %%r13d\n\t"
			 "xor %%r14d, %%r14d\n\t"
			 "mov $-8, %%rbx\n"
			 "2:\n\t"
			 "cmp %%r12, (%%rsp, %%rbx)\n\t"
			 "je 3f\n\t"
			 "inc %%r13\n\t"
			 "mov %%rbx, %%r14\n"
			 "3:\n\t"
			 "sub $8, %%rbx\n\t"
			 "cmp $-136, %%rbx\n\t"
			 "jge 2b"
			 : "=r"(changed), "=r"(deepest)
			 :
			 : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "memory", "cc");
	say_number("changed", changed);
	say_number("deepest", deepest);
	return 0;
}

/* A call of that number, which may be below 0. */
static int verb_call(const char *number)
{
	say_number("call", call3(*number == '-' ? -(long)text_number(number + 1) : text_number(number), 0, 0, 0));
	return 0;
}

/* Ends its only thread with that code, not the group. */
static int verb_thread(const char *code)
{
	say("leaves\n");
	return (int)call3(CALL_EXIT, text_number(code), 0, 0);
}

static int verb_null(void)
{
	return *(volatile int *)8;
}

/* An exception that cannot be told either, as the stack is not there. */
static int verb_badstack(void)
{
	__asm__ volatile("mov $16, %esp\n\t"
			 "push %rax");
	return 0;
}

static int verb_illegal(void)
{
	__asm__ volatile("ud2");
	return 0;
}

static int verb_divide(void)
{
	unsigned zero = 0;

	__asm__ volatile("xor %%edx, %%edx\n\tdiv %0" : "+r"(zero) : : "eax", "edx", "cc");
	return 0;
}

/* Says that it is there, and then goes round, with system calls or without. */
__attribute__((noreturn)) static int verb_spin(bool has_calls)
{
	say("spins\n");
	for (;;)
		if (has_calls)
			(void)call3(CALL_GETPID, 0, 0, 0);
}

static int verb_privileged(void)
{
	__asm__ volatile("hlt");
	return 0;
}

int payload_main(int argc, char **argv, char **envp)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (text_same(verb, "exit"))
		return argc > 2 ? text_number(argv[2]) : 0;
	if (text_same(verb, "release"))
		return verb_release();
	if (text_same(verb, "faults"))
		return verb_faults();
	if (text_same(verb, "stack"))
		return verb_stack(argv, envp);
	if (text_same(verb, "sse2"))
		return verb_sse2();
	if (text_same(verb, "registers"))
		return verb_registers();
	if (text_same(verb, "redzone"))
		return verb_redzone();
	if (text_same(verb, "call") && argc > 2)
		return verb_call(argv[2]);
	if (text_same(verb, "thread") && argc > 2)
		return verb_thread(argv[2]);
	if (text_same(verb, "null"))
		return verb_null();
	if (text_same(verb, "badstack"))
		return verb_badstack();
	if (text_same(verb, "illegal"))
		return verb_illegal();
	if (text_same(verb, "divide"))
		return verb_divide();
	if (text_same(verb, "spin"))
		return verb_spin(false);
	if (text_same(verb, "calls"))
		return verb_spin(true);
	if (text_same(verb, "privileged"))
		return verb_privileged();
	say("exercise.km: unknown verb\n");
	return 99;
}
