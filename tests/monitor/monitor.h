/* kontain-test-monitor: what its files share. It keeps km's outside (options, messages, exit codes) and none of its
 * inside; README.md says what it is for. */
#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>
#include <stddef.h>

/* km's exit codes. What it does not understand ends in abort(), a shell's 134. */
#define MONITOR_EXIT_DEVICE  1
#define MONITOR_EXIT_PAYLOAD 2

/* What a build does differently; chosen by linking one variant_<name>.c. NULL members: as a monitor should. */
struct monitor_variant {
	/* Instead of the guest: does not return, or the payload runs as ever. */
	void (*before_guest)(const char *path, char **argv);
	bool swallows_output;  /* write succeeds and nothing is written */
	int exit_code_added;
	unsigned ring;         /* of the payload: 0, or 3 */
	bool drives_kkm;       /* a device that answers as Kontain's module is used, and told of in the release */
};

extern const struct monitor_variant monitor_variant;

/* Messages go where km's go: to stderr, but to a new file under /tmp (made by the first message) when stderr is a
 * pipe or a socket, unless -k named a place. */
int message_to(const char *place); /* "stderr" or a file; -1 with errno when it cannot be opened */
void message(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A message and abort(), without a core: it would hold a guest's memory and help nobody. */
void message_abort(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
