/* How a program with getopt_long(3) refuses a command line. */
#ifndef KONTAIN_ARGUMENTS_H
#define KONTAIN_ARGUMENTS_H

#include "kontain/base/error.h"

/* before and after: the word stands between them, in quotes. */
int kt_arguments_refuse(const char *before, const char *word, const char *after, struct kt_error *err);
/* Of getopt's answers ':' and '?', where it prints nothing itself (opterr 0, letters that begin with ':'). word: the
 * argument that it looked at last. */
int kt_arguments_explain(int answer, const char *word, struct kt_error *err);

#endif
