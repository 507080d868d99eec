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
#include "kontain/base/own.h"

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
		assert_int_equal(mount.parent, 35);
		assert_string_equal(mount.device, "8:1");
		assert_string_equal(mount.root, lines[i].root);
		assert_string_equal(mount.point, lines[i].point);
	}
}

static char names[][KT_PLACE_MAX] = {"versions/km/0.10.3", "sets/0.10.3", ".kept-1-sets-0.9"};

static void test_places_of_mounts(void **state)
{
	static const struct kt_places places = {
		.names = names, .name_count = 3, .device = "8:1", .fs_root = "/opt/kontain"};
	static const struct {
		const char *device, *root;
		const char *place; /* NULL: none */
	} rows[] = {
		{"8:1", "/opt/kontain/versions/km/0.10.3", "versions/km/0.10.3"},
		{"8:1", "/opt/kontain/versions/km/0.10.3/bin/km", "versions/km/0.10.3"},
		{"8:1", "/opt/kontain/sets/0.10.3", "sets/0.10.3"},
		{"8:1", "/opt/kontain/.kept-1-sets-0.9/extras", ".kept-1-sets-0.9"},
		{"8:2", "/opt/kontain/sets/0.10.3", NULL},
		/* no version, but the folder, or the root */
		{"8:1", "/opt/kontain/versions/km/0.10.30", "."},
		{"8:1", "/opt/kontain/versions/km", "versions/km"},
		{"8:1", "/opt/kontain/versions/alpine-lib", "versions/alpine-lib"},
		{"8:1", "/opt/kontain/versions/other", "."},
		{"8:1", "/opt/kontain/versions", "versions"},
		{"8:1", "/opt/kontain/sets", "sets"},
		{"8:1", "/opt/kontain/include", "."},
		{"8:1", "/opt/kontain", "."},
		/* what is above, beside, or removed */
		{"8:1", "/opt", NULL},
		{"8:1", "/", NULL},
		{"8:1", "/opt/kontain2/versions/km/0.10.3", NULL},
		{"8:1", "/opt/kontain//deleted", NULL},
		{"8:1", "/opt/kontain/versions/km/0.10.3//deleted", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_mount_line line = {
			.id = 7, .parent = 1, .device = rows[i].device, .root = rows[i].root, .point = "/x"};
		struct kt_mounts mounts = {.lines = &line, .count = 1};
		const char *place = kt_places_of_mount(&places, &mounts, 0);

		if (!rows[i].place)
			assert_null(place);
		else
			assert_string_equal(place ? place : "none", rows[i].place);
	}
}

/* The store's root is its filesystem's: a copy of the mount on which it lies is no use of it, another mount is. */
static void test_mounts_of_a_root_of_its_own(void **state)
{
	static const struct kt_places places = {
		.names = names, .name_count = 3, .device = "8:2", .fs_root = "", .above = "8:1 /opt/kontain"};
	static struct kt_mount_line lines[] = {
		{1, 0, "8:1", "/", "/", NULL},
		{2, 1, "8:2", "/", "/opt/kontain", NULL},      /* the store's own */
		{3, 9, "0:40", "/", "/", NULL},                /* a pod's root */
		{4, 3, "8:1", "/", "/host", NULL},             /* the host's root below it, */
		{5, 4, "8:2", "/", "/host/opt/kontain", NULL}, /* and with it the store's mount */
		{6, 3, "8:2", "/", "/opt/kontain", NULL},      /* the pod's own */
		{7, 3, "8:2", "/sets", "/s", NULL},
		{8, 99, "8:2", "/", "/opt/kontain", NULL}, /* on what this process does not see */
	};
	static const char *const wanted[] = {NULL, NULL, NULL, NULL, NULL, ".", "sets", "."};
	struct kt_mounts mounts = {.lines = lines, .count = sizeof(lines) / sizeof(lines[0])};

	(void)state;
	for (size_t i = 0; i < mounts.count; i++) {
		const char *place = kt_places_of_mount(&places, &mounts, i);

		if (!wanted[i])
			assert_null(place);
		else
			assert_string_equal(place ? place : "none", wanted[i]);
	}
}

static void test_mounts_below_a_place(void **state)
{
	static const struct kt_places places = {.names = names, .name_count = 3, .path = "/host/opt/kontain"};

	(void)state;
	assert_ptr_equal(kt_places_below(&places, "/host/opt/kontain/sets/0.10.3/bin"), names[1]);
	assert_ptr_equal(kt_places_below(&places, "/host/opt/kontain/sets/0.10.3"), names[1]);
	assert_null(kt_places_below(&places, "/host/opt/kontain/sets"));
	assert_null(kt_places_below(&places, "/host/opt/kontain"));
	assert_null(kt_places_below(&places, "/host/opt/kontain2/sets/0.10.3"));
}

static int layers_visit(void *context, const char *place)
{
	char *seen = context;

	strcat(seen, *place ? place : "any");
	strcat(seen, " ");
	return 0;
}

static void test_layers_of_overlays(void **state)
{
	static char kept[][KT_PLACE_MAX] = {"versions/km/0.10.3", "sets/0.10.3", ".kept-12-versions-km-0.10.3",
					    ".kept-1-versions-km-0.10.30", ".kept-1-sets-0.10.3"};
	static const struct kt_places places = {.names = kept,
						.name_count = 5,
						.device = "8:1",
						.fs_root = "/opt/kontain",
						.path = "/host/opt/kontain",
						.named = "/opt/kontain"};
	static const struct {
		const char *options, *seen;
	} rows[] = {
		{"rw,lowerdir=/s/versions/km/0.10.3/bin:/s/versions/runtime/1,upperdir=/s/sets/0.10.3",
		 "versions/km/0.10.3 .kept-12-versions-km-0.10.3 sets/0.10.3 .kept-1-sets-0.10.3 "},
		{"rw,lowerdir+=/s/.kept-1-sets-0.10.3,datadir+=/s/versions/km", ".kept-1-sets-0.10.3 versions/km "},
		{"rw,lowerdir=/s/bin", "any "},
		{"rw,lowerdir=/s/current/bin:/s/sets/0.10.3/bin", "any any "},
		{"rw,lowerdir=/s:/s/versions", ". versions "},
		/* the host's own name for it, which this table does not have */
		{"ro,lowerdir=/opt/kontain/versions/km/0.10.3:/other",
		 "versions/km/0.10.3 .kept-12-versions-km-0.10.3 "},
		{"ro,lowerdir=/a\\134:/s/sets/0.10.3:/b", ""}, /* one name, with a colon in it */
		{"ro,lowerdir=/a:/s/set\\163/0.10.3::", "sets/0.10.3 .kept-1-sets-0.10.3 "},
		{"ro,lowerdir=s/bin:../versions/km/0.10.3,workdir=/s/sets/0.10.3", ""},
		{"ro,lowerdir=/t/versions/km/0.10.3:/", ""},
		{"rw", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256], seen[256] = "";
		struct kt_mount_line table[4] = {
			{.device = "8:1", .root = "/", .point = "/t"},
			{.device = "8:1", .root = "/opt/kontain", .point = "/s"},
			{.device = "8:2", .root = "/", .point = "/t/versions"},
		};
		struct kt_mounts mounts = {.lines = table, .count = 4};

		snprintf(text, sizeof(text), "36 35 0:50 / /m rw - overlay none %s", rows[i].options);
		assert_true(kt_mount_line_parse(text, &table[3]));
		assert_non_null(table[3].overlay);
		assert_int_equal(kt_places_each_layer(&places, &mounts, 3, layers_visit, seen), 0);
		assert_string_equal(seen, rows[i].seen);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_places_of_mounts),
		cmocka_unit_test(test_mounts_of_a_root_of_its_own),
		cmocka_unit_test(test_mounts_below_a_place),
		cmocka_unit_test(test_layers_of_overlays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
