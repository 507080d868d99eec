/* redzone.km: the line of the proof's integer program, as a compiler that may use the red zone makes it: the line lies
 * in the 128 bytes below the stack pointer while the system call writes it, which under km are not the program's. Under
 * Linux it arrives; under km it must arrive altered, or a monitor is kinder than km. For tests alone. */
#include "payload.h"

#include "../../../installer/node/proof/payloads.h"

struct names { /* struct new_utsname (linux/utsname.h) */
	char system[65], node[65], release[65], version[65], machine[65], domain[65];
};

static struct names names;

/* A function of its own, and one that calls no other: so all that is its own is in the red zone. The line's end is that
 * of the array, next to the stack pointer, however long it is. */
__attribute__((noinline)) static long line_write(void)
{
	static const char start[] = KT_PAYLOAD_WORD " integer ";
	char line[104];
	long first = (long)(sizeof(line) - (sizeof(start) - 1) - text_length(names.release) - 1), used = first;

	for (const char *at = start; *at; at++)
		line[used++] = *at;
	for (const char *at = names.release; *at; at++)
		line[used++] = *at;
	line[used++] = '\n';
	return call3(CALL_WRITE, 1, (long)(line + first), used - first) == used - first ? KT_PAYLOAD_STATUS :
											  KT_PAYLOAD_STATUS + 3;
}

int payload_main(int argc, char **argv, char **envp)
{
	(void)argc;
	(void)argv;
	(void)envp;
	if (call3(CALL_UNAME, (long)&names, 0, 0) != 0)
		return KT_PAYLOAD_STATUS + 2;
	return (int)line_write();
}
