/* links: kt_store kt_bundle kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/store/inuse.h"
#include "kontain/own.h"

/* A line of a mount table and what it says; point NULL: it is none. */
static const struct {
	const char *line, *root, *point;
} lines[] = {
	{"36 35 8:1 / / rw - ext4 /dev/sda1 rw\n", "/", "/"},
	{"36 35 8:1 /a\\040b /c\\134d\\011\\012 rw\n", "/a b", "/c\\d\t\n"},
	{"36 35 8:1 /\\303\\251 /x rw\n", "/\303\251", "/x"},
	/* what the kernel does not write is taken as it stands, and nothing beyond the line is looked at */
	{"36 35 8:1 /\\ /\\1 ", "/\\", "/\\1"},
	{"36 35 8:1 /\\08 /\\777 ", "/\\08", "/\\777"},
	{"36 35 8:1 /\\-12 /\\000 ", "/\\-12", "/\\000"},
	{"36 35 8:1 / /", NULL, NULL},
	{"36 35 8:1 /\n", NULL, NULL},
	{"", NULL, NULL},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		/* on the heap and as long as it is: a sanitizer sees a step beyond */
		KT_OWN(kt_free_mem) char *line = strdup(lines[i].line);
		struct kt_mount_line mount;

		assert_non_null(line);
		assert_int_equal(kt_mount_line_parse(line, &mount), lines[i].point != NULL);
		if (!lines[i].point)
			continue;
		assert_int_equal(mount.id, 36);
		assert_string_equal(mount.device, "8:1");
		assert_string_equal(mount.root, lines[i].root);
		assert_string_equal(mount.point, lines[i].point);
	}
}

static void test_places_of_mounts(void **state)
{
	static char names[][KT_PLACE_MAX] = {"versions/km/0.10.3", "sets/0.10.3"};
	static const struct kt_places places = {.names = names, .name_count = 2, .device = "8:1", .fs_root = "/opt/kontain"};
	static const struct {
		const char *device, *root;
		int place; /* -1: none */
	} mounts[] = {
		{"8:1", "/opt/kontain/versions/km/0.10.3", 0},
		{"8:1", "/opt/kontain/versions/km/0.10.3/bin/km", 0},
		{"8:1", "/opt/kontain/sets/0.10.3", 1},
		{"8:2", "/opt/kontain/sets/0.10.3", -1},
		{"8:1", "/opt/kontain/versions/km/0.10.30", -1},
		{"8:1", "/opt/kontain/versions/km", -1},
		{"8:1", "/opt/kontain2/versions/km/0.10.3", -1},
		{"8:1", "/opt/kontain", -1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		const char *place = kt_places_of_mount(&places, mounts[i].device, mounts[i].root);

		assert_ptr_equal(place, mounts[i].place < 0 ? NULL : names[mounts[i].place]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_places_of_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
