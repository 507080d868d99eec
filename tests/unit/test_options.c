/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/cli/commands.h"
#include "../../installer/cli/near.h"
#include "../../installer/cli/options.h"
#include "../../installer/jobs/jobs.h"

#define ARGUMENTS_MAX 8

static int count(const char *const argv[])
{
	int n = 0;

	while (argv[n])
		n++;
	return n;
}

static void test_refused(void **state)
{
	static const struct {
		const char *argv[ARGUMENTS_MAX];
		const char *says;
	} rows[] = {
		{{"run", "--nonsense"}, "unknown option \"--nonsense\"; see --help"},
		{{"run", "--nonsense=1"}, "unknown option \"--nonsense\"; see --help"},
		{{"run", "-x"}, "unknown option \"-x\"; see --help"},
		{{"run", "-qx"}, "unknown option \"-x\"; see --help"},
		{{"status", "--rot", "/r"}, "unknown option \"--rot\"; did you mean \"--root\"?"},
		{{"prune", "--kepe=1"}, "did you mean \"--keep\"?"},
		{{"run", "--bundle"}, "option \"--bundle\" requires an argument"},
		{{"list", "-o"}, "option \"--output\" requires an argument"},
		{{"list", "--quiet=yes"}, "option \"--quiet\" takes no argument"},
		{{"run", "more"}, "unexpected argument \"more\""},
		{{"pin", "1.0", "more"}, "unexpected argument \"more\""},
		{{"pin"}, "pin requires an argument: VERSION|COMPONENT/VERSION"},
		{{"run", "--root", "/"}, "option \"--root\" \"/\": the root of the filesystem cannot be the store"},
		{{"run", "--root", "/."}, "the root of the filesystem cannot be the store"},
		{{"run", "--root", "/a/../b"}, "option \"--root\" \"/a/../b\": expected a path without .."},
		{{"run", "--root", "/a/.."}, "expected a path without .."},
		{{"run", "--root", "/a//b"}, "expected a path without //"},
		{{"run", "--root", "relative"}, "option \"--root\" requires an absolute path, not \"relative\""},
		{{"check", "-o", "yaml"}, "option \"--output\": expected text or json, not \"yaml\""},
		{{"run", "-o", "json"}, "run does not take --output"},
		{{"list", "--bundle", "/b"}, "list does not take --bundle"},
		{{"list", "--strict"}, "list does not take --strict"},
		{{"status", "--dry-run"}, "status does not take --dry-run"},
		{{"install", "--once"}, "install does not take --once"},
		{{"prune", "--force"}, "prune does not take --force"},
		{{"uninstall", "--keep", "1"}, "uninstall does not take --keep"},
		{{"prune", "--keep", "-1"}, "option \"--keep\": expected a number from 0 to 99999, not \"-1\""},
		{{"prune", "--keep", ""}, "expected a number"},
		{{"prune", "--keep", "100000"}, "expected a number"},
		{{"prune", "--older-than", "1d"}, "option \"--older-than\": expected a number"},
		{{"prune", "--to", "1"}, "prune does not take --to"},
		/* jobs, as a shell runs them: by their own table */
		{{"probe", "--bundle", "/b"}, "probe does not take --bundle"},
		{{"land", "--to", "1"}, "land does not take --to"},
		{{"remove", "--force"}, "remove does not take --force"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_options options, untouched;
		struct kt_error err = {.code = 0};

		memset(&options, 0, sizeof(options));
		memset(&untouched, 0, sizeof(untouched));
		if (kt_options_parse(count(rows[i].argv), (char *const *)rows[i].argv, &options, &err) == 0)
			fail_msg("%s %s is taken", rows[i].argv[0], rows[i].argv[1]);
		if (!strstr(err.text, rows[i].says))
			fail_msg("\"%s\" says nothing of \"%s\"", err.text, rows[i].says);
		assert_memory_equal(&options, &untouched, sizeof(options));
	}
}

static void test_taken(void **state)
{
	const char *argv[] = {"install", "--bundle", "/b",      "--root=/r", "--host",   "/",      "--output",
			      "json",    "-q",       "--force", "--dry-run", "--config", "c.yaml", NULL};
	struct kt_options options;
	struct kt_error err = {.code = 0};

	(void)state;
	assert_int_equal(kt_options_parse(count(argv), (char *const *)argv, &options, &err), 0);
	assert_string_equal(options.bundle, "/b");
	assert_string_equal(options.root, "/r");
	assert_string_equal(options.host, "");
	assert_string_equal(options.dev, "/dev");
	assert_string_equal(options.state, "/run/kontain/state.json");
	assert_string_equal(options.config, "c.yaml");
	assert_true(options.json && options.quiet && options.force && options.dry_run);
	assert_false(options.once || options.verbose || options.strict);
}

/* The tables agree with each other: an option that no command takes, or a command that nobody can name, is a slip. */
static void test_tables(void **state)
{
	(void)state;
	for (size_t i = 0; i < kt_option_count; i++) {
		const struct kt_option *option = &kt_options[i];
		size_t takers = 0;

		assert_true(option->summary[0] != '\0' && option->set != NULL);
		for (size_t j = 0; j < kt_command_count; j++)
			takers += kt_option_is_for(option, kt_commands[j].name);
		if (takers == 0)
			fail_msg("--%s: no command takes it", option->name);
		for (const char *word = option->only; word != NULL && *(word += strspn(word, " ")) != '\0';
		     word += strcspn(word, " ")) {
			char name[32];

			snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, " "), word);
			if (kt_command_find(name) == NULL)
				fail_msg("--%s: there is no command %s", option->name, name);
		}
		for (size_t j = 0; j < i; j++)
			assert_true(strcmp(kt_options[j].name, option->name) != 0 &&
				    (option->letter == 0 || kt_options[j].letter != option->letter));
	}
	for (size_t i = 0; i < kt_command_count; i++)
		assert_null(kt_job_find(kt_commands[i].name));
}

static void test_help_of_a_command(void **state)
{
	const char *const argvs[][3] = {{"prune", "--help", NULL}, {"prune", "-h", NULL}, {"pin", "-h", NULL}};

	(void)state;
	for (size_t i = 0; i < sizeof(argvs) / sizeof(argvs[0]); i++) {
		struct kt_options options;
		struct kt_error err = {.code = 0};

		assert_int_equal(kt_options_parse(2, (char *const *)argvs[i], &options, &err), 0);
		assert_true(options.help);
	}
}

static void test_near(void **state)
{
	static const struct {
		const char *typed, *word;
		bool is_near;
	} rows[] = {
		{"instal", "install", true},
		{"isntall", "install", true},
		{"intall", "install", true},
		{"installl", "install", true},
		{"rolback", "rollback", true},
		{"satus", "status", true},
		{"foo", "run", false},
		{"install", "uninstall", true},
		{"un", "run", true},
		{"", "run", false},
		{"pun", "pin", true},
		{"frobnicate", "rollback", false},
		{"a-word-that-is-longer-than-any-command-there-is", "install", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (kt_is_near(rows[i].typed, rows[i].word) != rows[i].is_near)
			fail_msg("%s, %s", rows[i].typed, rows[i].word);
}

static void test_numbers(void **state)
{
	const char *argv[] = {"prune", "--keep", "3", "--older-than=030", NULL};
	const char *forced[] = {"uninstall", "--force", NULL};
	struct kt_options options;
	struct kt_error err = {.code = 0};

	(void)state;
	assert_int_equal(kt_options_parse(count(argv), (char *const *)argv, &options, &err), 0);
	assert_int_equal(options.keep, 3);
	assert_int_equal(options.older_than_days, 30);
	assert_int_equal(kt_options_parse(count(forced), (char *const *)forced, &options, &err), 0);
	assert_true(options.force);
}

static void test_device_folder_follows_host(void **state)
{
	const char *in_pod[] = {"run", "--host", "/host", NULL};
	const char *named[] = {"run", "--host", "/host", "--dev", "/elsewhere", NULL};
	struct kt_options options;
	struct kt_error err = {.code = 0};

	(void)state;
	assert_int_equal(kt_options_parse(3, (char *const *)in_pod, &options, &err), 0);
	assert_string_equal(options.dev, "/host/dev");
	assert_int_equal(kt_options_parse(5, (char *const *)named, &options, &err), 0);
	assert_string_equal(options.dev, "/elsewhere");
}

/* In the agent's container: what a command does not say of places is the agent's, and nothing else of it is. */
static void test_beside_the_agent(void **state)
{
	const char *agent[] = {"run",     "--host",        "/host",  "--bundle", "/bundle", "--config", "/etc/kontain",
			       "--state", "/s/state.json", "--root", "/opt/k",   "--once",  "-q",       "-v",
			       NULL};
	const char *status[] = {"status", NULL}, *install[] = {"install", NULL},
		   *broken[] = {"run", "--nonsense", NULL};
	const char *elsewhere[] = {"check", "--host", "/", "--state", "/other", NULL};
	const char *wrong[] = {"status", "--bundle", "/b", NULL};
	struct kt_options options;
	struct kt_error err = {.code = 0};

	(void)state;
	assert_int_equal(
		kt_options_parse_beside(count(agent), (char *const *)agent, 1, (char *const *)status, &options, &err),
		0);
	assert_string_equal(options.host, "/host");
	assert_string_equal(options.dev, "/host/dev");
	assert_string_equal(options.root, "/opt/k");
	assert_string_equal(options.config, "/etc/kontain");
	assert_string_equal(options.state, "/s/state.json");
	assert_null(options.bundle); /* status takes none */
	assert_false(options.once || options.quiet || options.verbose);
	assert_int_equal(
		kt_options_parse_beside(count(agent), (char *const *)agent, 1, (char *const *)install, &options, &err),
		0);
	assert_string_equal(options.bundle, "/bundle");
	assert_int_equal(kt_options_parse_beside(count(agent), (char *const *)agent, count(elsewhere),
						 (char *const *)elsewhere, &options, &err),
			 0);
	assert_string_equal(options.host, "");
	assert_string_equal(options.dev, "/dev");
	assert_string_equal(options.state, "/other");
	assert_string_equal(options.root, "/opt/k");
	/* of an agent that this program does not understand nothing is taken */
	assert_int_equal(kt_options_parse_beside(2, (char *const *)broken, 1, (char *const *)status, &options, &err),
			 0);
	assert_string_equal(options.host, "");
	assert_string_equal(options.state, "/run/kontain/state.json");
	assert_int_not_equal(
		kt_options_parse_beside(count(agent), (char *const *)agent, 3, (char *const *)wrong, &options, &err),
		0);
}

static void test_exit_status(void **state)
{
	static const struct {
		enum kt_reason reason;
		int status;
	} rows[] = {
		{KT_REASON_LOCKED, 4},
		{KT_REASON_IN_USE, 3},
		{KT_REASON_DISK_FULL, 1},
		{KT_REASON_NONE, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(kt_exit_status(&(struct kt_error){.reason = rows[i].reason}), rows[i].status);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_help_of_a_command),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_device_folder_follows_host),
		cmocka_unit_test(test_beside_the_agent),
		cmocka_unit_test(test_exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
