/* links: kt_plugin kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/options.h"

#define WORDS_MAX 8

static int parse(struct kt_plugin_options *ret_options, struct kt_error *err, const char *const words[WORDS_MAX])
{
	char *argv[WORDS_MAX + 2] = {(char[]){"kontain-device-plugin"}};
	int argc = 1;

	while (argc <= WORDS_MAX && words[argc - 1]) {
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
		argc++;
	}
	return kt_plugin_options_parse(argc, argv, ret_options, err);
}

static void test_defaults(void **context)
{
	struct kt_plugin_options options;
	struct kt_error err = {0};

	(void)context;
	assert_int_equal(parse(&options, &err, (const char *[WORDS_MAX]){NULL}), 0);
	assert_string_equal(options.resource, "kontain.app/kvm");
	assert_int_equal(options.count, 1000);
	assert_int_equal(options.mount, KT_OFFER_KM);
	assert_false(options.has_legacy);
	assert_int_equal(parse(&options, &err,
			       (const char *[WORDS_MAX]){"--count", "7", "--mount=store", "--legacy-resource",
							 "--resource", "a.b/c_d"}),
			 0);
	assert_int_equal(options.count, 7);
	assert_int_equal(options.mount, KT_OFFER_STORE);
	assert_true(options.has_legacy);
	assert_string_equal(options.resource, "a.b/c_d");
}

static void test_refused(void **context)
{
	static const struct {
		const char *words[WORDS_MAX];
		const char *says;
	} rows[] = {
		{{"--count", "0"}, "expected a number from 1 to 10000, got \"0\""},
		{{"--count", "10001"}, "got \"10001\""},
		{{"--count", "99999999999999999999"}, "expected a number"},
		{{"--count", "1x"}, "got \"1x\""},
		{{"--count"}, "option \"--count\" requires an argument"},
		{{"--mount", "all"}, "expected km, store or none, got \"all\""},
		{{"--resource", "kvm"}, "expected DOMAIN/NAME"},
		{{"--resource", "a/b/c"}, "expected DOMAIN/NAME"},
		{{"--resource", "/b"}, "expected DOMAIN/NAME"},
		{{"--resource", "a/"}, "expected DOMAIN/NAME"},
		{{"--state", "state.json"}, "--state: expected an absolute path"},
		{{"--kubelet-folder", ""}, "--kubelet-folder: expected an absolute path"},
		{{"--device-folder", "x"}, "--device-folder: expected an absolute path"},
		{{"--nonsense"}, "unknown option \"--nonsense\""},
		{{"-x"}, "unknown option \"-x\""},
		{{"word"}, "unexpected argument \"word\""},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_plugin_options options;
		struct kt_error err = {0};

		assert_int_equal(parse(&options, &err, rows[i].words), -EINVAL);
		if (!strstr(err.text, rows[i].says))
			fail_msg("expected \"%s\", got: %s", rows[i].says, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults), cmocka_unit_test(test_refused)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
