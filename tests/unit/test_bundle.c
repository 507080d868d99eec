/* links: kt_bundle kt_contract kt_base */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/bundle.h"
#include "kontain/bundle/treecheck.h"

static void file_lay(int dir, const char *path, const char *text, mode_t mode)
{
	KT_OWN(kt_close_fd) int fd = openat(dir, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(kt_fs_write_full(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

/* A whole bundle; path is a template for mkdtemp. */
static int bundle_lay(char *path)
{
	static const char *const components[] = {"km", "lib", "extras"};
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.version = "1.0", .arch = "x86_64"};
	int dir;

	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(kt_fs_make_dirs(dir, "bin"), 0);
	assert_int_equal(kt_fs_make_dirs(dir, "lib/deep/er"), 0);
	assert_int_equal(kt_fs_make_dirs(dir, "tests"), 0);
	file_lay(dir, "bin/km", "hello", 0755);
	file_lay(dir, "lib/deep/er/file", "hello", 0644);
	file_lay(dir, "lib/empty", "", 0644);
	assert_int_equal(symlinkat("deep/er", dir, "lib/link"), 0);
	file_lay(dir, "tests/hello_test.km", "hello", 0755);
	for (size_t i = 0; i < 3; i++) {
		KT_OWN(kt_close_fd) int folder = openat(dir, kt_component_source(components[i]), O_RDONLY | O_CLOEXEC);
		KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
		KT_OWN(kt_free_mem) char *lines = NULL;
		char name[32];
		size_t size;

		assert_int_equal(kt_tree_scan(folder, components[i], true, NULL, NULL, &list, KT_ERROR_IGNORED), 0);
		lines = kt_filelist_print(list.files, list.count, &size);
		snprintf(name, sizeof(name), "%s.files", components[i]);
		file_lay(dir, name, lines, 0644);
		strcpy(kt_manifest_add(&manifest, components[i], &list)->version, "1.0");
	}

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(&manifest);

	file_lay(dir, KT_MANIFEST_NAME, text, 0644);
	return dir;
}

static void bundle_drop(const char *path)
{
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(kt_fs_remove_tree(tmp, path + strlen("/tmp/"), KT_ERROR_IGNORED), 0);
}

static int check(const char *path, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	int r = kt_bundle_open(path, &bundle, err);

	return r < 0 ? r : kt_bundle_check(&bundle, err);
}

static void test_a_whole_bundle(void **state)
{
	char path[] = "/tmp/kt-bundle-XXXXXX", through[40];
	KT_OWN(kt_close_fd) int dir = bundle_lay(path);
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	struct kt_error err = {0};

	(void)state;
	if (kt_bundle_open(path, &bundle, &err) < 0 || kt_bundle_check(&bundle, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(bundle.path, path);
	assert_string_equal(bundle.manifest.version, "1.0");
	assert_int_equal(strlen(bundle.manifest_bytes), bundle.manifest_size);
	assert_true(fcntl(bundle.dir, F_GETFD) & FD_CLOEXEC);
	/* folders that hold nothing are let pass, as they are never landed */
	assert_int_equal(kt_fs_make_dirs(dir, "runtime/a/b"), 0);
	assert_int_equal(kt_bundle_check(&bundle, KT_ERROR_IGNORED), 0);
	/* a link that the operator named is followed: it is his */
	snprintf(through, sizeof(through), "%s.link", path);
	assert_int_equal(symlink(path, through), 0);
	assert_int_equal(check(through, &err), 0);
	unlink(through);
	bundle_drop(path);
}

static void run(const char *path, const char *how)
{
	char command[512];

	snprintf(command, sizeof(command), "cd %s && %s", path, how);
	assert_int_equal(system(command), 0);
}

static const struct {
	const char *how;
	enum kt_reason reason;
	const char *said;
} altered_rows[] = {
	{"rm kontain-bundle.json", KT_REASON_BUNDLE_MISSING, "kontain-pack makes one"},
	{"rm kontain-bundle.json; ln -s /etc/passwd kontain-bundle.json", KT_REASON_BUNDLE_INVALID,
	 "kontain-bundle.json"},
	{"rm kontain-bundle.json; mkdir kontain-bundle.json", KT_REASON_BUNDLE_INVALID, "kontain-bundle.json"},
	{"rm kontain-bundle.json; mkfifo kontain-bundle.json", KT_REASON_BUNDLE_INVALID, "kontain-bundle.json"},
	{"truncate -s 40M kontain-bundle.json", KT_REASON_BUNDLE_INVALID, "larger than"},
	{"echo >kontain-bundle.json", KT_REASON_BUNDLE_INVALID, "is not valid JSON"},
	{"sed -i s/x86_64/aarch64/ kontain-bundle.json", KT_REASON_ARCH_MISMATCH, "aarch64"},
	{"sed -i s/0755/0644/ km.files", KT_REASON_DIGEST_MISMATCH, "km.files: its SHA-256 is"},
	{"sed -i s/0755/4755/ km.files", KT_REASON_BUNDLE_INVALID, "km.files: line 1: mode \"4755\" is neither"},
	{"rm km.files", KT_REASON_BUNDLE_INVALID, "the list km.files of component km is missing"},
	{": >lib.files", KT_REASON_BUNDLE_INVALID, "lib.files: it is empty"},
	{"rm lib.files; mkdir lib.files", KT_REASON_BUNDLE_INVALID, "lib.files"},
	{"rm lib.files; mkfifo lib.files", KT_REASON_BUNDLE_INVALID, "lib.files"},
	{"mv lib.files l; ln -s l lib.files", KT_REASON_BUNDLE_INVALID, "lib.files"},
	{"truncate -s 33554433 lib.files", KT_REASON_BUNDLE_INVALID, "its lists are larger than"},
	{"rm bin/km", KT_REASON_BUNDLE_INVALID, "bin/km is in the list but is not there"},
	{"rm -r bin", KT_REASON_BUNDLE_INVALID, "folder bin is missing"},
	{"mv bin away; ln -s away bin", KT_REASON_BUNDLE_INVALID, "folder bin"},
	{"rm bin/km; mkdir bin/km", KT_REASON_BUNDLE_INVALID, "bin/km is in the list but is not a regular file"},
	{"rm bin/km; mkfifo bin/km", KT_REASON_BUNDLE_INVALID, "bin/km is in the list but is not a regular file"},
	{"mv bin/km km; ln -s ../km bin/km", KT_REASON_BUNDLE_INVALID, "km"},
	{"rm bin/km; ln -s /bin/true bin/km", KT_REASON_BUNDLE_INVALID, "bin/km is in the list but is not a regular"},
	{"chmod 0775 bin/km", KT_REASON_BUNDLE_INVALID, "bin/km has mode 0775, its list says 0755"},
	{"chmod u+s bin/km", KT_REASON_BUNDLE_INVALID, "bin/km has mode 4755"},
	{"printf hellO >bin/km", KT_REASON_DIGEST_MISMATCH, "bin/km has other content"},
	{"printf hello! >bin/km", KT_REASON_DIGEST_MISMATCH, "bin/km has another size"},
	{"printf hell >bin/km", KT_REASON_DIGEST_MISMATCH, "bin/km has another size"},
	{"truncate -s 3G bin/km", KT_REASON_DIGEST_MISMATCH, "bin/km has another size"}, /* not read to its end */
	{"echo >lib/empty", KT_REASON_DIGEST_MISMATCH, "lib/empty has another size"},
	{"rm lib/link", KT_REASON_BUNDLE_INVALID, "lib/link is in the list but is not there"},
	{"rm lib/link; ln -s /etc lib/link", KT_REASON_BUNDLE_INVALID, "lib/link is not the link"},
	{"rm lib/link; touch lib/link", KT_REASON_BUNDLE_INVALID, "lib/link is not the link"},
	{"mv lib/deep lib/real; ln -s real lib/deep", KT_REASON_BUNDLE_INVALID, "not in its list"},
	{"touch lib/more", KT_REASON_BUNDLE_INVALID, "lib/more is in the bundle's folder but not in its list"},
	{"touch more", KT_REASON_BUNDLE_INVALID, "more is in the bundle's folder"},
	{"touch lib/kontain-bundle.json", KT_REASON_BUNDLE_INVALID, "lib/kontain-bundle.json is in"},
	{"mkdir -p shim/a; ln -s / shim/a/b", KT_REASON_BUNDLE_INVALID, "shim/a is in"},
	{"mkfifo lib/pipe", KT_REASON_BUNDLE_INVALID, "lib/pipe is in"},
	{"touch 'lib/a\033[2J'", KT_REASON_BUNDLE_INVALID, "lib/a\\x1b[2J is in"},
	{"rm tests/hello_test.km", KT_REASON_BUNDLE_INVALID, "tests/hello_test.km is in the list but"},
	{"echo x >>tests/hello_test.km", KT_REASON_DIGEST_MISMATCH, "tests/hello_test.km has another size"},
};

static void test_altered_bundles(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(altered_rows) / sizeof(altered_rows[0]); i++) {
		char path[] = "/tmp/kt-bundle-XXXXXX";
		KT_OWN(kt_close_fd) int dir = bundle_lay(path);
		struct kt_error err = {0};

		assert_true(dir >= 0);
		assert_int_equal(check(path, &err), 0);
		run(path, altered_rows[i].how);
		if (check(path, &err) == 0)
			fail_msg("not noticed: %s", altered_rows[i].how);
		if (err.reason != altered_rows[i].reason || !strstr(err.text, altered_rows[i].said) ||
		    !strstr(err.text, path))
			fail_msg("%s said %s: %s", altered_rows[i].how, kt_reason_name(err.reason), err.text);
		bundle_drop(path);
	}
}

/* A folder deeper than any path of a manifest: told, and no stack is used up. */
static void test_a_bottomless_folder(void **state)
{
	char path[] = "/tmp/kt-bundle-XXXXXX";
	KT_OWN(kt_close_fd) int dir = bundle_lay(path);
	KT_OWN(kt_close_fd) int at = openat(dir, "lib", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct kt_error err = {0};

	(void)state;
	for (int i = 0; i < 515; i++) {
		assert_int_equal(mkdirat(at, "d", 0755), 0);

		int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		kt_close_fd(&at);
		at = next;
	}
	assert_true(check(path, &err) < 0);
	assert_int_equal(err.reason, KT_REASON_BUNDLE_INVALID);
	assert_non_null(strstr(err.text, "not in its list"));
	bundle_drop(path);
}

static void test_places_that_hold_no_bundle(void **state)
{
	static const struct {
		const char *path;
		enum kt_reason reason;
	} rows[] = {
		{"/nonexistent/bundle", KT_REASON_BUNDLE_MISSING},
		{"", KT_REASON_BUNDLE_MISSING},
		{"/etc/passwd", KT_REASON_BUNDLE_MISSING},
		{"/proc", KT_REASON_BUNDLE_MISSING},
	};
	char large[5000];
	struct kt_bundle bundle, before;
	struct kt_error err = {0};

	(void)state;
	memset(&bundle, 0x55, sizeof(bundle));
	before = bundle;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(kt_bundle_open(rows[i].path, &bundle, &err) < 0);
		assert_int_equal(err.reason, rows[i].reason);
		assert_non_null(strstr(err.text, rows[i].path));
	}
	memset(large, 'a', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(kt_bundle_open(large, &bundle, &err), -ENAMETOOLONG);
	assert_memory_equal(&bundle, &before, sizeof(bundle)); /* left alone */
}

/* From now on openat2 answers with that code. */
static bool openat2_refuse(int code)
{
	struct sock_filter lines[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(lines) / sizeof(lines[0]), .filter = lines};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* A disk or a registry that fails is the source's; a kernel that is too old, or no memory, is not. */
static void test_bundles_that_cannot_be_read(void **state)
{
	static const struct {
		int code;
		enum kt_reason reason;
	} rows[] = {
		{EIO, KT_REASON_BUNDLE_UNREADABLE},
		{EACCES, KT_REASON_BUNDLE_UNREADABLE},
		{ENOSYS, KT_REASON_KERNEL_TOO_OLD},
		{ENOMEM, KT_REASON_OUT_OF_MEMORY},
	};
	char path[] = "/tmp/kt-bundle-XXXXXX";

	(void)state;
	(void)close(bundle_lay(path));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid = fork();
		int status = -1;

		if (pid == 0) {
			struct kt_bundle bundle = {.dir = -1};
			struct kt_error err = {.code = 0};

			_exit(!openat2_refuse(rows[i].code) || kt_bundle_open(path, &bundle, &err) != -rows[i].code ||
			      err.reason != rows[i].reason);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (status != 0)
			fail_msg("%s: status %d", strerror(rows[i].code), status);
	}
	bundle_drop(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_bundle),
		cmocka_unit_test(test_altered_bundles),
		cmocka_unit_test(test_a_bottomless_folder),
		cmocka_unit_test(test_places_that_hold_no_bundle),
		cmocka_unit_test(test_bundles_that_cannot_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
