/* What the tables of commands and options say, to a person, to man(1) and to shells. */
#ifndef KT_CLI_HELP_H
#define KT_CLI_HELP_H

#include <stdio.h>

#include "commands.h"

void kt_help_print(FILE *out);
/* Of one command, with its own options first. */
void kt_help_print_command(FILE *out, const struct kt_command *command);

void kt_help_man(FILE *out);  /* roff */
void kt_help_bash(FILE *out); /* for bash-completion */
void kt_help_zsh(FILE *out);  /* for zsh's compinit */
void kt_help_jobs(FILE *out); /* the table of jobs, in Markdown: manifests/README.md has it */

#endif
