/* links: kt_daemon kt_serve kt_kube kt_contract kt_base */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "options.h"

static const struct {
	const char *text;
	int family; /* 0: refused */
	unsigned port;
} addresses[] = {
	{"0.0.0.0:8080", AF_INET, 8080},
	{"127.0.0.1:0", AF_INET, 0},
	{"127.0.0.1:65535", AF_INET, 65535},
	{"[::]:8080", AF_INET6, 8080},
	{":8080", AF_INET6, 8080},
	{":0", AF_INET6, 0},
	{":", 0, 0},
	{":65536", 0, 0},
	{"::8080", 0, 0},
	{"[fe80::1]:1", AF_INET6, 1},
	{"127.0.0.1:65536", 0, 0},
	{"127.0.0.1:99999", 0, 0},
	{"127.0.0.1:4294967297", 0, 0},
	{"127.0.0.1:-1", 0, 0},
	{"127.0.0.1:+1", 0, 0},
	{"127.0.0.1: 1", 0, 0},
	{"127.0.0.1:80x", 0, 0},
	{"127.0.0.1:", 0, 0},
	{"127.0.0.1", 0, 0},
	{"8080", 0, 0},
	{"", 0, 0},
	{"localhost:8080", 0, 0},
	{"::1:8080", 0, 0},
	{"[]:8080", 0, 0},
	{"[127.0.0.1]:8080", 0, 0},
	{"[::1:8080", 0, 0},
	{"1111111111111111111111111111111111111111111111111111111111:1", 0, 0},
};

static void test_addresses(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct kt_http_address address = {.size = 0};
		struct kt_error err = {0};
		int r = kt_http_parse_address(addresses[i].text, &address, &err);

		if ((r == 0) != (addresses[i].family != 0))
			fail_msg("%s: %d", addresses[i].text, r);
		if (r < 0) {
			assert_non_null(strstr(err.text, "0.0.0.0:8080"));
			assert_int_equal(address.size, 0);
			continue;
		}
		assert_int_equal(address.any.sa_family, addresses[i].family);
		assert_int_equal(address.is_any, addresses[i].text[0] == ':');
		assert_int_equal(ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port),
				 addresses[i].port);
	}
}

static const struct {
	const char *argv[8];
	const char *problem;             /* NULL: fine */
	struct kt_daemon_options wanted; /* without the address */
} lines[] = {
	{{"kontaind"}, NULL, {.state = "/run/kontain/state.json"}},
	{{"kontaind", "--standalone", "-q"},
	 NULL,
	 {.is_standalone = true, .is_quiet = true, .state = "/run/kontain/state.json"}},
	{{"kontaind", "--state", "s", "--config=c", "-v"}, NULL, {.is_verbose = true, .config = "c", .state = "s"}},
	{{"kontaind", "--help"}, NULL, {.action = KT_DAEMON_HELP, .state = "/run/kontain/state.json"}},
	{{"kontaind", "-h"}, NULL, {.action = KT_DAEMON_HELP, .state = "/run/kontain/state.json"}},
	{{"kontaind", "--quiet"}, NULL, {.is_quiet = true, .state = "/run/kontain/state.json"}},
	{{"kontaind", "--version"}, NULL, {.action = KT_DAEMON_VERSION, .state = "/run/kontain/state.json"}},
	{{"kontaind", "--listen", "[::1]:1"}, NULL, {.state = "/run/kontain/state.json"}},
	{.argv = {"kontaind", "--listen", "nowhere"}, .problem = "--listen: invalid listen address nowhere"},
	{.argv = {"kontaind", "--listen"}, .problem = "option \"--listen\" requires an argument; see --help"},
	{.argv = {"kontaind", "--state", ""}, .problem = "option \"--state\" requires an argument"},
	{.argv = {"kontaind", "--nothing"}, .problem = "unknown option \"--nothing\"; see --help"},
	{.argv = {"kontaind", "-x"}, .problem = "unknown option \"-x\""},
	{.argv = {"kontaind", "-qx"}, .problem = "unknown option \"-x\""},
	{.argv = {"kontaind", "--standalone=yes"}, .problem = "unknown option \"--standalone=yes\""},
	{.argv = {"kontaind", "run"}, .problem = "unexpected argument \"run\""},
	{.argv = {"kontaind", "--", "--standalone"}, .problem = "unexpected argument \"--standalone\""},
};

static bool is_same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void test_command_lines(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const struct kt_daemon_options *wanted = &lines[i].wanted;
		struct kt_daemon_options options;
		struct kt_error err = {0};
		char *argv[9] = {NULL};
		int argc = 0, r;

		for (; lines[i].argv[argc]; argc++)
			argv[argc] = (char *)lines[i].argv[argc];
		r = kt_daemon_options_parse(argc, argv, &options, &err);
		if (lines[i].problem) {
			if (r != -EINVAL || !strstr(err.text, lines[i].problem))
				fail_msg("row %zu: %d %s", i, r, err.text);
			continue;
		}
		if (r < 0 || options.action != wanted->action || options.is_standalone != wanted->is_standalone ||
		    options.is_quiet != wanted->is_quiet || options.is_verbose != wanted->is_verbose ||
		    !is_same(options.config, wanted->config) || !is_same(options.state, wanted->state))
			fail_msg("row %zu: %d %s", i, r, err.text);
		assert_true(options.listen.size > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_command_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
