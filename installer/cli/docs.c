/* Prints what is made from the tables: kontain-docs man|bash|zsh|jobs. For the build, and not installed. */
#include <stdio.h>
#include <string.h>

#include "help.h"

static const struct {
	const char *name;
	void (*print)(FILE *out);
} forms[] = {{"man", kt_help_man}, {"bash", kt_help_bash}, {"zsh", kt_help_zsh}, {"jobs", kt_help_jobs}};

int main(int argc, char *argv[])
{
	for (size_t i = 0; argc == 2 && i < sizeof forms / sizeof *forms; i++)
		if (strcmp(argv[1], forms[i].name) == 0) {
			forms[i].print(stdout);
			return fflush(stdout) == 0 ? 0 : 1;
		}
	fputs("usage: kontain-docs man|bash|zsh|jobs\n", stderr);
	return 2;
}
