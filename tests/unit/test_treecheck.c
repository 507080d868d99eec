/* links: kt_bundle kt_contract kt_base */
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/treecheck.h"

/* A tree as it lies in the store: what belongs to a component is below bin/, and one file beside it is the tree's
 * own. */
struct place {
	int dir; /* owned */
	char path[32];
	struct kt_filelist list;
	struct kt_file own;
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
	struct kt_error err = {0};

	place = (struct place){.path = "/tmp/kt-tree-XXXXXX"};
	if (!mkdtemp(place.path))
		return -1;
	place.dir = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	run(&place, "umask 022; chmod 755 .; mkdir -p bin/d/e bin/f; printf km >bin/km; chmod 755 bin/km; printf '' "
		    ">'bin/a b'; "
		    "printf x >bin/d/e/x; printf y >bin/d-y; ln -s d/e bin/l; printf z >bin/f/z");

	KT_OWN(kt_close_fd) int bin = openat(place.dir, "bin", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (kt_tree_scan(bin, "lib", true, NULL, NULL, &place.list, &err) < 0)
		fail_msg("%s", err.text);
	place.own = (struct kt_file){
		.path = ".files", .sha256 = place.list.digest, .size_bytes = place.list.size, .mode = 0644};

	size_t size;
	KT_OWN(kt_free_mem) char *text = kt_filelist_print(place.list.files, place.list.count, &size);

	assert_int_equal(kt_fs_make_file(place.dir, ".files", text, size, 0644), 0);
	*state = &place;
	return place.dir < 0;
}

static int teardown(void **state)
{
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct place *place = *state;

	close(place->dir);
	kt_filelist_done(&place->list);
	return kt_fs_remove_tree(tmp, place->path + strlen("/tmp/"), KT_ERROR_IGNORED);
}

static struct kt_tree tree_of(const struct place *place)
{
	return (struct kt_tree){
		.dir = place->dir, .prefix = "bin/", .list = &place->list, .own = &place->own, .own_count = 1};
}

struct found {
	size_t count;
	char text[4][256];
	enum kt_reason reason;
	const struct kt_tree *mends; /* NULL: only told */
	size_t mended;
};

static int found_visit(void *context, const struct kt_difference *difference)
{
	struct found *found = context;

	if (found->count < 4)
		kt_difference_print(difference, "here", found->text[found->count], sizeof(found->text[0]));
	if (found->count++ == 0)
		found->reason = kt_difference_reason(difference);
	if (found->mends)
		found->mended += kt_tree_mend(found->mends, difference) == 0;
	return 0;
}

static void test_a_list_is_made(void **state)
{
	static const char *const paths[] = {"a b", "d-y", "d/e/x", "f/z", "km", "l"};
	const struct place *place = *state;

	assert_int_equal(place->list.count, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(place->list.files[i].path, paths[i]);
	assert_string_equal(place->list.files[4].sha256,
			    "1f34503f65b4a355a94ee54da8e34541007cc66ec548c61b8dafbea21a1a0787"); /* by sha256sum */
	assert_int_equal(place->list.files[4].mode, 0755);
	assert_string_equal(place->list.files[5].link, "d/e");
}

static void test_whole(void **state)
{
	const struct place *place = *state;
	const struct kt_tree tree = tree_of(place);

	for (enum kt_depth depth = KT_DEPTH_STAT; depth <= KT_DEPTH_ALL; depth++) {
		struct found found = {.count = 0};
		struct kt_tree_check check = {
			.depth = depth, .is_any_owner = geteuid() != 0, .visit = found_visit, .context = &found};

		assert_int_equal(kt_tree_check(&tree, &check), 0);
		if (found.count > 0)
			fail_msg("%s", found.text[0]);
		assert_true(check.is_unread); /* nothing was ever seen of it */
	}
}

static const struct {
	const char *how;
	const char *said;
	enum kt_reason reason;
	bool is_mended; /* in place */
	bool is_deep;   /* seen by reading alone, when nothing is known */
} rows[] = {
	{"rm bin/km", "here/bin/km is missing", KT_REASON_STORE_FILE_LOST, false, false},
	{"rm -r bin/d", "here/bin/d/e/x is missing", KT_REASON_STORE_FILE_LOST, false, false},
	{"mv bin/d bin/q; ln -s q bin/d", "here/bin/q is there and was not landed", KT_REASON_STORE_FILE_CHANGED, false,
	 false},
	{"rm bin/l", "here/bin/l is missing", KT_REASON_STORE_FILE_LOST, false, false},
	{"rm .files", "here/.files is missing", KT_REASON_STORE_FILE_LOST, false, false},
	{"printf kM >bin/km", "here/bin/km differs in content from the installed version", KT_REASON_STORE_FILE_CHANGED,
	 false, true},
	{"printf K >.files; truncate -s $(stat -c %s .files) .files", "here/.files differs in size",
	 KT_REASON_STORE_FILE_CHANGED, false, false},
	{"echo >>bin/d/e/x", "here/bin/d/e/x differs in size from the installed version", KT_REASON_STORE_FILE_CHANGED,
	 false, false},
	{"ln -sfn .. bin/l", "here/bin/l differs in its target from the installed version",
	 KT_REASON_STORE_FILE_CHANGED, false, false},
	{"rm bin/l; printf x >bin/l", "here/bin/l differs in its target", KT_REASON_STORE_FILE_CHANGED, false, false},
	{"rm bin/km; ln -s x bin/km", "here/bin/km is not a regular file", KT_REASON_STORE_FILE_CHANGED, false, false},
	{"rm bin/km; mkfifo bin/km", "here/bin/km is not a regular file", KT_REASON_STORE_FILE_CHANGED, false, false},
	{"chmod 4755 bin/km", "here/bin/km: mode is 4755, expected 0755", KT_REASON_STORE_FILE_CHANGED, true, false},
	{"chmod 000 bin/d/e/x", "here/bin/d/e/x: mode is", KT_REASON_STORE_FILE_CHANGED, true, false},
	{"chmod 775 bin/d", "here/bin/d: mode is 0775, expected 0755", KT_REASON_STORE_FILE_CHANGED, true, false},
	{"chmod 1755 .", "here: mode is 1755", KT_REASON_STORE_FILE_CHANGED, true, false},
	{"chown 7 bin/km", "here/bin/km belongs to user 7, expected root", KT_REASON_STORE_FILE_CHANGED, true, false},
	{"chown 7 bin/d/e", "here/bin/d/e belongs to user 7, expected root", KT_REASON_STORE_FILE_CHANGED, true, false},
	{"touch bin/d/libevil.so", "here/bin/d/libevil.so is there and was not landed", KT_REASON_STORE_FILE_CHANGED,
	 false, false},
	{"touch evil", "here/evil is there and was not landed", KT_REASON_STORE_FILE_CHANGED, false, false},
	{"mkdir -p bin/d/e/q; touch bin/d/e/q/r", "here/bin/d/e/q is there and was not landed",
	 KT_REASON_STORE_FILE_CHANGED, false, false},
	{"mkdir -p bin/q/r", "here/bin/q is an empty folder that was not landed", KT_REASON_STORE_FILE_CHANGED, true,
	 false},
	{"mkdir -p bi", "here/bi is an empty folder", KT_REASON_STORE_FILE_CHANGED, true, false},
};

/* Each is named, at the depth that it needs; what can be put right where it is, is. */
static void test_differences(void **state)
{
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (i > 0 && setup(state) != 0)
			fail();

		const struct place *place = *state;
		const struct kt_tree tree = tree_of(place);
		struct found found = {.mends = &tree}, again = {.count = 0}, quick = {.count = 0};
		struct kt_tree_check check = {.depth = KT_DEPTH_ALL, .visit = found_visit, .context = &found};

		run(place, rows[i].how);
		check.depth = KT_DEPTH_STAT;
		check.context = &quick;
		assert_int_equal(kt_tree_check(&tree, &check), 0);
		check.depth = KT_DEPTH_ALL;
		check.context = &found;
		assert_int_equal(kt_tree_check(&tree, &check), 0);
		if (found.count == 0 || !strstr(found.text[0], rows[i].said) || found.reason != rows[i].reason ||
		    (quick.count > 0) == rows[i].is_deep)
			fail_msg("%s: %zu, %s", rows[i].how, found.count, found.text[0]);
		check.context = &again;
		assert_int_equal(kt_tree_check(&tree, &check), 0);
		if ((again.count == 0) != rows[i].is_mended)
			fail_msg("%s, mended: %s", rows[i].how, again.text[0]);
		if (i + 1 < sizeof(rows) / sizeof(rows[0]))
			assert_int_equal(teardown(state), 0);
	}
}

/* A visit may end it, with its own answer, from inside of a directory too. */
static int stop_visit(void *context, const struct kt_difference *difference)
{
	(void)difference;
	return *(int *)context;
}

static void test_an_end_is_an_answer(void **state)
{
	const struct place *place = *state;
	const struct kt_tree tree = tree_of(place);
	int answers[] = {7, -EINVAL, -EIO};

	run(place, "touch bin/d/evil");
	for (size_t i = 0; i < 3; i++) {
		struct kt_tree_check check = {.is_any_owner = true, .visit = stop_visit, .context = &answers[i]};

		assert_int_equal(kt_tree_check(&tree, &check), answers[i]);
	}
}

/* Reads it as its maker does, and returns what is known then. */
static void learn(const struct place *place, bool is_staged, struct kt_seen *ret_seen)
{
	const struct kt_tree tree = tree_of(place);
	KT_OWN(kt_free_mem) char *body = NULL;
	size_t body_size = 0, size = 0;
	FILE *notes = open_memstream(&body, &body_size);
	struct kt_tree_check check = {
		.depth = KT_DEPTH_ALL, .is_any_owner = geteuid() != 0, .is_staged = is_staged, .notes = notes};
	struct kt_seen head = {.read_at = 1};

	assert_int_equal(kt_tree_check(&tree, &check), 0);
	assert_int_equal(fclose(notes), 0);
	assert_int_equal(check.note_count, 6 + 1 + 5); /* files, its own, and directories: it, bin, d, d/e, f */
	head.count = check.note_count;
	memcpy(head.digest, place->list.digest, sizeof(head.digest));

	char *text = kt_seen_print(&head, body, body_size, &size);

	assert_int_equal(kt_seen_parse(text, size, ret_seen), 0);
}

/* What was made and read just now is known, and every change of it is seen by stat(2). */
static void test_what_is_known(void **state)
{
	static const char *const hows[] = {
		"printf kM >bin/km",
		"touch bin/f/z",
		"chmod 600 'bin/a b'",
		"touch bin/d/e/new",
		"ln -sfn .. bin/l",
		"touch -h bin/l",
		"rm bin/d-y",
		"touch .files",
		"touch -r bin/km r; printf kM >bin/km; touch -r r bin/km; rm r; touch -d @1 .",
		"mkdir bin/d/q; rmdir bin/d/q",
		"chmod 700 bin; chmod 755 bin",
		"cp -p bin/km bin/kn; mv bin/kn bin/km",
	};

	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
		KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
		KT_OWN(kt_seen_done) struct kt_seen same = {.text = NULL};
		KT_OWN(kt_seen_done) struct kt_seen young = {.text = NULL};

		if (i > 0 && setup(state) != 0)
			fail();

		const struct place *place = *state;

		learn(place, false, &young); /* within two seconds it could change unseen */
		assert_false(kt_tree_is_as_seen(place->dir, &young));
		learn(place, true, &seen);
		learn(place, true, &same);
		assert_true(kt_tree_is_as_seen(place->dir, &same));
		run(place, hows[i]);
		if (kt_tree_is_as_seen(place->dir, &seen))
			fail_msg("not seen: %s", hows[i]);
		if (i + 1 < sizeof(hows) / sizeof(hows[0]))
			assert_int_equal(teardown(state), 0);
	}
}

/* Only what has another stamp is read: the others could hold anything. */
static void test_only_what_changed_is_read(void **state)
{
	const struct place *place = *state;
	const struct kt_tree tree = tree_of(place);
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	struct found found = {.count = 0};
	struct kt_tree_check check = {.depth = KT_DEPTH_CHANGED,
				      .is_any_owner = geteuid() != 0,
				      .seen = &seen,
				      .visit = found_visit,
				      .context = &found};
	char *was = (char *)(uintptr_t)place->list.files[4].sha256;
	char *other = (char *)(uintptr_t)place->list.files[3].sha256;

	learn(place, true, &seen);
	was[0] = was[0] == '0' ? '1' : '0';     /* so that a reading of km would find it wrong */
	other[0] = other[0] == '0' ? '1' : '0'; /* and one of f/z, which is touched, does */
	run(place, "touch bin/f/z");
	assert_int_equal(kt_tree_check(&tree, &check), 0);
	assert_int_equal(found.count, 1);
	assert_non_null(strstr(found.text[0], "here/bin/f/z differs in content"));
	assert_true(check.is_unread);
	/* more than may be read is left */
	check.read_max_bytes = 1;
	found.count = 0;
	kt_seen_done(&seen);
	learn(place, true, &seen);
	run(place, "touch bin/f/z bin/km");
	assert_int_equal(kt_tree_check(&tree, &check), 0);
	assert_int_equal(found.count, 1);
}

static void test_trees_that_make_no_list(void **state)
{
	static const struct {
		const char *how, *said;
	} bad[] = {
		{"mkfifo bin/pipe", "pipe is neither a file, a folder nor a link"},
		{"touch \"bin/$(printf 'a\\nb')\"", "has a control character"},
		{"touch \"bin/$(printf '\\377')\"", "is not UTF-8"},
		{"ln -s /etc bin/out", "leads outside of /opt/kontain"},
		{"touch bin/.files", "is a name that the store keeps"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (i > 0 && setup(state) != 0)
			fail();

		const struct place *place = *state;
		KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
		KT_OWN(kt_close_fd) int bin = -1;
		struct kt_error err = {0};

		run(place, bad[i].how);
		bin = openat(place->dir, "bin", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(kt_tree_scan(bin, "lib", true, NULL, NULL, &list, &err) < 0);
		if (err.reason != KT_REASON_BUNDLE_INVALID || !strstr(err.text, bad[i].said))
			fail_msg("%s: %s", bad[i].how, err.text);
		if (i + 1 < sizeof(bad) / sizeof(bad[0]))
			assert_int_equal(teardown(state), 0);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_list_is_made),          TEST(test_whole),         TEST(test_differences),
		TEST(test_an_end_is_an_answer),     TEST(test_what_is_known), TEST(test_only_what_changed_is_read),
		TEST(test_trees_that_make_no_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
