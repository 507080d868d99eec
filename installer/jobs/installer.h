/* What every job and command works with: where things are, and what the config says. It is filled once, before any of
 * them begins, and read from then on; what one asks of the other is an argument. */
#ifndef KT_JOBS_INSTALLER_H
#define KT_JOBS_INSTALLER_H

#include <stdbool.h>

#include "kontain/base/error.h"
#include "kontain/contract/config.h"
#include "kontain/node/node.h"

/* Exit statuses of the program. */
enum {
	KT_EXIT_DONE = 0,
	KT_EXIT_FAILED = 1, /* not ready, failed or refused */
	KT_EXIT_USAGE = 2,
	KT_EXIT_IN_USE = 3,
	KT_EXIT_LOCKED = 4,
};

/* The command line. All strings are borrowed from argv. */
struct kt_options {
	const char *host; /* prefix of host paths: "" or "/host" */
	const char *root; /* NULL: the config's store.roots decide */
	const char *state;
	const char *config; /* NULL: the defaults */
	const char *bundle; /* NULL: none is asked for */
	char dev[KT_CONFIG_PATH_MAX];
	const char *to; /* a version, or what to pin; NULL: the command's own choice */
	bool json;
	bool quiet;
	bool verbose;
	bool dry_run;
	bool once;
	bool force;
	bool strict;
	bool help;
	unsigned keep; /* prune: sets that stay beside current and previous */
	unsigned older_than_days;
};

struct kt_runner;

struct kt_installer {
	struct kt_options options;
	struct kt_config config;
	struct kt_node_paths paths;
	char root[KT_CONFIG_PATH_MAX]; /* the store's, as the host names it: see root.h */
	struct kt_runner *runner;      /* borrowed; set in the resident agent: it runs the agent's jobs */
};

/* The exit status that belongs to a failure. */
int kt_exit_status(const struct kt_error *err);

#endif
