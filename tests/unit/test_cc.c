/* links: kt_cc kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/cc/command.h"
#include "kontain/base/own.h"

#define WORDS 24

static int argument_count(const char *const *words)
{
	int count = 0;

	while (words[count])
		count++;
	return count;
}

static int read_words(const char *const *words, struct kt_cc_request *ret_request, struct kt_error *err)
{
	return kt_cc_read(argument_count(words), (char *const *)words, ret_request, err);
}

static void test_choices(void **state)
{
	static const struct {
		const char *words[WORDS];
		enum kt_cc_target target;
		enum kt_cc_kind kind;
		bool links;
		const char *replaced_target, *replaced_kind;
	} rows[] = {
		{{"kontain-gcc", "x.c"}, KT_CC_KONTAIN, KT_CC_STATIC, true, NULL, NULL},
		{{"kontain-gcc", "-alpine", "x.c", "-dynamic"}, KT_CC_ALPINE, KT_CC_DYNAMIC, true, NULL, NULL},
		{{"kontain-gcc", "-shared", "-c", "x.c"}, KT_CC_KONTAIN, KT_CC_SHARED, false, NULL, NULL},
		{{"kontain-gcc", "x.c", "-E"}, KT_CC_KONTAIN, KT_CC_STATIC, false, NULL, NULL},
		{{"kontain-gcc", "-r", "x.o"}, KT_CC_KONTAIN, KT_CC_STATIC, false, NULL, NULL},
		{{"kontain-gcc", "-v"}, KT_CC_KONTAIN, KT_CC_STATIC, false, NULL, NULL},
		{{"kontain-gcc", "-o", "-c", "x.c"}, KT_CC_KONTAIN, KT_CC_STATIC, true, NULL, NULL},
		{{"kontain-gcc", "-x", "c", "-"}, KT_CC_KONTAIN, KT_CC_STATIC, true, NULL, NULL},
		{{"kontain-gcc", "-static", "x.c", "-static"}, KT_CC_KONTAIN, KT_CC_STATIC, true, NULL, NULL},
		{{"kontain-gcc", "-static", "-dynamic", "x.c"}, KT_CC_KONTAIN, KT_CC_DYNAMIC, true, NULL, "-static"},
		{{"kontain-gcc", "-alpine", "-kontain", "x.c"}, KT_CC_KONTAIN, KT_CC_STATIC, true, "-alpine", NULL},
		{{"kontain-gcc", "-Xlinker", "-dynamic", "x.c"}, KT_CC_KONTAIN, KT_CC_STATIC, true, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_cc_request_done) struct kt_cc_request request = {.name = NULL};
		struct kt_error err = {.code = 0};

		assert_int_equal(read_words(rows[i].words, &request, &err), 0);
		assert_int_equal(request.target, rows[i].target);
		assert_int_equal(request.kind, rows[i].kind);
		assert_int_equal(kt_cc_links(&request), rows[i].links);
		if (rows[i].replaced_target)
			assert_string_equal(request.replaced_target, rows[i].replaced_target);
		else
			assert_null(request.replaced_target);
		if (rows[i].replaced_kind)
			assert_string_equal(request.replaced_kind, rows[i].replaced_kind);
		else
			assert_null(request.replaced_kind);
	}
}

/* Ours are taken out, wherever they stand; all else keeps its place, and what belongs to another option is not ours. */
static void test_rest(void **state)
{
	static const char *const words[] = {"kontain-gcc", "a b.c", "-kv",    "-DX=\"y z\"", "-dynamic", "-Xlinker",
					    "-static",     "--pin", "1.0",    "-o",          "-kv",      "",
					    "--prefix=/p", "-lm",   "--tree", "t",           "-rdynamic"};
	static const char *const rest[] = {"a b.c", "-DX=\"y z\"", "-Xlinker", "-static", "-o", "-kv",
					   "",      "-lm",         "-rdynamic"};
	KT_OWN(kt_cc_request_done) struct kt_cc_request request = {.name = NULL};
	struct kt_error err = {.code = 0};

	(void)state;
	assert_int_equal(kt_cc_read(sizeof(words) / sizeof(words[0]), (char *const *)words, &request, &err), 0);
	assert_int_equal(request.rest_count, sizeof(rest) / sizeof(rest[0]));
	for (size_t i = 0; i < request.rest_count; i++)
		assert_string_equal(request.rest[i], rest[i]);
	assert_string_equal(request.prefix, "/p");
	assert_string_equal(request.tree, "t");
	assert_string_equal(request.pin, "1.0");
	assert_int_equal(request.kind, KT_CC_DYNAMIC);
	assert_true(request.is_verbose);
	assert_false(request.is_cxx);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *words[WORDS];
		const char *text;
	} rows[] = {
		{{"kontain-gcc", "--prefix"}, "option \"--prefix\" requires an argument"},
		{{"kontain-gcc", "--tree="}, "option \"--tree\" requires an argument"},
		{{"kontain-gcc", "--prefix", "here", "x.c"}, "expected an absolute path"},
		{{"kontain-gcc", "--prefix", "/a:b", "x.c"}, "a colon"},
		{{"kontain-gcc", "--pin", "../1", "-dynamic", "x.c"}, "expected a version"},
		{{"kontain-gcc", "--pin", "1.0", "x.c"}, "this one is of -kontain -static"},
		{{"kontain-gcc", "--pin", "1.0", "-alpine", "-dynamic", "x.c"}, "this one is of -alpine -dynamic"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_cc_request request;
		struct kt_error err = {.code = 0};

		assert_int_equal(read_words(rows[i].words, &request, &err), -EINVAL);
		assert_non_null(strstr(err.text, rows[i].text));
	}
}

static char *command_of(const char *const *words, const char *gcc)
{
	KT_OWN(kt_cc_request_done) struct kt_cc_request request = {.name = NULL};
	KT_OWN(kt_cc_command_done) struct kt_cc_command command = {.words = NULL};
	struct kt_cc_tree tree = {.gcc = ""};
	struct kt_error err = {.code = 0};

	strcpy(tree.gcc, gcc);
	assert_int_equal(read_words(words, &request, &err), 0);
	assert_int_equal(kt_cc_command_make(&request, &tree, "cc", &command, &err), 0);
	assert_int_equal(command.count, argument_count((const char *const *)command.words));
	return kt_cc_command_print(&command);
}

#define GCC           "usr/lib/gcc/t/9"
#define SEARCH(o)     o "/p/alpine-lib/lib " o "/p/alpine-lib/usr/lib " o "/p/alpine-lib/" GCC
#define SEARCH_R(o)   o "/p/runtime " SEARCH(o)
#define SEGMENTS      "-Wl,-z,separate-code -Wl,-z,max-page-size=0x1000"
#define RUNPATH       "-Wl,--enable-new-dtags -Xlinker -rpath -Xlinker "
#define LIBRARIES     "/p/alpine-lib/lib:/p/alpine-lib/usr/lib:/p/alpine-lib/" GCC
#define LOADER(place) " -Xlinker --dynamic-linker=/p/" place

static void test_commands(void **state)
{
	static const struct {
		const char *words[WORDS];
		const char *command;
	} rows[] = {
		{{"kontain-gcc"}, "cc"},
		{{"kontain-gcc", "--prefix", "/p", "-c", "x.c"}, "cc -c x.c"},
		{{"kontain-gcc", "--prefix", "/p", "-v"}, "cc " SEARCH_R("-B") " -v"},
		{{"kontain-gcc", "--prefix", "/p", "x.c", "-Lu"},
		 "cc " SEARCH_R("-B") " -static " SEGMENTS
				      " -Wl,-Ttext-segment=0x200000 -Wl,--gc-sections x.c -Lu " SEARCH_R("-L")},
		{{"kontain-gcc", "--prefix", "/p", "-r", "x.o"},
		 "cc " SEARCH_R("-B") " -static -r x.o " SEARCH_R("-L")},
		{{"kontain-gcc", "--prefix", "/p", "-dynamic", "x.c"},
		 "cc " SEARCH_R("-B") " -no-pie " SEGMENTS " -Wl,-Ttext-segment=0x200000 " RUNPATH
				      "/p/lib:/p/runtime:" LIBRARIES LOADER("runtime/libc.so") " x.c " SEARCH_R("-L")},
		{{"kontain-gcc", "--prefix", "/p", "-dynamic", "--pin=7", "x.c"},
		 "cc " SEARCH_R("-B") " -no-pie " SEGMENTS " -Wl,-Ttext-segment=0x200000 " RUNPATH
				      "/p/lib:/p/versions/runtime/7:" LIBRARIES LOADER(
					      "versions/runtime/7/libc.so") " x.c " SEARCH_R("-L")},
		{{"kontain-gcc", "--prefix", "/p", "-shared", "x.c"},
		 "cc " SEARCH_R("-B") " -shared " SEGMENTS " " RUNPATH "/p/lib:/p/runtime:" LIBRARIES
				      " x.c " SEARCH_R("-L")},
		{{"kontain-gcc", "--prefix", "/p", "-alpine", "x.c"}, "cc " SEARCH("-B") " -static x.c " SEARCH("-L")},
		{{"kontain-gcc", "--prefix", "/p", "-alpine", "-dynamic", "x.c"},
		 "cc " SEARCH("-B") " -pie " RUNPATH LIBRARIES LOADER(
			 "alpine-lib/lib/ld-musl-x86_64.so.1") " x.c " SEARCH("-L")},
		{{"kontain-gcc", "--prefix", "/p", "-alpine", "-shared", "x.c"},
		 "cc " SEARCH("-B") " -shared " RUNPATH LIBRARIES " x.c " SEARCH("-L")},
		{{"kontain-g++", "--prefix", "/p", "-alpine", "x.cc"},
		 "cc " SEARCH("-B") " -static -pthread x.cc " SEARCH("-L")},
		{{"kontain-gcc", "-c", "a b.c", "it's", ""}, "cc -c 'a b.c' 'it'\\''s' ''"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_free_mem) char *text = command_of(rows[i].words, GCC);

		assert_string_equal(text, rows[i].command);
	}
}

/* Where it lies now and where it will be are two things; without gcc's folder the compiler's own is used. */
static void test_tree_and_prefix(void **state)
{
	static const char *const words[] = {"kontain-gcc", "--tree", "b", "-alpine", "-shared", "x.c", NULL};
	KT_OWN(kt_free_mem) char *text = command_of(words, "");

	(void)state;
	assert_string_equal(text, "cc -Bb/alpine-lib/lib -Bb/alpine-lib/usr/lib -shared " RUNPATH
				  "/opt/kontain/alpine-lib/lib:/opt/kontain/alpine-lib/usr/lib x.c -Lb/alpine-lib/lib "
				  "-Lb/alpine-lib/usr/lib");
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_choices),         cmocka_unit_test(test_rest),
	cmocka_unit_test(test_refusals),        cmocka_unit_test(test_commands),
	cmocka_unit_test(test_tree_and_prefix),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
