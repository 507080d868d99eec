/* kontain-test-monitor: runs one static program as the payload of a KVM guest, behind km's command line. */
#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calls.h"
#include "monitor.h"
#include "payload.h"

/* km's block, line for line, under this program's own name. No time of build: two builds of the same are the same. */
#define VERSION_BLOCK                                                                                                  \
	"kontaind test monitor version " MONITOR_VERSION "\n"                                                          \
	"Branch: " MONITOR_VARIANT " sha: " MONITOR_SHA " build_time: none"

static const char usage[] =
	"usage: kontain-test-monitor [-k stderr|FILE] PAYLOAD [ARGUMENT...]\n"
	"       kontain-test-monitor [-k stderr|FILE] --version\n"
	"Runs a static x86-64 program in a KVM guest. A stand-in for tests: this is not Kontain's km.\n"
	"  -k, --km-log-to=PLACE  where messages go; else to stderr, or to a file under /tmp when that is a pipe or socket\n"
	"exit status: the payload's; 1 usage, device or KVM; 2 the payload cannot be loaded; aborts when the guest fails";

static const struct option options[] = {
	{"km-log-to", required_argument, NULL, 'k'},
	{"version", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static int usage_refuse(const char *why)
{
	message("%s\n%s", why, usage);
	return MONITOR_EXIT_DEVICE;
}

static int payload_run(const char *path, char **argv, struct guest *guest)
{
	struct guest_call call;
	uint64_t entry, stack;
	uint8_t *bytes = NULL;
	int64_t result;
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
	for (;;) {
		guest_run(guest, &call);
		if (call_serve(guest, &call, &result, &code))
			return code;
		guest_answer(guest, result);
	}
}

int main(int argc, char **argv)
{
	struct guest guest = {.device = -1, .vm = -1, .vcpu = -1};
	const char *ask = NULL;
	int letter, code;

	opterr = 0; /* messages have their own place */
	while ((letter = getopt_long(argc, argv, "+k:", options, NULL)) != -1) {
		if (letter == 'k' && message_to(optarg) < 0) {
			fprintf(stderr, "kontain-test-monitor: cannot write messages to %s: %s\n", optarg, strerror(errno));
			return MONITOR_EXIT_DEVICE;
		}
		if (letter == '?')
			return usage_refuse("unknown option, or one without its value");
		if (letter != 'k')
			ask = letter == 'v' ? VERSION_BLOCK : usage;
	}
	if (ask) {
		message("%s", ask);
		return 0;
	}
	if (optind == argc)
		return usage_refuse("no payload named");
	if (monitor_variant.before_guest)
		monitor_variant.before_guest(argv[optind], argv + optind);
	code = payload_run(argv[optind], argv + optind, &guest);
	guest_close(&guest);
	return code;
}
