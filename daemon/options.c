#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "kontain/base/arguments.h"

#define DEFAULT_STATE  "/run/kontain/state.json"
#define DEFAULT_LISTEN ":8080"

static const struct option long_options[] = {
	{"standalone", no_argument, NULL, 'a'},
	{"config", required_argument, NULL, 'c'},
	{"state", required_argument, NULL, 's'},
	{"listen", required_argument, NULL, 'l'},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

void kt_daemon_options_help(void)
{
	puts("usage: kontaind [OPTION]...\n"
	     "\n"
	     "Tells Kubernetes, and whoever asks over HTTP, whether this node can run Kontain payloads.\n"
	     "\n"
	     "  --standalone        no cluster: serve HTTP only\n"
	     "  --config FILE       settings; without it the defaults hold\n"
	     "  --state FILE        what kontain-installer says of the node (default " DEFAULT_STATE ")\n"
	     "  --listen ADDR:PORT  /livez, /readyz and /metrics (default " DEFAULT_LISTEN ": every address;\n"
	     "                      port 0: any)\n"
	     "  -q, --quiet         quiet\n"
	     "  -v, --verbose       verbose\n"
	     "  -h, --help          print help and exit\n"
	     "  --version           print the version and exit\n"
	     "\n"
	     "In a pod it takes NODE_NAME, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT from the\n"
	     "environment, and the token and CA that are mounted for its service account.\n"
	     "\n"
	     "exit status: 0 ended by SIGTERM or SIGINT; 1 failed; 2 usage");
}

int kt_daemon_options_parse(int argc, char *const argv[], struct kt_daemon_options *ret_options, struct kt_error *err)
{
	struct kt_daemon_options options = {.state = DEFAULT_STATE};
	const char *listen = DEFAULT_LISTEN;
	int option;

	optind = 1;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":hqv", long_options, NULL)) != -1) {
		switch (option) {
		case 'a':
			options.is_standalone = true;
			break;
		case 'c':
			options.config = optarg;
			break;
		case 's':
			options.state = optarg;
			break;
		case 'l':
			listen = optarg;
			break;
		case 'q':
			options.is_quiet = true;
			break;
		case 'v':
			options.is_verbose = true;
			break;
		case 'h':
			options.action = KT_DAEMON_HELP;
			break;
		case 'V':
			options.action = KT_DAEMON_VERSION;
			break;
		default:
			return kt_arguments_explain(option, argv[optind - 1], err);
		}
	}
	if (optind < argc)
		return kt_arguments_refuse("unexpected argument", argv[optind], "", err);
	if (options.state[0] == '\0')
		return kt_arguments_refuse("option", "--state", " requires an argument", err);
	if (kt_http_parse_address(listen, &options.listen, err) < 0)
		return kt_fail_prefix(err, "--listen");
	*ret_options = options;
	return 0;
}
