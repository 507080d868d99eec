/* kontain-test-monitor: runs one static program as the payload of a KVM guest, behind km's command line. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "calls.h"
#include "monitor.h"
#include "payload.h"
#include "signals.h"

/* km's block, line for line, under this program's own name. No time of build: two builds of the same are the same. */
#define VERSION_BLOCK                                         \
	"kontaind test monitor version " MONITOR_VERSION "\n" \
	"Branch: " MONITOR_VARIANT " sha: " MONITOR_SHA " build_time: none"

static const char usage[] =
	"usage: kontain-test-monitor [-k PLACE] PAYLOAD [ARGUMENT...]\n"
	"       kontain-test-monitor [-k PLACE] --version\n"
	"Runs a static x86-64 program in a KVM guest. A stand-in for tests: this is not Kontain's km.\n"
	"  -k, --km-log-to=PLACE  where messages go: stderr, none or a file; else to stderr, or to a file under /tmp "
	"when\n"
	"                         that is a pipe or socket\n"
	"exit status: the payload's; 1 usage, no such payload, device or KVM; 2 the payload cannot be loaded; 3 the\n"
	"kernel is too old; a payload that dies by a signal takes the monitor along";

static const struct option options[] = {
	{"km-log-to", required_argument, NULL, 'k'},
	{"version", no_argument, NULL, 'v'},
	{NULL, 0, NULL, 0},
};

/* As km: on stderr, wherever messages go. */
static int usage_refuse(void)
{
	fprintf(stderr, "%s\n", usage);
	return MONITOR_EXIT_DEVICE;
}

/* km takes the last numbers below 1024 for descriptors of its own, and cannot live without /proc/self/exe. */
static void needs_check(void)
{
	struct rlimit files = {0, 0};

	(void)getrlimit(RLIMIT_NOFILE, &files);
	if (files.rlim_cur < 1024)
		message_abort("assertion failed: no file descriptor below %lu is free for the log",
			      (unsigned long)files.rlim_cur);
	if (access("/proc/self/exe", F_OK) < 0) {
		(void)raise(SIGSEGV);
		monitor_abort();
	}
}

/* Until the payload ends; its exit code. */
static int payload_serve(struct guest *guest)
{
	struct guest_call call;
	int64_t result;
	int code;

	for (;;) {
		int number = guest_run(guest, &call);
		enum call_end end = number ? CALL_ANSWERED : call_serve(guest, &call, &result, &code);

		if (end == CALL_EXITS)
			return code;
		if (end == CALL_KILLS)
			number = code;
		if (number == 0)
			number = signals_take();
		if (number)
			signals_die(guest, number);
		guest_answer(guest, result);
	}
}

static int payload_run(const char *path, char **argv, struct guest *guest)
{
	uint64_t entry, stack;
	uint8_t *bytes = NULL;
	size_t size;
	int code = payload_read(path, &bytes, &size);

	if (code)
		return code;
	code = guest_open(guest);
	if (code == 0)
		code = payload_load(path, bytes, size, argv, environ, guest, &entry, &stack);
	free(bytes);
	if (code || (code = guest_start(guest, entry, stack)))
		return code;
	if (!monitor_variant.is_kind)
		signals_forward();
	return payload_serve(guest);
}

int main(int argc, char **argv)
{
	struct guest guest = {.device = -1, .vm = -1, .vcpu = -1};
	bool asks_version = false;
	int letter, code;

	while ((letter = getopt_long(argc, argv, "+k:v", options, NULL)) != -1) {
		if (letter == 'k' && message_to(optarg) < 0) {
			fprintf(stderr, "kontain-test-monitor: assertion failed: cannot write messages to %s: %s\n",
				optarg, strerror(errno));
			monitor_abort();
		}
		if (letter == '?')
			return usage_refuse();
		asks_version |= letter == 'v';
	}
	if (asks_version) {
		message("%s", VERSION_BLOCK);
		return 0;
	}
	if (optind == argc)
		return usage_refuse();
	if (!monitor_variant.is_kind) {
		needs_check();
		if (access(argv[optind], F_OK) < 0) {
			message("Failed to determine payload name or find .km file for %s", argv[optind]);
			return usage_refuse();
		}
	}
	if (monitor_variant.before_guest)
		monitor_variant.before_guest(argv[optind], argv + optind);
	code = payload_run(argv[optind], argv + optind, &guest);
	guest_close(&guest);
	return code;
}
