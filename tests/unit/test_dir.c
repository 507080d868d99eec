/* links: kt_base */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/dir.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

struct place {
	int dir; /* owned */
	char path[32];
};

static void run(const struct place *place, const char *how)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && %s", place->path, how);
	assert_int_equal(system(command), 0);
}

static int setup(void **state)
{
	static struct place place;

	place = (struct place){.path = "/tmp/kt-dir-XXXXXX"};
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

	kt_close_fd(&place->dir);
	return kt_fs_remove_tree(tmp, place->path + strlen("/tmp/"), KT_ERROR_IGNORED);
}

/* ---- entries ---- */

struct names {
	size_t count;
	bool is_right; /* each was one of the directory that the visit got */
	int answer;
};

static int name_visit(void *context, int dir, const char *name)
{
	struct names *names = context;

	names->count++;
	names->is_right = names->is_right && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 && name[0] != '.';
	return names->answer;
}

static void test_each_entry(void **state)
{
	static const struct {
		const char *path;
		int answer, wanted;
		size_t count;
	} rows[] = {
		{"d", 0, 0, 3},          {"d", 7, 7, 1}, /* the first answer ends it */
		{"d", -EIO, -EIO, 1},    {"empty", 7, 0, 0},     {"none", 7, 0, 0},
		{"d/a", 7, -ENOTDIR, 0}, {"link", 7, -ELOOP, 0},
	};
	const struct place *place = *state;

	run(place, "mkdir d d/b empty; touch d/a; ln -s nowhere d/c; ln -s d link");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct names names = {.is_right = true, .answer = rows[i].answer};
		int r = kt_each_entry(place->dir, rows[i].path, name_visit, &names);

		if (r != rows[i].wanted || names.count != rows[i].count || !names.is_right)
			fail_msg("row %zu (%s): %d after %zu names", i, rows[i].path, r, names.count);
	}
}

/* ---- ways ---- */

static bool is_same(int one, int two)
{
	struct stat first, second;

	assert_int_equal(fstat(one, &first) + fstat(two, &second), 0);
	return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
}

static void test_a_way_is_walked_once(void **state)
{
	static const char *const folders[] = {"", "", "a", "a", "a/b", "a", "c", "ab", ""};
	static const char *const paths[] = {"x", "y", "a/x", "a/y", "a/b/x", "a/z", "c/x", "ab/x", "z"};
	const struct place *place = *state;
	KT_OWN(kt_way_done) struct kt_way way;
	const char *name = NULL;
	int before = -1;

	run(place, "mkdir -p a/b ab c");
	kt_way_init(&way, place->dir);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		KT_OWN(kt_close_fd)
		int wanted = openat(place->dir, *folders[i] ? folders[i] : ".", O_RDONLY | O_DIRECTORY);
		int at = kt_way_enter(&way, paths[i], false, &name);

		if (at < 0 || !is_same(at, wanted) || strlen(name) != 1 || name != paths[i] + strlen(paths[i]) - 1)
			fail_msg("%s: %d, %s", paths[i], at, name);
		if (i == 3) { /* the same folder is not opened again */
			assert_int_equal(at, before);
			assert_true(fcntl(at, F_GETFD) & FD_CLOEXEC);
		}
		before = at;
	}
}

/* One that failed leaves the walk fit for the next path, and no link is followed. */
static void test_ways_that_lead_nowhere(void **state)
{
	static const struct {
		const char *path;
		int wanted;
	} rows[] = {
		{"none/x", -ENOENT}, {"file/x", -ENOTDIR}, {"link/x", -ELOOP}, {"a/up/x", -ELOOP}, {"../x", -EXDEV},
	};
	const struct place *place = *state;
	KT_OWN(kt_way_done) struct kt_way way;
	const char *name = NULL;
	char large[sizeof(way.parent) + 3];

	run(place, "mkdir a; touch file; ln -s a link; ln -s .. a/up");
	kt_way_init(&way, place->dir);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_close_fd) int a = openat(place->dir, "a", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int r = kt_way_enter(&way, rows[i].path, false, &name);

		if (r != rows[i].wanted)
			fail_msg("%s: %d", rows[i].path, r);
		assert_int_equal(kt_way_enter(&way, rows[i].path, false, &name), rows[i].wanted); /* and again */
		assert_int_equal(kt_way_enter(&way, "x", false, &name), place->dir);
		assert_true(is_same(kt_way_enter(&way, "a/x", false, &name), a));
	}
	memset(large, 'a', sizeof(large));
	large[sizeof(large) - 3] = '/';
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(kt_way_enter(&way, large, false, &name), -ENAMETOOLONG);
	assert_int_equal(kt_way_enter(&way, "x", false, &name), place->dir);
}

static void test_a_way_is_made(void **state)
{
	const struct place *place = *state;
	KT_OWN(kt_way_done) struct kt_way way;
	const char *name = NULL;
	struct stat info;

	run(place, "touch file");
	kt_way_init(&way, place->dir);
	assert_int_equal(kt_way_enter(&way, "p/q/x", false, &name), -ENOENT);
	assert_false(kt_fs_exists(place->dir, "p"));
	assert_true(kt_way_enter(&way, "p/q/x", true, &name) >= 0);
	assert_int_equal(fstatat(place->dir, "p/q", &info, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(info.st_mode, S_IFDIR | 0755);
	assert_false(kt_fs_exists(place->dir, "p/q/x")); /* the name itself is not made */
	assert_int_equal(kt_way_enter(&way, "file/x", true, &name), -ENOTDIR);
}

/* ---- skeletons ---- */

static void test_skeletons(void **state)
{
	static const struct {
		const char *how, *name;
		bool is_one, is_removed;
	} rows[] = {
		{"mkdir a", "a", true, true},
		{"mkdir -p b/c/d b/e", "b", true, true},
		{"mkdir -p c/d/e; touch c/d/e/file", "c", false, false},
		{"mkdir d; ln -s nowhere d/link", "d", false, false},
		{"mkdir e; mkfifo e/fifo", "e", false, false},
		{"touch f", "f", false, false},
		{"mkdir target; ln -s target g", "g", false, false},
		{"true", "none", false, true}, /* it is gone, which was wanted */
		{"mkdir -p $(printf 'h/%.0s' $(seq 33))", "h", true, true},
		{"mkdir -p $(printf 'i/%.0s' $(seq 34))", "i", false, false},
	};
	const struct place *place = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		run(place, rows[i].how);
		if (kt_is_skeleton(place->dir, rows[i].name) != rows[i].is_one)
			fail_msg("%s: taken for the other kind", rows[i].name);

		bool was = kt_fs_exists(place->dir, rows[i].name);
		int r = kt_skeleton_remove(place->dir, rows[i].name);

		if ((r == 0) != rows[i].is_removed || kt_fs_exists(place->dir, rows[i].name) != (was && r < 0))
			fail_msg("%s: %d", rows[i].name, r);
	}
	/* what is no directory stays, wherever it lies */
	run(place,
	    "test -f c/d/e/file && test -L d/link && test -p e/fifo && test -f f && test -L g && test -d target");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_entry),
		TEST(test_a_way_is_walked_once),
		TEST(test_ways_that_lead_nowhere),
		TEST(test_a_way_is_made),
		TEST(test_skeletons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
