#include "kontain/base/arguments.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

int kt_arguments_refuse(const char *before, const char *word, const char *after, struct kt_error *err)
{
	return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "%s \"%.200s\"%s; see --help", before, word, after);
}

int kt_arguments_explain(int answer, const char *word, struct kt_error *err)
{
	char letter[3];

	if (answer == ':')
		return kt_arguments_refuse("option", word, " requires an argument", err);
	(void)snprintf(letter, sizeof(letter), "-%c", optopt);
	return kt_arguments_refuse("unknown option", strncmp(word, "--", 2) == 0 ? word : letter, "", err);
}
