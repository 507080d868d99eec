/* The one table of options: parsing, help, man page and shell completion come from it. */
#ifndef KT_CLI_OPTIONS_H
#define KT_CLI_OPTIONS_H

#include "jobs/installer.h"

struct kt_option {
	const char *name;     /* without the dashes */
	char letter;          /* 0: it has none */
	const char *argument; /* as the help names it: DIR and FILE are completed as such, a|b as words; NULL: none */
	const char *only;     /* the commands that take it, with a blank on either side of each; NULL: all of them */
	const char *summary;
	int (*set)(struct kt_options *options, const char *value, struct kt_error *err);
};

extern const struct kt_option kt_options[];
extern const size_t kt_option_count;

/* Does this command, or job, take the option? */
bool kt_option_is_for(const struct kt_option *option, const char *command);

/* The same for a command in the agent's container: what it does not say of places (bundle, root, host, dev, config,
 * state) is as the agent's own command line has it. agent_argv from "run" on; one that cannot be read says nothing. */
int kt_options_parse_beside(int agent_argc, char *const agent_argv[], int argc, char *const argv[],
			    struct kt_options *ret_options, struct kt_error *err);

/* argv from the command on. The text of a failure is one line for a person. With --help nothing else is looked at. */
int kt_options_parse(int argc, char *const argv[], struct kt_options *ret_options, struct kt_error *err);

#endif
