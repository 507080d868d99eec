/* links: kt_base */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"

struct place {
	char path[64];
	int dir; /* owned: <path>/in, so that <path>/secret lies outside */
};

static int setup(void **state)
{
	static struct place place;
	char inner[80];
	int fd;

	strcpy(place.path, "/tmp/kt-fs-XXXXXX");
	if (!mkdtemp(place.path))
		return -1;
	snprintf(inner, sizeof(inner), "%s/in", place.path);
	mkdir(inner, 0755);
	place.dir = open(inner, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fd = openat(place.dir, "../secret", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, "secret", 6) != 6)
		return -1;
	close(fd);
	*state = &place;
	return place.dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct place *place = *state;
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct kt_error err;

	close(place->dir);
	return kt_fs_remove_tree(tmp, place->path + strlen("/tmp/"), &err);
}

static void put(int dir, const char *name, const char *text)
{
	struct kt_error err = {0};

	if (kt_fs_replace_file(dir, name, text, strlen(text), 0644, &err) < 0)
		fail_msg("%s", err.text);
}

static void assert_content(int dir, const char *path, const char *wanted)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	size_t size = 0;
	struct kt_error err = {0};

	if (kt_fs_read_all(dir, path, 1 << 20, &bytes, &size, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(size, strlen(wanted));
	assert_string_equal(bytes, wanted);
}

static void test_nothing_leads_outside(void **state)
{
	static const struct {
		const char *path;
		int wanted;
	} rows[] = {
		{"../secret", -EXDEV},    {"/etc/passwd", -EXDEV}, {"d/../../secret", -EXDEV}, {"up/secret", -ELOOP},
		{"link", -ELOOP},         {"absolute", -ELOOP},    {"gone", -ENOENT},          {"", -ENOENT},
		{"file/below", -ENOTDIR}, {"d/within", -ELOOP},
	};
	struct place *place = *state;

	put(place->dir, "file", "x");
	assert_int_equal(kt_fs_make_dirs(place->dir, "d"), 0);
	assert_int_equal(symlinkat("..", place->dir, "up"), 0);
	assert_int_equal(symlinkat("../secret", place->dir, "link"), 0);
	assert_int_equal(symlinkat("/etc/passwd", place->dir, "absolute"), 0);
	assert_int_equal(symlinkat("../file", place->dir, "d/within"), 0); /* even one that stays inside */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(kt_fs_open_beneath(place->dir, rows[i].path, O_RDONLY, 0), rows[i].wanted);
	assert_true(kt_fs_exists(place->dir, "link"));
	assert_true(kt_fs_exists(place->dir, "file"));
	assert_false(kt_fs_exists(place->dir, "gone"));
	assert_false(kt_fs_exists(place->dir, "../secret"));
}

static void test_parents(void **state)
{
	static const struct {
		const char *path;
		const char *name; /* NULL: refused */
	} rows[] = {
		{"a", "a"},     {"d/e/f", "f"},      {"d/missing", "missing"}, {"", NULL},
		{"/a", NULL},   {"d/", NULL},        {"d/..", NULL},           {".", NULL},
		{"../a", NULL}, {"missing/a", NULL},
	};
	struct place *place = *state;

	assert_int_equal(kt_fs_make_dirs(place->dir, "d/e"), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = NULL;
		KT_OWN(kt_close_fd) int fd = kt_fs_open_parent(place->dir, rows[i].path, &name);

		assert_int_equal(fd >= 0, rows[i].name != NULL);
		if (rows[i].name)
			assert_string_equal(name, rows[i].name);
		else
			assert_null(name);
	}
}

static void test_read_limits(void **state)
{
	struct place *place = *state;
	char *bytes = NULL;
	size_t size = 0;
	struct kt_error err = {0};

	put(place->dir, "ten", "0123456789");
	put(place->dir, "empty", "");
	assert_content(place->dir, "ten", "0123456789");
	assert_content(place->dir, "empty", "");
	assert_int_equal(kt_fs_read_all(place->dir, "ten", 10, &bytes, &size, &err), 0);
	free(bytes);
	bytes = NULL;
	assert_int_equal(kt_fs_read_all(place->dir, "ten", 9, &bytes, &size, &err), -EFBIG);
	assert_int_equal(kt_fs_read_all(place->dir, ".", 9, &bytes, &size, &err), -EISDIR);
	assert_int_equal(kt_fs_read_all(place->dir, "none", 9, &bytes, &size, &err), -ENOENT);
	assert_non_null(strstr(err.text, "none"));
	assert_int_equal(mkfifoat(place->dir, "fifo", 0644), 0);
	assert_int_equal(kt_fs_read_all(place->dir, "fifo", 9, &bytes, &size, &err), -EINVAL); /* and does not wait */
	assert_null(bytes);
}

/* What has no size of its own: /proc says 0 and a pipe is no file. */
static void test_read_without_size(void **state)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	KT_OWN(kt_free_mem) char *more = NULL;
	size_t size = 0;
	struct kt_error err = {0};
	char boot_id[37];
	int ends[2];

	(void)state;
	assert_int_equal(kt_fs_read_all(AT_FDCWD, "/proc/self/status", 1 << 16, &bytes, &size, &err), 0);
	assert_int_equal(strlen(bytes), size);
	assert_non_null(strstr(bytes, "Pid:"));
	assert_int_equal(kt_fs_boot_id(boot_id), 0);
	assert_int_equal(strlen(boot_id), 36);

	assert_int_equal(pipe(ends), 0);
	for (int i = 0; i < 6; i++)
		assert_int_equal(write(ends[1], boot_id, 36), 36);
	close(ends[1]);
	assert_int_equal(kt_fs_read_fd(ends[0], 4 * 36, &more, &size), -EFBIG);
	close(ends[0]);
}

static void test_replace_file(void **state)
{
	struct place *place = *state;
	struct stat info;
	struct kt_error err = {0};
	mode_t before = umask(077);

	put(place->dir, "f", "old");
	put(place->dir, ".partial-f", "what a crash left");
	put(place->dir, "f", "new");
	umask(before);
	assert_content(place->dir, "f", "new");
	assert_false(kt_fs_exists(place->dir, ".partial-f"));
	assert_int_equal(fstatat(place->dir, "f", &info, 0), 0);
	assert_int_equal(info.st_mode & 07777, 0644); /* whatever the umask */

	/* a link in the target's place is replaced, not written through */
	assert_int_equal(symlinkat("../secret", place->dir, "l"), 0);
	put(place->dir, "l", "mine");
	assert_content(place->dir, "l", "mine");
	assert_content(AT_FDCWD, (snprintf(err.text, 100, "%s/secret", place->path), err.text), "secret");

	/* and so is one in the temporary's place */
	assert_int_equal(symlinkat("../secret", place->dir, ".partial-g"), 0);
	put(place->dir, "g", "mine");
	assert_content(AT_FDCWD, (snprintf(err.text, 100, "%s/secret", place->path), err.text), "secret");

	assert_int_equal(kt_fs_replace_file(place->dir, "a/b", "", 0, 0644, &err), -EINVAL);
	assert_int_equal(kt_fs_replace_file(place->dir, "", "", 0, 0644, &err), -EINVAL);
	assert_int_equal(kt_fs_replace_file(place->dir, "..", "", 0, 0644, &err), -EINVAL);
	assert_int_equal(kt_fs_make_dirs(place->dir, "dir/sub"), 0);
	assert_int_equal(kt_fs_replace_file(place->dir, "dir", "", 0, 0644, &err), -EISDIR);
	assert_false(kt_fs_exists(place->dir, ".partial-dir"));
}

/* A disk that takes only a part: the old file stays, the temporary goes. RLIMIT_FSIZE makes write(2) short, then
 * EFBIG. */
static void test_short_write_keeps_the_old(void **state)
{
	struct place *place = *state;
	static char large[9000];
	pid_t child;
	int status;

	put(place->dir, "f", "old");
	child = fork();
	if (child == 0) {
		struct rlimit limit = {4096, 4096};
		struct kt_error err = {0};

		(void)signal(SIGXFSZ, SIG_IGN);
		(void)setrlimit(RLIMIT_FSIZE, &limit);
		_exit(kt_fs_replace_file(place->dir, "f", large, sizeof(large), 0644, &err) == -EFBIG ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_content(place->dir, "f", "old");
	assert_false(kt_fs_exists(place->dir, ".partial-f"));
}

static void test_full_device(void **state)
{
	KT_OWN(kt_close_fd) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	assert_true(full >= 0);
	assert_int_equal(kt_fs_write_full(full, "x", 1), -ENOSPC);
	assert_int_equal(kt_fs_write_full(full, "x", 0), 0);
	assert_int_equal(kt_fs_write_full(-1, "x", 1), -EBADF);
}

static void test_links(void **state)
{
	struct place *place = *state;
	struct kt_error err = {0};
	char target[8];

	assert_int_equal(kt_fs_replace_link(place->dir, "current", "sets/1", &err), 0);
	assert_int_equal(symlinkat("left", place->dir, ".partial-current"), 0);
	assert_int_equal(kt_fs_replace_link(place->dir, "current", "sets/2", &err), 0);
	assert_int_equal(kt_fs_read_link(place->dir, "current", target, sizeof(target)), 0);
	assert_string_equal(target, "sets/2");
	assert_false(kt_fs_exists(place->dir, ".partial-current"));
	assert_int_equal(kt_fs_replace_link(place->dir, "current", "sets/22", &err), 0);
	assert_int_equal(kt_fs_read_link(place->dir, "current", target, sizeof(target)), 0); /* exactly fits */
	assert_int_equal(kt_fs_replace_link(place->dir, "current", "sets/333", &err), 0);
	assert_int_equal(kt_fs_read_link(place->dir, "current", target, sizeof(target)), -ENAMETOOLONG);
	put(place->dir, "file", "");
	assert_int_equal(kt_fs_read_link(place->dir, "file", target, sizeof(target)), -EINVAL);
	assert_int_equal(kt_fs_read_link(place->dir, "none", target, sizeof(target)), -ENOENT);
	/* a directory is never replaced by a link */
	assert_int_equal(kt_fs_make_dirs(place->dir, "dir"), 0);
	assert_int_equal(kt_fs_replace_link(place->dir, "dir", "x", &err), -EISDIR);
	assert_false(kt_fs_exists(place->dir, ".partial-dir"));
}

static void test_make_dirs(void **state)
{
	struct place *place = *state;
	struct stat info;
	mode_t before = umask(077);

	assert_int_equal(kt_fs_make_dirs(place->dir, "a/b//c/./d/"), 0);
	umask(before);
	assert_int_equal(fstatat(place->dir, "a/b/c/d", &info, 0), 0);
	assert_int_equal(info.st_mode & 07777, 0755);
	assert_int_equal(kt_fs_make_dirs(place->dir, "a/b"), 0);
	assert_int_equal(kt_fs_make_dirs(place->dir, "."), 0);
	assert_int_equal(kt_fs_make_dirs(place->dir, "../out"), -EINVAL);
	assert_int_equal(kt_fs_make_dirs(place->dir, "/out"), -EINVAL);
	assert_int_equal(symlinkat("..", place->dir, "up"), 0);
	assert_true(kt_fs_make_dirs(place->dir, "up/out") < 0);
	put(place->dir, "file", "");
	assert_int_equal(kt_fs_make_dirs(place->dir, "file/x"), -ENOTDIR);
}

static void test_remove_tree(void **state)
{
	struct place *place = *state;
	struct kt_error err = {0};
	char name[80];

	assert_int_equal(kt_fs_make_dirs(place->dir, "t/a/b/c"), 0);
	assert_int_equal(kt_fs_make_dirs(place->dir, "kept"), 0);
	assert_int_equal(symlinkat("../kept", place->dir, "t/link"), 0);
	assert_int_equal(symlinkat("../../..", place->dir, "t/a/up"), 0);
	{
		KT_OWN(kt_close_fd) int kept = kt_fs_open_beneath(place->dir, "kept", O_RDONLY | O_DIRECTORY, 0);
		KT_OWN(kt_close_fd) int deep = kt_fs_open_beneath(place->dir, "t/a/b", O_RDONLY | O_DIRECTORY, 0);

		put(kept, "f", "kept");
		for (int i = 0; i < 500; i++) {
			snprintf(name, sizeof(name), "file-%d", i);
			assert_true((close(openat(deep, name, O_WRONLY | O_CREAT, 0600)), 1));
		}
	}
	assert_int_equal(kt_fs_remove_tree(place->dir, "t", &err), 0);
	assert_false(kt_fs_exists(place->dir, "t"));
	assert_content(place->dir, "kept/f", "kept");
	snprintf(name, sizeof(name), "%s/secret", place->path);
	assert_content(AT_FDCWD, name, "secret");

	assert_int_equal(kt_fs_remove_tree(place->dir, "none", &err), 0);
	assert_int_equal(kt_fs_remove_tree(place->dir, "none/below", &err), 0);
	assert_int_equal(kt_fs_remove_tree(place->dir, "kept/f", &err), 0);
	assert_int_equal(kt_fs_remove_tree(place->dir, "..", &err), -EINVAL);
	assert_int_equal(kt_fs_remove_tree(place->dir, "../secret", &err), -EXDEV);
	assert_content(AT_FDCWD, name, "secret");
}

/* As deep as any path that we write can be: no recursion that ends early, no stray descriptor. */
static void test_remove_deep_tree(void **state)
{
	struct place *place = *state;
	char path[1024] = "";
	struct kt_error err = {0};

	for (int i = 0; i < 500; i++)
		strcat(path, i ? "/d" : "d");
	assert_int_equal(kt_fs_make_dirs(place->dir, path), 0);
	assert_int_equal(kt_fs_remove_tree(place->dir, "d", &err), 0);
	assert_false(kt_fs_exists(place->dir, "d"));
}

/* Where case counts a name has no twin. What a file system that folds case answers is put together: the name is asked
 * for that lies there in another case, as it would be after EEXIST. */
static void test_twins(void **state)
{
	struct place *place = *state;
	char twin[KT_FS_NAME_MAX] = "untouched";

	put(place->dir, "xt_CONNMARK.h", "one");
	assert_true(kt_fs_find_twin(place->dir, "xt_connmark.h", twin));
	assert_string_equal(twin, "xt_CONNMARK.h");
	strcpy(twin, "untouched");
	assert_false(kt_fs_find_twin(place->dir, "xt_CONNMARK.h", twin));
	assert_false(kt_fs_find_twin(place->dir, "xt_connmark", twin));
	assert_false(kt_fs_find_twin(-1, "xt_connmark.h", twin));
	put(place->dir, "xt_connmark.h", "two");
	assert_false(kt_fs_find_twin(place->dir, "xt_connmark.h", twin)); /* both are there: it does not fold */
	assert_string_equal(twin, "untouched");
	/* by whatever rule: two names of one file */
	assert_int_equal(linkat(place->dir, "xt_connmark.h", place->dir, "another", 0), 0);
	assert_false(kt_fs_find_twin(place->dir, "another", twin));
}

/* From here on renameat2(2) takes no flags, as on zfs before 2.2. */
static int flags_refuse(int code)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[4])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) | prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The same answers with flags and without, but for the exchange, which is not to be had. Its number says what was
 * wrong. */
static int renames_try(int dir, int exchange)
{
	struct stat a, b;

	if (kt_fs_rename_new(dir, "a", dir, "b") != -EEXIST || kt_fs_rename_new(dir, "none", dir, "c") != -ENOENT)
		return 1;
	if (kt_fs_rename_new(dir, "a", dir, "c") != 0 || kt_fs_rename_new(dir, "c", dir, "a") != 0)
		return 2;
	if (fstatat(dir, "a", &a, 0) < 0 || kt_fs_exchange(dir, "a", dir, "b") != exchange ||
	    fstatat(dir, "b", &b, 0) < 0)
		return 3;
	if ((a.st_ino == b.st_ino) != (exchange == 0))
		return 4;
	return 0;
}

static void test_renames(void **state)
{
	static const int codes[] = {0, EINVAL, ENOSYS, EOPNOTSUPP};
	struct place *place = *state;

	put(place->dir, "a", "a");
	put(place->dir, "b", "b");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0)
			_exit(codes[i] && flags_refuse(codes[i]) ? 9 :
								   renames_try(place->dir, codes[i] ? -EOPNOTSUPP : 0));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* Nothing moves, whatever the answer is. */
static void test_can_move(void **state)
{
	struct place *place = *state;

	assert_int_equal(kt_fs_make_dirs(place->dir, "taken/full"), 0);
	assert_int_equal(kt_fs_make_dirs(place->dir, "d/e"), 0);
	put(place->dir, "f", "f");
	assert_int_equal(kt_fs_can_move(place->dir, "d", place->dir, "taken"), 0);
	assert_int_equal(kt_fs_can_move(place->dir, "f", place->dir, "taken"), 0);
	assert_int_equal(kt_fs_can_move(place->dir, "none", place->dir, "taken"), -ENOENT);
	assert_true(kt_fs_exists(place->dir, "d/e") && kt_fs_exists(place->dir, "f") &&
		    kt_fs_exists(place->dir, "taken/full"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_twins),
		TEST(test_nothing_leads_outside),
		TEST(test_parents),
		TEST(test_read_limits),
		TEST(test_read_without_size),
		TEST(test_replace_file),
		TEST(test_short_write_keeps_the_old),
		TEST(test_full_device),
		TEST(test_links),
		TEST(test_make_dirs),
		TEST(test_remove_tree),
		TEST(test_remove_deep_tree),
		TEST(test_renames),
		TEST(test_can_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
