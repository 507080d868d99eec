/* kontain-test-monitor: what its files share. It keeps km's outside (options, messages, exit codes, what it does to a
 * payload; CONTRACT.md has it line by line) and none of its inside; README.md says what it is for. */
#ifndef MONITOR_H
#define MONITOR_H

#include <stdbool.h>
#include <stddef.h>

/* km's exit codes. An assertion that fails ends in abort(), a shell's 134. */
#define MONITOR_EXIT_DEVICE  1 /* also usage, a payload that is not there, and a guest that KVM cannot go on with */
#define MONITOR_EXIT_PAYLOAD 2 /* the payload or its interpreter cannot be opened or is not an ELF file */
#define MONITOR_EXIT_KERNEL  3 /* the host's kernel is too old */

/* km's handler of a system call pushes seven registers on the payload's stack. */
#define MONITOR_BELOW_STACK 56

/* What a build does differently; chosen by linking one variant_<name>.c. NULL and 0: as km does. */
struct monitor_variant {
	/* Instead of the guest: does not return, or the payload runs as ever. */
	void (*before_guest)(const char *path, char **argv);
	bool swallows_output; /* write succeeds and nothing is written */
	int exit_code_added;
	unsigned ring;        /* of the payload: 0, or 3 */
	bool drives_kkm;      /* a device that answers as Kontain's module is used, and told of in the release */
	unsigned below_stack; /* more bytes than km's that a system call overwrites below the stack pointer */
	/* Kinder than km, in every way in which a monitor for tests was once: what a payload or a proof must not rely on
	 * is there. */
	bool is_kind;
};

extern const struct monitor_variant monitor_variant;

/* Messages go where km's go: to stderr, but to a new file under /tmp (made by the first message) when stderr is a
 * pipe or a socket, unless -k named a place. */
int message_to(const char *place); /* "stderr", "none" or a file; -1 with errno when it cannot be opened */
/* From here on a message begins with time, function, line and thread, as km's do once its guest runs. */
void message_of_guest(void);
#define message(...) message_at(__func__, __LINE__, __VA_ARGS__)
void message_at(const char *function, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A message and abort(), without a core of the monitor's: it would hold a guest's memory and help nobody. */
#define message_abort(...) (message(__VA_ARGS__), monitor_abort())
void monitor_abort(void) __attribute__((noreturn));

#endif
