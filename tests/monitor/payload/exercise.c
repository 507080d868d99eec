/* exercise.km VERB [ARGUMENT]: does one thing that a monitor must serve or survive. Prints what the call answered. */
#include <elf.h>

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

static int verb_null(void)
{
	return *(volatile int *)8;
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
	if (text_same(verb, "null"))
		return verb_null();
	if (text_same(verb, "privileged"))
		return verb_privileged();
	say("exercise.km: unknown verb\n");
	return 99;
}
