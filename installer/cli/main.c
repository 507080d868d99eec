/* kontain-installer: the privileged half. It knows nothing of Kubernetes and has no network. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commands.h"
#include "container.h"
#include "help.h"
#include "jobs/rights.h"
#include "jobs/root.h"
#include "jobs/runner.h"
#include "jobs/spawn.h"
#include "kontain/base/descriptors.h"
#include "kontain/base/log.h"
#include "near.h"
#include "options.h"
#include "print.h"

static int usage(const struct kt_error *err)
{
	fprintf(stderr, "kontain-installer: %s\n", err->text);
	return KT_EXIT_USAGE;
}

static void begin_log(const struct kt_options *options)
{
	kt_log_init("kontain-installer", options->quiet ? KT_LOG_ERROR : options->verbose ? KT_LOG_DEBUG : KT_LOG_INFO);
}

/* The config, and what follows from it. */
static int set_up(struct kt_installer *installer, struct kt_error *err)
{
	const struct kt_options *options = &installer->options;
	int failed = 0;

	installer->paths = (struct kt_node_paths){.host = options->host, .dev = options->dev};
	if (installer->runner != NULL) /* it has read the config for both, and chooses a root each reconcile */
		return 0;
	kt_config_init(&installer->config);
	if (options->config != NULL)
		failed = kt_config_load(options->config, &installer->config, err);
	if (failed == 0)
		kt_root_choose(installer);
	return failed;
}

/* Beside the agent, in its container, a person need not say again what that was started with. */
static int parse(int argc, char *argv[], struct kt_options *ret_options, struct kt_error *err)
{
	static struct kt_container_agent agent; /* the options borrow from it */

	if (!kt_container_agent(&agent))
		return kt_options_parse(argc, argv, ret_options, err);
	return kt_options_parse_beside(agent.argc - 1, agent.argv + 1, argc, argv, ret_options, err);
}

static int run_command(const struct kt_command *command, int argc, char *argv[])
{
	struct kt_installer installer = {.options = {.host = ""}};
	struct kt_error err = {.reason = KT_REASON_NONE};
	int failed;

	failed = command->is_resident ? kt_options_parse(argc, argv, &installer.options, &err) :
					parse(argc, argv, &installer.options, &err);
	if (failed)
		return usage(&err);
	if (installer.options.help) {
		kt_help_print_command(stdout, command);
		return KT_EXIT_DONE;
	}
	begin_log(&installer.options);
	if (command->is_resident && !installer.options.once && kt_runner_start(&installer, &err) != 0)
		return kt_print_error(&err);
	if (!command->is_bare && set_up(&installer, &err) != 0)
		return kt_print_error(&err);
	return command->run(&installer);
}

/* As the runner starts it, with an order, or as a shell does, with options. */
static int run_job(const struct kt_job *job, int argc, char *argv[])
{
	static struct kt_order order;
	struct kt_installer installer = {.options = {.host = ""}};
	struct kt_error err = {.reason = KT_REASON_NONE};
	bool has_order = argc == 2 && strcmp(argv[1], KT_ORDER_OPTION) == 0;
	const char *version;
	int failed;

	if (has_order)
		failed = kt_spawn_take_order(&order, &installer, &err);
	else
		failed = parse(argc, argv, &installer.options, &err);
	if (failed)
		return usage(&err);
	if (!has_order && installer.options.help) {
		printf("usage: kontain-installer %s [OPTION]...\n\nA job, which the agent starts by itself: it %s.\n",
		       job->name, job->does);
		return KT_EXIT_DONE;
	}
	begin_log(&installer.options);
	failed = kt_rights_job(job, installer.options.dev, &err);
	if (failed == 0 && !has_order)
		failed = set_up(&installer, &err);
	if (failed)
		return kt_print_error(&err);
	version = has_order ? order.request.version : installer.options.to;
	return job->run(&installer, version != NULL ? version : "");
}

static int refuse_unknown(const char *word)
{
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *near = NULL;

	for (size_t i = 0; i < kt_command_count && near == NULL; i++)
		if (kt_is_near(word, kt_commands[i].name))
			near = kt_commands[i].name;
	if (near != NULL)
		kt_fail(&err, EINVAL, KT_REASON_NONE, "unknown command \"%s\"; did you mean \"%s\"?", word, near);
	else
		kt_fail(&err, EINVAL, KT_REASON_NONE, "unknown command \"%s\"; see --help", word);
	return usage(&err);
}

/* help, help COMMAND */
static int print_help(const char *word)
{
	const struct kt_command *command = word != NULL ? kt_command_find(word) : NULL;

	if (word != NULL && command == NULL)
		return refuse_unknown(word);
	if (command != NULL)
		kt_help_print_command(stdout, command);
	else
		kt_help_print(stdout);
	return KT_EXIT_DONE;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

int main(int argc, char *argv[])
{
	struct kt_error err = {.reason = KT_REASON_NONE};
	const struct kt_command *command;
	const struct kt_job *job;

	if (kt_descriptors_settle() < 0)
		return KT_EXIT_FAILED; /* and nowhere to say so */
	clearenv();                    /* OpenSSL would take a configuration from it, and modules that this names */
	umask(022);
	if (argc < 2) {
		kt_fail(&err, EINVAL, KT_REASON_NONE, "missing command; see --help");
		return usage(&err);
	}
	if (is_help(argv[1]))
		return print_help(argc > 2 ? argv[2] : NULL);
	if (strcmp(argv[1], "--version") == 0) {
		puts("kontain-installer " KONTAIN_VERSION);
		return KT_EXIT_DONE;
	}
	command = kt_command_find(argv[1]);
	if (command != NULL)
		return run_command(command, argc - 1, argv + 1);
	job = kt_job_find(argv[1]);
	if (job != NULL && job->run != NULL)
		return run_job(job, argc - 1, argv + 1);
	return refuse_unknown(argv[1]);
}
