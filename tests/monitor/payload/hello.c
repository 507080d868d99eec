/* hello_test.km: a greeting, then its arguments, one a line. A bundle's self-test asks for the greeting. */
#include "payload.h"

int payload_main(int argc, char **argv, char **envp)
{
	(void)envp;
	say("Hello, world\n");
	for (int i = 1; i < argc; i++) {
		say(argv[i]);
		say("\n");
	}
	return 0;
}
