#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_DRY_RUN = 256, OPTION_ONCE, OPTION_FORCE, OPTION_STRICT, OPTION_TO, OPTION_KEEP, OPTION_OLDER_THAN };

/* Options that mean something to some verbs alone; the others refuse them rather than ignore them. */
static const struct {
	int option;
	const char *name;
	const char *verbs; /* with a blank on either side of each */
} limited[] = {
	{'b', "--bundle", " run install land "},
	{OPTION_TO, "--to", " rollback verify selftest "},
	{OPTION_DRY_RUN, "--dry-run", " install rollback prune uninstall probe "},
	{OPTION_ONCE, "--once", " run "},
	{OPTION_FORCE, "--force", " install uninstall remove "},
	{OPTION_KEEP, "--keep", " prune "},
	{OPTION_OLDER_THAN, "--older-than", " prune "},
	{OPTION_STRICT, "--strict", " verify "},
};

static const struct option long_options[] = {
	{"root", required_argument, NULL, 'r'},
	{"host", required_argument, NULL, 'h'},
	{"state", required_argument, NULL, 's'},
	{"config", required_argument, NULL, 'c'},
	{"bundle", required_argument, NULL, 'b'},
	{"dev", required_argument, NULL, 'd'},
	{"to", required_argument, NULL, OPTION_TO},
	{"dry-run", no_argument, NULL, OPTION_DRY_RUN},
	{"once", no_argument, NULL, OPTION_ONCE},
	{"force", no_argument, NULL, OPTION_FORCE},
	{"keep", required_argument, NULL, OPTION_KEEP},
	{"older-than", required_argument, NULL, OPTION_OLDER_THAN},
	{"strict", no_argument, NULL, OPTION_STRICT},
	{NULL, 0, NULL, 0},
};

void kt_options_help(const char *program)
{
	printf("usage: %s VERB [OPTION]...\n"
	       "\n"
	       "  run        keep this node as the bundle and the config say, and publish the state\n"
	       "  install    land the bundle once, prove it, and say how the node stands\n"
	       "  check      can this host run Kontain payloads? Changes nothing, needs no installation\n"
	       "  status     how the node stands\n"
	       "  list       the versions that are here\n"
	       "  verify     compare every file of the current version with its digest\n"
	       "  rollback   make the previous version current again\n"
	       "  prune      remove the versions that are neither current, nor previous, nor in use, nor pinned\n"
	       "  pin WHAT   keep VERSION, or COMPONENT/VERSION, from being pruned; unpin WHAT lifts it\n"
	       "  uninstall  remove what was installed, unless it is in use\n"
	       "\n"
	       "  --bundle DIR   the bundle to land\n"
	       "  --root DIR     the store, as the host names it (default: the config's, /opt/kontain)\n"
	       "  --host DIR     where the host's file system is seen (default /)\n"
	       "  --dev DIR      where the host's devices are (default HOST/dev)\n"
	       "  --config FILE  settings; without it the defaults hold\n"
	       "  --state FILE   the state document (default /run/kontain/state.json)\n"
	       "  --once         (run) one round, then exit with its result\n"
	       "  --to VERSION   (rollback, verify) another version than the previous, the current one\n"
	       "  --strict       (verify) findings are errors\n"
	       "  --keep N       (prune) keep N more versions, the newest (default 0)\n"
	       "  --older-than DAYS  (prune) keep what was landed since (default 0: whatever its age)\n"
	       "  --dry-run      (install, rollback, prune, uninstall) say what would change, change nothing\n"
	       "  --force        (install) first move another's installation to a folder beside it\n"
	       "                 (uninstall) remove it although it is in use\n"
	       "  -o text|json   how to print\n"
	       "  -q, -v         less, more\n"
	       "  --help, --version\n"
	       "\n"
	       "exit status: 0 done, or ready; 1 not ready, failed or refused; 2 usage; 3 in use;\n"
	       "4 another installer runs\n",
	       program);
}

static int set_output(struct kt_options *options, const char *word, struct kt_error *err)
{
	if (strcmp(word, "json") == 0)
		options->json = true;
	else if (strcmp(word, "text") == 0)
		options->json = false;
	else
		return kt_fail(err, EINVAL, KT_REASON_NONE, "-o %s: say text or json", word);
	return 0;
}

static int set_number(unsigned *number, const char *name, const char *word, struct kt_error *err)
{
	if (*word == '\0' || strlen(word) > 5 || word[strspn(word, "0123456789")] != '\0')
		return kt_fail(err, EINVAL, KT_REASON_NONE, "%s %s: give a number from 0 to 99999", name, word);
	*number = (unsigned)strtoul(word, NULL, 10);
	return 0;
}

static int set_option(struct kt_options *options, int option, const char *value, struct kt_error *err)
{
	switch (option) {
	case 'r': options->root = value; break;
	case 'h': options->host = strcmp(value, "/") == 0 ? "" : value; break;
	case 's': options->state = value; break;
	case 'c': options->config = value; break;
	case 'b': options->bundle = value; break;
	case 'd':
		if (snprintf(options->dev, sizeof options->dev, "%s", value) >= (int)sizeof options->dev)
			return kt_fail(err, EINVAL, KT_REASON_NONE, "--dev %s: the path is too long", value);
		break;
	case 'o': return set_output(options, value, err);
	case 'q': options->quiet = true; break;
	case 'v': options->verbose = true; break;
	case OPTION_KEEP: return set_number(&options->keep, "--keep", value, err);
	case OPTION_OLDER_THAN: return set_number(&options->older_than_days, "--older-than", value, err);
	case OPTION_TO: options->to = value; break;
	case OPTION_DRY_RUN: options->dry_run = true; break;
	case OPTION_ONCE: options->once = true; break;
	case OPTION_FORCE: options->force = true; break;
	case OPTION_STRICT: options->strict = true; break;
	}
	return 0;
}

static int refuse_limited(const char *verb, int option, struct kt_error *err)
{
	char word[32];

	snprintf(word, sizeof word, " %s ", verb);
	for (size_t i = 0; i < sizeof limited / sizeof *limited; i++)
		if (limited[i].option == option && strstr(limited[i].verbs, word) == NULL)
			return kt_fail(err, EINVAL, KT_REASON_NONE, "%s does not take %s, see --help", verb,
				       limited[i].name);
	return 0;
}

int kt_options_parse(int argc, char *const argv[], struct kt_options *ret_options, struct kt_error *err)
{
	struct kt_options options = {.host = "", .state = "/run/kontain/state.json"};
	int option;

	optind = 1;
	opterr = 0; /* one line, and it is ours */
	while ((option = getopt_long(argc, argv, ":o:qv", long_options, NULL)) != -1) {
		int failed = option == '?' || option == ':'
				     ? kt_fail(err, EINVAL, KT_REASON_NONE, "%s: %s, see --help", argv[optind - 1],
					       option == ':' ? "a value is wanted" : "no such option")
				     : refuse_limited(argv[0], option, err);

		if (failed == 0)
			failed = set_option(&options, option, optarg, err);
		if (failed)
			return failed;
	}
	if (optind < argc && (strcmp(argv[0], "pin") == 0 || strcmp(argv[0], "unpin") == 0))
		options.to = argv[optind++];
	if (optind < argc)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "%s: not expected here, see --help", argv[optind]);
	if (options.root != NULL && options.root[0] != '/')
		return kt_fail(err, EINVAL, KT_REASON_NONE, "--root %s: give an absolute path", options.root);
	if (options.dev[0] == '\0' &&
	    snprintf(options.dev, sizeof options.dev, "%s/dev", options.host) >= (int)sizeof options.dev)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "--host %s: the path is too long", options.host);
	*ret_options = options;
	return 0;
}

int kt_exit_status(const struct kt_error *err)
{
	switch (err->reason) {
	case KT_REASON_LOCKED: return KT_EXIT_LOCKED;
	case KT_REASON_IN_USE: return KT_EXIT_IN_USE;
	default: return KT_EXIT_FAILED;
	}
}
