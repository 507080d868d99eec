#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

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

/* before and after: the word stands between them, in quotes */
static int refuse(struct kt_error *err, const char *before, const char *word, const char *after)
{
	return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "%s \"%.200s\"%s; see --help", before, word, after);
}

int kt_daemon_options_parse(int argc, char *const argv[], struct kt_daemon_options *ret_options, struct kt_error *err)
{
	struct kt_daemon_options options = {.state = DEFAULT_STATE};
	const char *listen = DEFAULT_LISTEN;
	char letter[3];
	int option;

	optind = 1;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":hqv", long_options, NULL)) != -1) {
		const char *word = argv[optind - 1];

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
		case ':':
			return refuse(err, "option", word, " requires an argument");
		default:
			snprintf(letter, sizeof(letter), "-%c", optopt);
			return refuse(err, "unknown option", strncmp(word, "--", 2) == 0 ? word : letter, "");
		}
	}
	if (optind < argc)
		return refuse(err, "unexpected argument", argv[optind], "");
	if (options.state[0] == '\0')
		return refuse(err, "option", "--state", " requires an argument");
	if (kt_http_parse_address(listen, &options.listen, err) < 0)
		return kt_fail_prefix(err, "--listen");
	*ret_options = options;
	return 0;
}
