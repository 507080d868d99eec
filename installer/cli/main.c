/* kontain-installer: the privileged half. It knows nothing of Kubernetes and has no network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs/rights.h"
#include "jobs/runner.h"
#include "kontain/descriptors.h"
#include "kontain/log.h"
#include "print.h"
#include "commands.h"

static const struct {
	const char *name;
	int (*run)(struct kt_installer *installer);
	bool is_resident; /* two processes, confined before anything is read */
} verbs[] = {
	{"run", kt_command_run, true},
	{"install", kt_command_install, false},
	{"check", kt_command_check, false},
	{"status", kt_command_status, false},
	{"list", kt_command_list, false},
	{"verify", kt_command_verify, false},
	{"rollback", kt_command_rollback, false},
	{"prune", kt_command_prune, false},
	{"pin", kt_command_pin, false},
	{"unpin", kt_command_unpin, false},
	{"uninstall", kt_command_uninstall, false},
	{"probe", kt_job_probe, false},
	{"selftest", kt_job_selftest, false},
	{"land", kt_job_land, false},
	{"scrub", kt_job_scrub, false},
	{"remove", kt_job_remove, false},
};

static int usage(const struct kt_error *err)
{
	fprintf(stderr, "kontain-installer: %s\n", err->text);
	return KT_EXIT_USAGE;
}

static int run_verb(size_t i, int argc, char *argv[])
{
	struct kt_installer installer = {.options = {.host = ""}};
	struct kt_options *options = &installer.options;
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (kt_options_parse(argc, argv, options, &err) != 0)
		return usage(&err);
	kt_log_init("kontain-installer", options->quiet ? KT_LOG_ERROR : options->verbose ? KT_LOG_DEBUG : KT_LOG_INFO);
	if (verbs[i].is_resident && !options->once && kt_runner_start(&installer, &err) != 0)
		return kt_print_error(&err);
	if (kt_rights_job(verbs[i].name, options, &err) != 0)
		return kt_print_error(&err);
	kt_config_init(&installer.config);
	if (options->config != NULL && kt_config_load(options->config, &installer.config, &err) != 0)
		return kt_print_error(&err);
	installer.paths = (struct kt_node_paths){.host = options->host, .dev = options->dev};
	return verbs[i].run(&installer);
}

int main(int argc, char *argv[])
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (kt_descriptors_settle() < 0)
		return KT_EXIT_FAILED; /* and nowhere to say so */
	clearenv(); /* OpenSSL would take a configuration from it, and modules that this names */
	umask(022);
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
		kt_options_help("kontain-installer");
		return KT_EXIT_DONE;
	}
	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		puts("kontain-installer " KONTAIN_VERSION);
		return KT_EXIT_DONE;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof verbs / sizeof *verbs; i++)
		if (strcmp(argv[1], verbs[i].name) == 0)
			return run_verb(i, argc - 1, argv + 1);
	kt_fail(&err, 22, KT_REASON_NONE, argc < 2 ? "say what to do, see --help" : "%s: no such verb, see --help", argv[1]);
	return usage(&err);
}
