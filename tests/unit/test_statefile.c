/* links: kt_contract kt_base */
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
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

#include "kontain/base/own.h"
#include "kontain/contract/statefile.h"

#define BOOT "0a1b2c3d-0000-4000-8000-123456789abc"

static char top[] = "/tmp/kt-statefile-XXXXXX";

static void write_state(const char *path, const char *version)
{
	struct kt_state state;
	struct kt_error err = {0};

	kt_state_init(&state);
	strcpy(state.boot_id, BOOT);
	state.observed_at = 1;
	state.next_update_by = 2;
	snprintf(state.versions.current, sizeof(state.versions.current), "%s", version);
	if (kt_state_write(path, &state, &err) < 0)
		fail_msg("%s", err.text);
}

/* What the loop does once the descriptor is readable. It must be: an event is there when the change is made. */
static bool is_told(struct kt_statefile *file)
{
	struct pollfd fd = {.fd = file->inotify, .events = POLLIN};
	bool is_ours = poll(&fd, 1, 0) == 1 && kt_statefile_take(file);

	if (is_ours)
		kt_statefile_look(file, true);
	return is_ours;
}

static void open_file(struct kt_statefile *file, const char *path)
{
	const char *problem;

	kt_statefile_open(file, path, &problem);
	assert_null(problem);
}

static void test_renamed_into_place(void **context)
{
	KT_OWN(kt_statefile_close) struct kt_statefile file = {.inotify = -1};
	char path[64], other[64];
	int fd;

	(void)context;
	snprintf(path, sizeof(path), "%s/state.json", top);
	snprintf(other, sizeof(other), "%s/other", top);
	open_file(&file, path);
	assert_false(file.has_state);
	assert_int_equal(file.why.reason, KT_REASON_STATE_MISSING);
	assert_false(is_told(&file));
	write_state(path, "1");
	assert_true(is_told(&file));
	assert_true(file.has_state);
	assert_string_equal(file.state.versions.current, "1");
	assert_false(is_told(&file));
	write_state(path, "2");
	assert_true(is_told(&file));
	assert_string_equal(file.state.versions.current, "2");
	/* Another file beside it is no news; neither is ours unchanged. */
	write_state(other, "3");
	assert_false(is_told(&file));
	kt_statefile_look(&file, false);
	assert_string_equal(file.state.versions.current, "2");
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "{", 1), 1);
	close(fd);
	assert_true(is_told(&file));
	assert_false(file.has_state);
	assert_int_equal(file.why.reason, KT_REASON_STATE_INVALID);
	assert_int_equal(unlink(path), 0);
	assert_true(is_told(&file));
	assert_int_equal(file.why.reason, KT_REASON_STATE_MISSING);
	assert_int_equal(symlink("other", path), 0);
	assert_true(is_told(&file));
	assert_string_equal(file.state.versions.current, "3");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(other), 0);
}

/* The folder comes later, two levels of it, goes away, and comes again. */
static void test_the_folder_comes_and_goes(void **context)
{
	KT_OWN(kt_statefile_close) struct kt_statefile file = {.inotify = -1};
	char path[96], folder[64], parent[64], moved[64];

	(void)context;
	snprintf(parent, sizeof(parent), "%s/a", top);
	snprintf(folder, sizeof(folder), "%s/a/b", top);
	snprintf(moved, sizeof(moved), "%s/c", top);
	snprintf(path, sizeof(path), "%s/a/b/state.json", top);
	open_file(&file, path);
	assert_false(file.is_at_home);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mkdir(parent, 0755), 0);
		assert_true(is_told(&file));
		assert_false(file.is_at_home);
		assert_int_equal(mkdir(folder, 0755), 0);
		assert_true(is_told(&file));
		assert_true(file.is_at_home);
		write_state(path, i == 0 ? "1" : "2");
		assert_true(is_told(&file));
		assert_string_equal(file.state.versions.current, i == 0 ? "1" : "2");
		assert_int_equal(unlink(path), 0);
		assert_int_equal(rmdir(folder), 0);
		assert_true(is_told(&file));
		assert_false(file.has_state);
		assert_int_equal(rmdir(parent), 0);
		while (is_told(&file))
			;
		assert_false(file.is_at_home);
	}
	/* The folder moved away as a whole, and another in its place. */
	assert_int_equal(mkdir(parent, 0755), 0);
	assert_int_equal(mkdir(folder, 0755), 0);
	write_state(path, "3");
	while (is_told(&file))
		;
	assert_string_equal(file.state.versions.current, "3");
	assert_int_equal(rename(folder, moved), 0);
	while (is_told(&file))
		;
	assert_false(file.has_state);
	assert_int_equal(mkdir(folder, 0755), 0);
	while (is_told(&file))
		;
	write_state(path, "4");
	assert_true(is_told(&file));
	assert_string_equal(file.state.versions.current, "4");
}

/* Made between the watch on the folder above and a look: the look sees it. And without inotify the clock does. */
static void test_the_slow_look(void **context)
{
	KT_OWN(kt_statefile_close) struct kt_statefile file = {.inotify = -1};
	char path[64];

	(void)context;
	snprintf(path, sizeof(path), "%s/slow.json", top);
	open_file(&file, path);
	kt_close_fd(&file.inotify);
	write_state(path, "1");
	kt_statefile_look(&file, false);
	assert_true(file.has_state);
	write_state(path, "2");
	kt_statefile_look(&file, false);
	assert_string_equal(file.state.versions.current, "2");
	assert_int_equal(unlink(path), 0);
	kt_statefile_look(&file, false);
	assert_false(file.has_state);
	/* Things that are no file. */
	assert_int_equal(mkfifo(path, 0644), 0);
	kt_statefile_look(&file, false);
	assert_int_equal(file.why.reason, KT_REASON_STATE_INVALID);
	assert_int_equal(unlink(path), 0);
	kt_statefile_look(&file, false);
	assert_int_equal(file.why.reason, KT_REASON_STATE_MISSING);
	assert_int_equal(symlink(path, path), 0);
	kt_statefile_look(&file, false);
	assert_int_equal(file.why.reason, KT_REASON_STATE_INVALID);
	assert_int_equal(unlink(path), 0);
}

static int begin(void **context)
{
	(void)context;
	return mkdtemp(top) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *info, int what, struct FTW *where)
{
	(void)info;
	(void)what;
	(void)where;
	return remove(path);
}

static int end(void **context)
{
	(void)context;
	return nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_renamed_into_place),
		cmocka_unit_test(test_the_folder_comes_and_goes),
		cmocka_unit_test(test_the_slow_look),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
