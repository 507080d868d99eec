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
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/store/record.h"
#include "kontain/fs.h"
#include "kontain/own.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct place {
	int dir; /* owned */
	char path[32];
};

static int setup(void **state)
{
	static struct place place;

	strcpy(place.path, "/tmp/kt-record-XXXXXX");
	if (!mkdtemp(place.path))
		return -1;
	place.dir = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &place;
	return place.dir < 0;
}

static int teardown(void **state)
{
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct place *place = *state;

	close(place->dir);
	return kt_fs_remove_tree(tmp, place->path + strlen("/tmp/"), NULL);
}

static struct kt_bundle_file files[] = {
	{.path = "a b", .mode = 0644, .size_bytes = 0, .sha256 = SHA},
	{.path = "d/km", .mode = 0755, .size_bytes = 3, .sha256 = SHA},
	{.path = "km", .mode = 0755, .size_bytes = 0, .sha256 = SHA},
	{.path = "l", .link = "d/km"},
};
static const struct kt_component component = {
	.name = "lib", .version = "1.0", .digest = SHA, .file_count = 4, .files = files};

static void tree_make(int dir)
{
	KT_OWN(kt_close_fd) int one = openat(dir, "a b", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	KT_OWN(kt_close_fd) int three = openat(dir, "km", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	assert_int_equal(kt_fs_make_dirs(dir, "d"), 0);

	KT_OWN(kt_close_fd) int two = openat(dir, "d/km", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	assert_int_equal(write(two, "km\n", 3), 3);
	assert_int_equal(symlinkat("d/km", dir, "l"), 0);
	assert_int_equal(fchmod(one, 0644) + fchmod(two, 0755) + fchmod(three, 0755), 0);
}

static int check(int dir, char *km_digest, struct kt_error *err)
{
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	struct kt_record_check check = {.seen = NULL};
	int r = kt_record_read(dir, &record, err);

	if (r == 0)
		r = kt_record_check(&record, dir, "here", &check, err);
	if (r == 0)
		assert_true(check.is_unread); /* nothing was ever seen of it */
	if (km_digest)
		strcpy(km_digest, check.km_digest);
	return r;
}

static void test_round_trip(void **state)
{
	int dir = ((struct place *)*state)->dir;
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	struct kt_error err = {.code = 0};
	struct kt_record_line line;
	char digest[KT_DIGEST_HEX] = "";

	tree_make(dir);
	assert_int_equal(kt_record_write(dir, &component, &err), 0);
	assert_int_equal(kt_record_write(dir, &component, &err), -EEXIST); /* never edited */
	assert_int_equal(kt_record_read(dir, &record, &err), 0);
	assert_string_equal(record.name, "lib");
	assert_string_equal(record.version, "1.0");
	assert_string_equal(record.digest, SHA);

	char *cursor = record.text + (record.body - record.text);

	for (size_t i = 0; i < component.file_count; i++) {
		assert_true(kt_record_next(&cursor, &line));
		assert_string_equal(line.path, files[i].path);
		assert_int_equal(line.link != NULL, files[i].link != NULL);
		assert_true(line.link || (line.mode == files[i].mode && line.size_bytes == files[i].size_bytes));
	}
	assert_false(kt_record_next(&cursor, &line));
	assert_non_null(cursor);
	assert_int_equal(check(dir, digest, &err), 0);
	assert_string_equal(digest, SHA);
}

static void test_damage_is_named(void **state)
{
	int dir = ((struct place *)*state)->dir;
	struct kt_error err = {.code = 0};

	tree_make(dir);
	assert_int_equal(kt_record_write(dir, &component, &err), 0);
	assert_int_equal(renameat(dir, "d", dir, "e"), 0);
	assert_int_equal(symlinkat("e", dir, "d"), 0); /* a link in a directory's place is not followed */
	assert_int_equal(check(dir, NULL, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, "here/d/km"));
	assert_int_equal(err.reason, KT_REASON_STORE_FILE_LOST);
}

static void test_hostile_records(void **state)
{
	static const char *const texts[] = {
		"",
		"end\n",
		"\nend\n",
		"kontain-component 1\nend\n",
		"kontain-component 2 lib 1.0 " SHA " 0\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 0",
		"kontain-component 1 lib 1.0 " SHA " 0\nend",
		"kontain-component 1 lib 1.0 " SHA " 1\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 0\nf 644 0 " SHA " a b\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nf 644 0 short a b\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nf 644 0 " SHA " \nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nf 644 0 " SHA "\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nf\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nl a b\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nx 644 0 " SHA " a b\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nf 644 0 " SHA " ../../etc/passwd\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nf 644 0 " SHA " /etc/passwd\nend\n",
		"kontain-component 1 lib 1.0 " SHA " 1\nend\nf 644 0 " SHA " a b\nend\n",
		"kontain-component 1 ../../../../etc 1.0 " SHA " 0\nend\n",
	};
	int dir = ((struct place *)*state)->dir;

	tree_make(dir);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct kt_error err = {.code = 0};

		assert_int_equal(kt_fs_replace_file(dir, KT_RECORD_NAME, texts[i], strlen(texts[i]), 0644, &err), 0);
		if (check(dir, NULL, &err) >= 0)
			fail_msg("believed: %s", texts[i]);
	}
	assert_int_equal(unlinkat(dir, KT_RECORD_NAME, 0), 0);
	assert_int_equal(check(dir, NULL, NULL), -ENOENT);
}

/* A line whose end is missing must not borrow it from the next one. */
static void test_broken_lines(void **state)
{
	static const char *const lines[] = {
		"f 644 0 " SHA "\nf 644 0 " SHA " a b\nend\n", "f 644 0 " SHA "\nend\n",   "f -4 0 " SHA " a\nend\n",
		"f 644 -1 " SHA " a\nend\n",			  "f 644  1 " SHA " a\nend\n", "f 10000 0 " SHA " a\nend\n",
		"f 644 18446744073709551616 " SHA " a\nend\n",	  "f  " SHA " a\nend\n",
		"l \ta\nend\n",					  "l a\t\nend\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		KT_OWN(kt_free_mem) char *text = strdup(lines[i]);
		struct kt_record_line line;
		char *cursor = text;

		assert_non_null(text);
		if (kt_record_next(&cursor, &line) || cursor)
			fail_msg("taken: %s", lines[i]);
	}
}

static void test_names_that_are_no_line(void **state)
{
	static char *const names[] = {"a\nb", "tab\there", "\x7f", ".kontain-component"};
	int dir = ((struct place *)*state)->dir;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct kt_bundle_file file = {.path = names[i], .mode = 0644, .sha256 = SHA};
		struct kt_component one = {.name = "lib", .version = "1", .digest = SHA, .file_count = 1, .files = &file};
		struct kt_error err = {.code = 0};

		assert_int_equal(kt_record_write(dir, &one, &err), -EINVAL);
		assert_int_equal(err.reason, KT_REASON_BUNDLE_INVALID);
		assert_int_equal(unlinkat(dir, KT_RECORD_NAME, 0), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),
		TEST(test_damage_is_named),
		TEST(test_hostile_records),
		cmocka_unit_test(test_broken_lines),
		TEST(test_names_that_are_no_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
