/* links: kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/contract/manifest.h"
#include "kontain/contract/paths.h"

static void test_paths(void **state)
{
	static const struct {
		const char *path;
		const char *flaw; /* NULL: none */
	} rows[] = {
		{"a", NULL},
		{"a/b/c.so.1", NULL},
		{"...", NULL},
		{"..a/.b/c..", NULL},
		{"a b", NULL},
		{"\xc3\xa4/\xf0\x9f\x98\x80", NULL},
		{"-rf", NULL},
		{"", "empty"},
		{"/", "absolute"},
		{"/a", "absolute"},
		{"a/", "empty part"},
		{"a//b", "empty part"},
		{".", "\".\""},
		{"./a", "\".\""},
		{"a/.", "\".\""},
		{"..", "\"..\""},
		{"../a", "\"..\""},
		{"a/../b", "\"..\""},
		{"a/..", "\"..\""},
		{"a\nb", "control"},
		{"a\x7f", "control"},
		{"a\xc2\x80", "control"},
		{"\xff", "UTF-8"},
		{"a/\xc3", "UTF-8"},
		{"\xed\xa0\x80", "UTF-8"},
	};
	char part[600], path[KT_MANIFEST_PATH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *flaw = kt_path_flaw(rows[i].path);

		if (!flaw != !rows[i].flaw || (flaw && !strstr(flaw, rows[i].flaw)))
			fail_msg("%s: %s", rows[i].path, flaw ? flaw : "taken");
	}
	memset(part, 'a', sizeof(part));
	part[255] = '\0';
	assert_null(kt_path_flaw(part));
	part[255] = 'a';
	part[256] = '\0';
	assert_non_null(kt_path_flaw(part));
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'a';
	path[KT_MANIFEST_PATH_MAX] = '\0';
	assert_non_null(kt_path_flaw(path)); /* 1024 bytes */
	path[KT_MANIFEST_PATH_MAX - 1] = '\0';
	assert_null(kt_path_flaw(path)); /* 1023, and ends in a name */
}

static void test_links(void **state)
{
	static const struct {
		const char *path;
		const char *target;
		const char *flaw;
	} rows[] = {
		{"a", "b", NULL},
		{"a", "./b", NULL},
		{"a", "b//c", NULL},
		{"a", "b/", NULL},
		{"d/a", "..", NULL},
		{"d/a", "../b", NULL},
		{"d/e/a", "../../b/c", NULL},
		{"d/a", "./../b", NULL},
		{"a", "/opt/kontain/runtime/libc.so", NULL},
		{"a", "/opt/kontain/", NULL},
		{"a", "", "empty"},
		{"a", "..", "out of its tree"},
		{"a", "../b", "out of its tree"},
		{"d/a", "../../b", "out of its tree"},
		{"d/a", "b/../c", "behind a name"}, /* b may be a link */
		{"d/a", "../b/..", "behind a name"},
		{"a", "/", "outside"},
		{"a", "/etc/passwd", "outside"},
		{"a", "/opt/kontain", "outside"},
		{"a", "/opt/kontainer/x", "outside"},
		{"a", "/opt/kontain/../../etc", "behind a name"},
		{"a", "//opt/kontain/x", "outside"},
		{"a", "b\nc", "control"},
		{"a", "\xff", "UTF-8"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *flaw = kt_link_flaw("lib", rows[i].path, rows[i].target);

		if (!flaw != !rows[i].flaw || (flaw && !strstr(flaw, rows[i].flaw)))
			fail_msg("%s -> %s: %s", rows[i].path, rows[i].target, flaw ? flaw : "taken");
	}
}

/* km's tools lie beside it, each under the path that it has in bin/; nothing else of another component is named. */
static void test_links_to_tools(void **state)
{
	static const struct {
		const char *component, *path, *target;
		bool is_good;
	} rows[] = {
		{"km", "krun", "../tools/krun", true},     {"km", "a/krun", "../../tools/a/krun", true},
		{"km", "krun", "../tools/other", false},   {"km", "krun", "../tools/../krun", false},
		{"km", "krun", "../tools/", false},        {"km", "krun", "../../tools/krun", false},
		{"km", "a/krun", "../tools/a/krun", true}, /* a file of bin/tools */
		{"km", "krun", "../lib/krun", false},      {"lib", "krun", "../tools/krun", false},
		{"tools", "krun", "../tools/krun", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((kt_link_flaw(rows[i].component, rows[i].path, rows[i].target) == NULL) != rows[i].is_good)
			fail_msg("row %zu", i);
}

static void test_names_that_are_kept(void **state)
{
	static const struct {
		const char *component, *path;
		bool is_kept;
	} rows[] = {
		{"lib", ".files", true},
		{"km", ".FILES/x", true},
		{"lib", "a/.files", false},
		{"lib", "kontain-bundle.json", true},
		{"lib", "bin", false},
		{"extras", "tests/hello_test.km", false},
		{"extras", "kontain-bundle.json", true},
		{"extras", "Kontain-Bundle.json/x", true},
		{"extras", "BIN/km", true},
		{"extras", "bin", true},
		{"extras", "binary", false},
		{"extras", "tools/x", true},
		{"extras", "extras/x", true},
		{"extras", "km.files", true},
		{"extras", "other.files", false},
		{"extras", "tests/km.files", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((kt_path_reserved(rows[i].component, rows[i].path) != NULL) != rows[i].is_kept)
			fail_msg("row %zu: %s", i, rows[i].path);
}

static void test_files_together(void **state)
{
	static const struct {
		const char *paths[6];
		const char *flaw;
		size_t index;
	} rows[] = {
		{{"a"}, NULL, 0},
		{{"a", "b", "c/d", "c/e", "c0"}, NULL, 0},
		{{"a", "a-b", "a.b", "a0"}, NULL, 0},
		{{"A", "b"}, NULL, 0},
		{{"A/x", "A/y", "b"}, NULL, 0},
		{{"A/b", "AB"}, NULL, 0},
		{{"a", "a"}, "twice", 1},
		{{"a", "c", "b"}, "order", 2},
		{{"a", "b", "B"}, "order", 2},
		{{"B", "a", "b"}, NULL, 0},
		{{"A/x", "a/y"}, NULL, 0},
		{{"A/x", "B", "C", "a/y"}, NULL, 0},
		{{"d/A/x", "d/a/y"}, NULL, 0},
		{{"A", "a/y"}, NULL, 0},
		{{"a", "a-b", "a/c"}, "below", 2},
		{{"a/b", "a/b/c"}, "below", 1},
		{{"A", "A/c"}, "below", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_file files[6];
		size_t count = 0, index = 99;

		for (; count < 6 && rows[i].paths[count]; count++)
			files[count] = (struct kt_file){.path = rows[i].paths[count]};

		const char *flaw = kt_files_flaw(files, count, &index);

		if (!flaw != !rows[i].flaw || (flaw && (!strstr(flaw, rows[i].flaw) || index != rows[i].index)))
			fail_msg("row %zu: %s at %zu", i, flaw ? flaw : "taken", index);
	}
}

static void test_names_that_are_shown(void **state)
{
	char shown[KT_SHOWN_MAX], path[1000];

	(void)state;
	assert_string_equal(kt_path_show("a\x1b[31m\xff\n\xc2\x9b\xc3\xa4", shown),
			    "a\\x1b[31m\\xff\\x0a\\xc2\\x9b\xc3\xa4");
	memset(path, 'a', sizeof(path));
	path[155] = '\xc3';
	path[156] = '\xa4';
	path[sizeof(path) - 1] = '\0';
	(void)kt_path_show(path, shown);
	assert_int_equal(strlen(shown), 158); /* no half character */
	assert_string_equal(shown + 155, "...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),          cmocka_unit_test(test_links),
		cmocka_unit_test(test_links_to_tools), cmocka_unit_test(test_names_that_are_kept),
		cmocka_unit_test(test_files_together), cmocka_unit_test(test_names_that_are_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
