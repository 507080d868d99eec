/* links: kt_installer kt_store kt_bundle kt_node kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/cli/options.h"

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
		{{"run", "--nonsense"}, "--nonsense: no such option"},
		{{"run", "-x"}, "no such option"},
		{{"run", "--bundle"}, "--bundle: a value is wanted"},
		{{"run", "more"}, "more: not expected here"},
		{{"run", "--root", "relative"}, "--root relative: give an absolute path"},
		{{"check", "-o", "yaml"}, "-o yaml: say text or json"},
		{{"list", "--bundle", "/b"}, "list does not take --bundle"},
		{{"list", "--strict"}, "list does not take --strict"},
		{{"status", "--dry-run"}, "status does not take --dry-run"},
		{{"install", "--once"}, "install does not take --once"},
		{{"prune", "--force"}, "prune does not take --force"},
		{{"uninstall", "--keep", "1"}, "uninstall does not take --keep"},
		{{"prune", "--keep", "-1"}, "--keep -1: give a number"},
		{{"prune", "--keep", ""}, "give a number"},
		{{"prune", "--keep", "100000"}, "give a number"},
		{{"prune", "--older-than", "1d"}, "--older-than 1d: give a number"},
		{{"prune", "--to", "1"}, "prune does not take --to"},
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
	const char *argv[] = {"install", "--bundle", "/b", "--root=/r", "--host", "/", "-o", "json",
			      "-q",      "--force",  "--dry-run", "--config", "c.yaml", NULL};
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
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_device_folder_follows_host),
		cmocka_unit_test(test_exit_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
