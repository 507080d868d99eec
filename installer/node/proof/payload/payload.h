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

static inline unsigned payload_append(char *line, unsigned used, const char *text, unsigned most)
{
	while (most-- > 0 && *text)
		line[used++] = *text++;
	return used;
}

#define PAYLOAD_RELEASE_MAX (sizeof(((struct utsname *)0)->release) - 1)
#define PAYLOAD_NAME_MAX    8
#define PAYLOAD_LINE_MAX                                                                      \
	(sizeof(KT_PAYLOAD_WORD " ") + PAYLOAD_NAME_MAX + sizeof(" ") + PAYLOAD_RELEASE_MAX + \
	 sizeof(" " KT_PAYLOAD_AS_FIRST) + sizeof("\n"))

/* km writes its suffix behind the release as far as the field goes. A release that fills it leaves no room, and what
 * the line says could as well be said natively; so it says then what else km does: number its processes from 1,
 * which in the proof's PID namespace is another's. */
static inline int payload_needs_process(const struct utsname *kernel)
{
	unsigned length = 0;

	/* the kernel filled it */
	while (length < PAYLOAD_RELEASE_MAX && kernel->release[length]) // NOLINT(clang-analyzer-core.*)
		length++;
	return length == PAYLOAD_RELEASE_MAX;
}

/* "kontain-proof <name> <release of the kernel>\n", or "... <release> as-process-1\n"; its length. process: 0 when
 * it was not asked for. */
static inline unsigned payload_line(char line[PAYLOAD_LINE_MAX], const char *name, const struct utsname *kernel,
				    long process)
{
	unsigned used = payload_append(line, 0, KT_PAYLOAD_WORD " ", sizeof(KT_PAYLOAD_WORD));

	used = payload_append(line, used, name, PAYLOAD_NAME_MAX);
	used = payload_append(line, used, " ", 1);
	used = payload_append(line, used, kernel->release, PAYLOAD_RELEASE_MAX);
	if (process == 1)
		used = payload_append(line, used, " " KT_PAYLOAD_AS_FIRST, sizeof(KT_PAYLOAD_AS_FIRST));
	return payload_append(line, used, "\n", 1);
}

/* Writes it at once. */
static inline void payload_tell(const char *name)
{
	struct utsname kernel;
	char line[PAYLOAD_LINE_MAX];
	unsigned used;

	if (payload_call(SYS_uname, (long)&kernel, 0, 0) != 0)
		payload_exit(KT_PAYLOAD_NO_UNAME);
	used = payload_line(line, name, &kernel,
			    payload_needs_process(&kernel) ? payload_call(SYS_getpid, 0, 0, 0) : 0);
	if (payload_call(SYS_write, 1, (long)line, used) != (long)used)
		payload_exit(KT_PAYLOAD_NO_WRITE);
}

#endif
