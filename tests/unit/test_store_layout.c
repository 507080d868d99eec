/* links: kt_store kt_bundle kt_contract kt_base */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/store/layout.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

static int place_open(char path[32])
{
	strcpy(path, "/tmp/kt-layout-XXXXXX");
	assert_non_null(mkdtemp(path));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void place_remove(const char *path)
{
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(kt_fs_remove_tree(tmp, path + strlen("/tmp/"), KT_ERROR_IGNORED), 0);
}

static void test_places(void **state)
{
	char place[KT_PLACE_MAX];

	(void)state;
	kt_place_version("km", "0.1", place);
	assert_string_equal(place, "versions/km/0.1");
	kt_place_files("km", "0.1", place);
	assert_string_equal(place, "versions/km/0.1/bin");
	kt_place_files("runtime", "sha-1", place);
	assert_string_equal(place, "versions/runtime/sha-1");
	kt_place_manifest("1.0", place);
	assert_string_equal(place, "sets/1.0/kontain-bundle.json");
	assert_string_equal(kt_component_of_folder("bin"), "km");
	assert_string_equal(kt_component_of_folder("alpine-lib"), "alpine-lib");
	assert_null(kt_component_of_folder("km"));
	assert_null(kt_component_of_folder(""));
}

static void test_set_links(void **state)
{
	static const struct {
		const char *folder;
		const char *target;
		const char *version; /* NULL: not a link of ours */
	} rows[] = {
		{"bin", "../../versions/km/0.1/bin", "0.1"},
		{"runtime", "../../versions/runtime/sha-5f2c81d04a1e", "sha-5f2c81d04a1e"},
		{"bin", "../../versions/km/0.1", NULL},
		{"bin", "../../versions/km/0.1/bin/", NULL},
		{"bin", "../../versions/runtime/0.1/bin", NULL},
		{"runtime", "../../versions/runtime/0.1/bin", NULL},
		{"runtime", "../../versions/runtime/..", NULL},
		{"runtime", "../../versions/runtime/", NULL},
		{"runtime", "../../versions/runtime/../km/0.1", NULL},
		{"runtime", "/opt/kontain/versions/runtime/1", NULL},
		{"runtime", "", NULL},
		{"km", "../../versions/km/0.1/bin", NULL},
		{"lib", "../../versions/lib/0123456789012345678901234567890123456789012345678901234567890123", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char version[KT_VERSION_MAX] = "untouched";

		assert_int_equal(kt_place_parse_link(rows[i].folder, rows[i].target, version), rows[i].version != NULL);
		assert_string_equal(version, rows[i].version ? rows[i].version : "untouched");
	}
}

static void test_pointers(void **state)
{
	static const struct {
		const char *target;
		const char *version;
	} rows[] = {
		{"sets/1.0", "1.0"}, {"sets/", NULL},        {"sets/../etc", NULL},  {"/opt/kontain/sets/1.0", NULL},
		{"sets/1.0/", NULL}, {"versions/1.0", NULL}, {"sets/.hidden", NULL},
	};
	char path[32], version[KT_VERSION_MAX];
	KT_OWN(kt_close_fd) int dir = place_open(path);

	(void)state;
	assert_int_equal(kt_place_read_pointer(dir, "current", version), -ENOENT);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(kt_fs_replace_link(dir, "current", rows[i].target, KT_ERROR_IGNORED), 0);
		assert_int_equal(kt_place_read_pointer(dir, "current", version), rows[i].version ? 0 : -ENOENT);
		if (rows[i].version)
			assert_string_equal(version, rows[i].version);
	}
	place_remove(path);
}

static void test_way(void **state)
{
	static const struct {
		const char *path;
		bool make;
		bool is_ok;
	} rows[] = {
		{"a", false, true},        {"d/e/f", true, true},  {"d/e/g", false, true}, {"d/h", false, true},
		{"i", false, true},        {"x/y", false, false},  {"x/y", true, true},    {"link/y", true, false},
		{"../out/y", true, false}, {"d/e/f", false, true}, {"j", false, true},
	};
	char path[32];
	KT_OWN(kt_close_fd) int dir = place_open(path);
	KT_OWN(kt_way_done) struct kt_way way;

	(void)state;
	assert_int_equal(symlinkat("/tmp", dir, "link"), 0);
	kt_way_init(&way, dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = NULL;

		assert_int_equal(kt_way_enter(&way, rows[i].path, rows[i].make, &name) >= 0, rows[i].is_ok);
		if (rows[i].is_ok)
			assert_string_equal(name,
					    strrchr(rows[i].path, '/') ? strrchr(rows[i].path, '/') + 1 : rows[i].path);
	}
	place_remove(path);
}

static void test_skeletons(void **state)
{
	char path[32];
	KT_OWN(kt_close_fd) int dir = place_open(path);
	KT_OWN(kt_close_fd) int file = -1;

	(void)state;
	assert_int_equal(kt_fs_make_dirs(dir, "empty"), 0);
	assert_int_equal(kt_fs_make_dirs(dir, "deep/a/b"), 0);
	assert_int_equal(kt_fs_make_dirs(dir, "full/a"), 0);
	file = openat(dir, "full/a/f", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(symlinkat("empty", dir, "link"), 0);
	assert_true(kt_is_skeleton(dir, "empty"));
	assert_true(kt_is_skeleton(dir, "deep"));
	assert_false(kt_is_skeleton(dir, "full"));
	assert_false(kt_is_skeleton(dir, "link"));
	assert_false(kt_is_skeleton(dir, "none"));
	place_remove(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places), cmocka_unit_test(test_set_links), cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_way),    cmocka_unit_test(test_skeletons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
