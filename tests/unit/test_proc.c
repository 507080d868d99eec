/* links: kt_base */
/* The door to /proc and /sys: real ones are read, whatever only looks like one is not there. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"

static void test_read(void **state)
{
	char small[4], text[64];

	(void)state;
	assert_true(kt_proc_read("", "self/comm", text, sizeof(text)) > 0);
	assert_null(strchr(text, '\n'));
	assert_int_equal(kt_proc_read("", "self/comm", small, sizeof(small)), 3);
	assert_int_equal(strlen(small), 3);
	assert_int_equal(kt_proc_read("", "no/such", text, sizeof(text)), -ENOENT);
	assert_int_equal(kt_sys_read("", "no/such", text, sizeof(text)), -ENOENT);
}

static void make(const char *root, const char *folder, const char *file, const char *content)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", root, folder);
	(void)mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/%s", root, folder, file);

	KT_OWN(kt_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(kt_fs_write_full(fd, content, strlen(content)), 0);
}

/* Every kind of decoy below another root: nothing of it is believed. */
static void test_decoys(void **state)
{
	char root[] = "/tmp/kt-proc-XXXXXX", path[128], text[64] = "as it was";
	static const char *const names[] = {"proc", "sys"};

	(void)state;
	assert_non_null(mkdtemp(root));
	assert_int_equal(kt_proc_open(root), -ENOENT);
	for (size_t i = 0; i < 2; i++)
		make(root, names[i], "version", "Linux decoy");
	assert_int_equal(kt_proc_open(root), -ENOENT);
	assert_int_equal(kt_sys_open(root), -ENOENT);
	assert_int_equal(kt_proc_read(root, "version", text, sizeof(text)), -ENOENT);
	assert_int_equal(kt_sys_read(root, "version", text, sizeof(text)), -ENOENT);
	assert_string_equal(text, "as it was");
	/* nor a link to the real one: it names another root's */
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s/version", root, names[i]);
		assert_int_equal(unlink(path), 0);
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		assert_int_equal(rmdir(path), 0);
		assert_int_equal(symlink(i ? "/sys" : "/proc", path), 0);
	}
	assert_true(kt_proc_open(root) < 0);
	assert_true(kt_sys_open(root) < 0);
	/* nor the one in place of the other */
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(root), 0);
}

/* What only a mount namespace of its own may do: proc where sys should be, and a file laid over one of proc's. */
static int mounted_decoys(const char *root)
{
	char path[128], cover[128], text[64];

	snprintf(path, sizeof(path), "%s/sys", root);
	snprintf(cover, sizeof(cover), "%s/cover", root);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mkdir(path, 0755) < 0 || mount("proc", path, "proc", 0, NULL) < 0)
		return 77;
	if (kt_sys_open(root) != -ENOENT || kt_sys_read(root, "version", text, sizeof(text)) != -ENOENT)
		return 1;
	if (kt_proc_read("", "version", text, sizeof(text)) <= 0)
		return 2;
	if (mount(cover, "/proc/version", NULL, MS_BIND, NULL) < 0)
		return 77;
	if (kt_proc_read("", "version", text, sizeof(text)) != -ENOENT)
		return 3;
	return kt_proc_read("", "self/comm", text, sizeof(text)) > 0 ? 0 : 4;
}

static void test_mounted_decoys(void **state)
{
	char root[] = "/tmp/kt-proc-XXXXXX", path[128];
	int status = 0;

	(void)state;
	assert_non_null(mkdtemp(root));
	make(root, ".", "cover", "Linux decoy");

	pid_t pid = fork();

	if (pid == 0)
		_exit(mounted_decoys(root));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	snprintf(path, sizeof(path), "%s/sys", root);
	(void)rmdir(path);
	snprintf(path, sizeof(path), "%s/cover", root);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(root), 0);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip(); /* not root */
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_boot_id(void **state)
{
	char id[37];

	(void)state;
	assert_int_equal(kt_fs_boot_id(id), 0);
	assert_int_equal(strlen(id), 36);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_decoys),
		cmocka_unit_test(test_mounted_decoys),
		cmocka_unit_test(test_boot_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
