/* As a compiled program is: it names /opt/kontain/runtime/libc.so as its interpreter, and its calls are that libc's.
 * Before the interpreter has put in place the address below and those of the calls, none of them can be used; so the
 * line that arrives says that this libc.so loaded a program, and was its libc. */
#include "payload.h"

#include <unistd.h>

/* volatile: an address that is read from memory, where a relocation must have put it */
static const char *volatile name = "dynamic";

void payload_main(void)
{
	struct utsname kernel;
	char line[PAYLOAD_LINE_MAX];
	unsigned used;

	if (uname(&kernel) != 0)
		_exit(KT_PAYLOAD_NO_UNAME);
	used = payload_line(line, name, &kernel, payload_needs_process(&kernel) ? getpid() : 0);
	if (write(1, line, used) != (ssize_t)used)
		_exit(KT_PAYLOAD_NO_WRITE);
	_exit(KT_PAYLOAD_STATUS);
}
