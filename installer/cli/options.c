#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "jobs/jobs.h"
#include "near.h"

#define OPTIONS_MAX 32

/* ---- what an option sets ---- */

static int set_root(struct kt_options *options, const char *value, struct kt_error *err)
{
	char path[KT_CONFIG_PATH_MAX];
	const char *wrong;

	if (value[0] != '/')
		return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"--root\" requires an absolute path, not \"%s\"",
			       value);
	wrong = kt_config_root(value, path);
	if (wrong == NULL && strstr(value, "//") != NULL)
		wrong = "expected a path without //";
	if (wrong != NULL && strlen(value) < KT_CONFIG_PATH_MAX)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"--root\" \"%s\": %s", value, wrong);
	if (strlen(value) >= KT_CONFIG_PATH_MAX)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"--root\": the path is longer than %d bytes",
			       KT_CONFIG_PATH_MAX - 1);
	options->root = value;
	return 0;
}

static int set_host(struct kt_options *options, const char *value, struct kt_error *err)
{
	(void)err;
	options->host = strcmp(value, "/") == 0 ? "" : value;
	return 0;
}

static int set_dev(struct kt_options *options, const char *value, struct kt_error *err)
{
	if (snprintf(options->dev, sizeof options->dev, "%s", value) >= (int)sizeof options->dev)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"--dev\": the path is longer than %zu bytes",
			       sizeof options->dev - 1);
	return 0;
}

static int set_output(struct kt_options *options, const char *value, struct kt_error *err)
{
	if (strcmp(value, "json") != 0 && strcmp(value, "text") != 0)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"--output\": expected text or json, not \"%s\"",
			       value);
	options->json = strcmp(value, "json") == 0;
	return 0;
}

static int set_number(unsigned *number, const char *name, const char *value, struct kt_error *err)
{
	if (*value == '\0' || strlen(value) > 5 || value[strspn(value, "0123456789")] != '\0')
		return kt_fail(err, EINVAL, KT_REASON_NONE,
			       "option \"--%s\": expected a number from 0 to 99999, not \"%s\"", name, value);
	*number = (unsigned)strtoul(value, NULL, 10);
	return 0;
}

static int set_keep(struct kt_options *options, const char *value, struct kt_error *err)
{
	return set_number(&options->keep, "keep", value, err);
}

static int set_older_than(struct kt_options *options, const char *value, struct kt_error *err)
{
	return set_number(&options->older_than_days, "older-than", value, err);
}

#define SETS_TEXT(member)                                                                            \
	static int set_##member(struct kt_options *options, const char *value, struct kt_error *err) \
	{                                                                                            \
		(void)err;                                                                           \
		options->member = value;                                                             \
		return 0;                                                                            \
	}
#define SETS_FLAG(member)                                                                            \
	static int set_##member(struct kt_options *options, const char *value, struct kt_error *err) \
	{                                                                                            \
		(void)value;                                                                         \
		(void)err;                                                                           \
		options->member = true;                                                              \
		return 0;                                                                            \
	}

SETS_TEXT(state)
SETS_TEXT(config)
SETS_TEXT(bundle)
SETS_TEXT(to)
SETS_FLAG(once)
SETS_FLAG(strict)
SETS_FLAG(dry_run)
SETS_FLAG(force)
SETS_FLAG(quiet)
SETS_FLAG(verbose)
SETS_FLAG(help)

const struct kt_option kt_options[] = {
	{"bundle", 0, "DIR", " run install ", "bundle to install", set_bundle},
	{"root", 0, "DIR", NULL,
	 "the store, as the host names it (default: store.roots of the config, else /opt/kontain)", set_root},
	{"host", 0, "DIR", NULL, "where the host's file system is mounted (default: /)", set_host},
	{"dev", 0, "DIR", NULL, "where the host's devices are (default: HOST/dev)", set_dev},
	{"config", 0, "FILE", NULL, "settings (default: those of an empty file)", set_config},
	{"state", 0, "FILE", NULL, "the state document (default: /run/kontain/state.json)", set_state},
	{"once", 0, NULL, " run ", "reconcile once, then exit with the result", set_once},
	{"to", 0, "VERSION", " rollback verify ", "version to act on (default: previous; for verify: current)", set_to},
	{"strict", 0, NULL, " verify ", "treat findings as errors", set_strict},
	{"keep", 0, "N", " prune ", "keep the N newest of the other versions (default: 0)", set_keep},
	{"older-than", 0, "DAYS", " prune ", "remove only versions older than DAYS days (default: 0, whatever the age)",
	 set_older_than},
	{"dry-run", 0, NULL, " install rollback prune uninstall ", "print what would change, change nothing",
	 set_dry_run},
	{"force", 0, NULL, " install uninstall ",
	 "install: move an installation made by another tool to a folder beside it first; uninstall: even if it is in "
	 "use",
	 set_force},
	{"output", 'o', "text|json", " install check status list verify rollback prune pin unpin uninstall ",
	 "output format (default: text)", set_output},
	{"quiet", 'q', NULL, NULL, "log errors only", set_quiet},
	{"verbose", 'v', NULL, NULL, "log debug messages too", set_verbose},
	{"help", 'h', NULL, NULL, "print help and exit", set_help},
};

const size_t kt_option_count = sizeof kt_options / sizeof *kt_options;
_Static_assert(sizeof kt_options / sizeof *kt_options <= OPTIONS_MAX, "getopt's table has a row for each");

/* ---- parsing ---- */

#define LONG_FIRST 256 /* getopt's value of the first row */

bool kt_option_is_for(const struct kt_option *option, const char *command)
{
	const struct kt_job *job = kt_job_find(command);
	char word[32];

	if (option->only == NULL)
		return true;
	if (job != NULL)
		return (option->set == set_to && job->takes_version) ||
		       (option->set == set_bundle && job->takes_bundle);
	snprintf(word, sizeof word, " %s ", command);
	return strstr(option->only, word) != NULL;
}

static void fill_tables(struct option long_options[], char letters[])
{
	*letters++ = ':';
	for (size_t i = 0; i < kt_option_count; i++) {
		const struct kt_option *row = &kt_options[i];

		long_options[i] = (struct option){row->name, row->argument != NULL ? required_argument : no_argument,
						  NULL, LONG_FIRST + (int)i};
		if (row->letter == 0)
			continue;
		*letters++ = row->letter;
		if (row->argument != NULL)
			*letters++ = ':';
	}
	*letters = '\0';
}

static const struct kt_option *row_of(int value)
{
	for (size_t i = 0; i < kt_option_count; i++)
		if (value == LONG_FIRST + (int)i || (kt_options[i].letter != 0 && value == kt_options[i].letter))
			return &kt_options[i];
	return NULL;
}

/* word: as it stands in argv. letter: of a short one that is not known, which may stand among others in its word. */
static int refuse_unknown(const char *word, int letter, struct kt_error *err)
{
	const char *near = NULL;
	char name[64];

	snprintf(name, sizeof name, "%.*s", (int)strcspn(word + 2 * (strncmp(word, "--", 2) == 0), "="),
		 word + 2 * (strncmp(word, "--", 2) == 0));
	if (letter >= LONG_FIRST) /* getopt knows it: a value that it does not take */
		return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"--%s\" takes no argument; see --help",
			       row_of(letter)->name);
	if (strncmp(word, "--", 2) != 0)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "unknown option \"-%c\"; see --help", letter);
	for (size_t i = 0; i < kt_option_count && near == NULL; i++)
		if (kt_is_near(name, kt_options[i].name))
			near = kt_options[i].name;
	if (near != NULL)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "unknown option \"--%s\"; did you mean \"--%s\"?", name,
			       near);
	return kt_fail(err, EINVAL, KT_REASON_NONE, "unknown option \"--%s\"; see --help", name);
}

static int take_option(const char *command, int value, const char *word, struct kt_options *options,
		       struct kt_error *err)
{
	const struct kt_option *row = row_of(value == ':' ? optopt : value);

	if (value == '?')
		return refuse_unknown(word, optopt, err);
	if (value == ':')
		return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"--%s\" requires an argument; see --help",
			       row->name);
	if (!kt_option_is_for(row, command))
		return kt_fail(err, EINVAL, KT_REASON_NONE, "%s does not take --%s; see %s --help", command, row->name,
			       command);
	return row->set(options, optarg, err);
}

static int take_argument(const struct kt_command *command, int argc, char *const argv[], struct kt_options *options,
			 struct kt_error *err)
{
	bool takes_one = command != NULL && command->argument != NULL;

	if (takes_one && optind == argc)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "%s requires an argument: %s, see list", argv[0],
			       command->argument);
	if (takes_one)
		options->to = argv[optind++];
	if (optind < argc)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "unexpected argument \"%s\"; see --help", argv[optind]);
	return 0;
}

/* On top of what ret_options has already. With --help nothing else is looked at. */
static int parse_words(int argc, char *const argv[], struct kt_options *options, struct kt_error *err)
{
	struct option long_options[OPTIONS_MAX + 1];
	char letters[2 * OPTIONS_MAX + 2];
	int value, failed = 0;

	memset(long_options, 0, sizeof long_options);
	fill_tables(long_options, letters);
	optind = 1;
	opterr = 0; /* one line, and it is ours */
	optopt = 0;
	while (failed == 0 && !options->help && (value = getopt_long(argc, argv, letters, long_options, NULL)) != -1)
		failed = take_option(argv[0], value, argv[optind - 1], options, err);
	if (failed == 0 && !options->help)
		failed = take_argument(kt_command_find(argv[0]), argc, argv, options, err);
	return failed;
}

static const struct kt_options defaults = {.host = "", .state = "/run/kontain/state.json"};

static int parse_on_top(const struct kt_options *base, int argc, char *const argv[], struct kt_options *ret_options,
			struct kt_error *err)
{
	struct kt_options options = *base;
	int failed = parse_words(argc, argv, &options, err);

	if (failed)
		return failed;
	if (options.dev[0] == '\0' &&
	    snprintf(options.dev, sizeof options.dev, "%s/dev", options.host) >= (int)sizeof options.dev)
		return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"--host\": the path is longer than %zu bytes",
			       sizeof options.dev - sizeof "/dev");
	*ret_options = options;
	return 0;
}

int kt_options_parse(int argc, char *const argv[], struct kt_options *ret_options, struct kt_error *err)
{
	return parse_on_top(&defaults, argc, argv, ret_options, err);
}

int kt_options_parse_beside(int agent_argc, char *const agent_argv[], int argc, char *const argv[],
			    struct kt_options *ret_options, struct kt_error *err)
{
	struct kt_options agent = defaults, base = defaults;
	struct kt_error ignored;

	if (parse_words(agent_argc, agent_argv, &agent, &ignored) == 0) {
		base.host = agent.host;
		base.root = agent.root;
		base.state = agent.state;
		base.config = agent.config;
		memcpy(base.dev, agent.dev, sizeof base.dev);
		for (size_t i = 0; i < kt_option_count; i++)
			if (kt_options[i].set == set_bundle && kt_option_is_for(&kt_options[i], argv[0]))
				base.bundle = agent.bundle;
	}
	return parse_on_top(&base, argc, argv, ret_options, err);
}
