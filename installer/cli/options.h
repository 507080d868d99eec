/* The command line: what every verb is told. All strings are borrowed from argv. */
#ifndef KT_CLI_OPTIONS_H
#define KT_CLI_OPTIONS_H

#include <stdbool.h>

#include "kontain/config.h"
#include "kontain/error.h"
#include "kontain/node.h"

/* Exit statuses of the program. */
enum {
	KT_EXIT_DONE = 0,
	KT_EXIT_FAILED = 1,  /* not ready, failed or refused */
	KT_EXIT_USAGE = 2,
	KT_EXIT_IN_USE = 3,
	KT_EXIT_LOCKED = 4,
};

struct kt_options {
	const char *host;    /* prefix of host paths: "" or "/host" */
	const char *root;    /* NULL: the config's store.roots decide */
	const char *state;
	const char *config;  /* NULL: the defaults */
	const char *bundle;  /* NULL: none is asked for */
	char dev[KT_CONFIG_PATH_MAX];
	const char *to;      /* a version, or what to pin; NULL: the verb's own choice */
	bool json;
	bool quiet;
	bool verbose;
	bool dry_run;
	bool once;
	bool force;
	bool strict;
	unsigned keep;       /* prune: sets that stay beside current and previous */
	unsigned older_than_days;
};

struct kt_runner;

/* Everything a verb works with. */
struct kt_installer {
	struct kt_options options;
	struct kt_config config;
	struct kt_node_paths paths;
	struct kt_runner *runner; /* borrowed; set in the resident agent: they run its verbs */
};

/* argv from the verb on. The text of a failure is one line for a person. */
int kt_options_parse(int argc, char *const argv[], struct kt_options *ret_options, struct kt_error *err);
void kt_options_help(const char *program);

/* The exit status that belongs to a failure. */
int kt_exit_status(const struct kt_error *err);

#endif
