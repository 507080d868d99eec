/* What the payloads share: they are programs of one file each, without a libc. */
#ifndef KT_NODE_PAYLOAD_PAYLOAD_H
#define KT_NODE_PAYLOAD_PAYLOAD_H

#include <sys/syscall.h>
#include <sys/utsname.h>

#include "../payloads.h"

void payload_main(void);

/* Where the program starts: the stack is aligned to 16 by the ABI, and call takes 8 of them as a function expects. */
__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	call payload_main\n"
	"	hlt\n");

static inline long payload_call(long number, long first, long second, long third)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(first), "S"(second), "d"(third)
			 : "rcx", "r11", "memory");
	return result;
}

__attribute__((noreturn)) static inline void payload_exit(int status)
{
	for (;;)
		payload_call(SYS_exit_group, status, 0, 0);
}

static inline unsigned payload_append(char *line, unsigned used, const char *text)
{
	while (*text)
		line[used++] = *text++;
	return used;
}

#define PAYLOAD_LINE_MAX (sizeof(KT_PAYLOAD_WORD) + 16 + sizeof(((struct utsname *)0)->release))

/* "kontain-proof <name> <release of the kernel>\n"; its length. */
static inline unsigned payload_line(char line[PAYLOAD_LINE_MAX], const char *name, const struct utsname *kernel)
{
	unsigned used = payload_append(line, 0, KT_PAYLOAD_WORD " ");

	used = payload_append(line, used, name);
	used = payload_append(line, used, " ");
	used = payload_append(line, used, kernel->release);
	return payload_append(line, used, "\n");
}

/* Writes it at once. */
static inline void payload_tell(const char *name)
{
	struct utsname kernel;
	char line[PAYLOAD_LINE_MAX];
	unsigned used;

	if (payload_call(SYS_uname, (long)&kernel, 0, 0) != 0)
		payload_exit(KT_PAYLOAD_STATUS + 2);
	used = payload_line(line, name, &kernel);
	if (payload_call(SYS_write, 1, (long)line, used) != (long)used)
		payload_exit(KT_PAYLOAD_STATUS + 3);
}

#endif
