/* A child with a deadline, a fixed environment, and only descriptors 0-2. */
#ifndef KONTAIN_CHILD_H
#define KONTAIN_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "kontain/base/error.h"

struct kt_child_spec {
	const char *const *argv; /* borrowed; argv[0] is the path to execute, NULL-terminated */
	unsigned timeout_ms;     /* then SIGKILL to its process group */
	size_t output_max;       /* bytes kept of each of stdout and stderr; the rest is read and dropped */
	const char *input;       /* borrowed: what it reads from stdin; NULL: /dev/null */
	size_t input_size;
	bool passes_errors; /* all that it writes to stderr goes to ours, too, as it comes */
	/* Runs in the child between fork and exec; non-zero stops it with exit 127. May be NULL. */
	int (*prepare)(void *context);
	void *context;
};

struct kt_child_result {
	bool timed_out;
	bool stuck; /* killed, but did not go within a second: it is in the kernel */
	pid_t pid;
	int exit_status; /* -1 when ended by a signal */
	int signal;      /* 0 when it exited */
	unsigned duration_ms;
	char *output; /* owned, NUL-terminated */
	size_t output_size;
	char *errors; /* owned, NUL-terminated: what it wrote to stderr */
	size_t errors_size;
};

/* The environment is PATH and nothing else. 0 when the child ran and ended, whatever it said. */
int kt_child_run(const struct kt_child_spec *spec, struct kt_child_result *ret_result, struct kt_error *err);
void kt_child_result_done(struct kt_child_result *result);

/* Starts what goes on beside us: no deadline, its output is dropped, its errors go to our stderr. It dies with us;
 * whoever started it buries it with waitpid(2). *ret_pidfd is owned: readable when it has ended. spec's timeout_ms,
 * output_max and passes_errors mean nothing here. */
int kt_child_start(const struct kt_child_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct kt_error *err);

#endif
