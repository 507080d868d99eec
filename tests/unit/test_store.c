/* links: kt_store kt_bundle kt_contract kt_base */
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

#include "../../installer/store/set.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/store/store.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct fixture {
	char path[32];
	struct kt_store store;
};

static int setup(void **state)
{
	static struct fixture fixture;
	struct kt_error err = {.code = 0};

	if (geteuid() != 0) /* a store belongs to root */
		return 0;
	strcpy(fixture.path, "/tmp/kt-store-XXXXXX");
	if (!mkdtemp(fixture.path) || chmod(fixture.path, 0755) < 0 ||
	    kt_store_open("", fixture.path, KT_STORE_CREATE, &fixture.store, &err) < 0)
		return -1;
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fixture *fixture = *state;

	if (!fixture)
		return 0;
	char lock[64];

	kt_store_done(&fixture->store);
	(void)snprintf(lock, sizeof(lock), ".%s.lock", fixture->path + strlen("/tmp/"));
	(void)unlinkat(tmp, lock, 0);
	return kt_fs_remove_tree(tmp, fixture->path + strlen("/tmp/"), KT_ERROR_IGNORED);
}

static struct fixture *ready(void **state)
{
	if (!*state)
		skip();
	return *state;
}

static int remember(struct fixture *fixture, enum kt_reason reason, int64_t boot_s)
{
	struct kt_error failure = {EPROTO, reason, "km ended\nby signal 6"}, err;

	return kt_store_remember_failure(&fixture->store, SHA, &failure, boot_s, &err);
}

/* A proof that failed is believed when it failed three times over two minutes, and not before. */
static void test_failures_are_remembered(void **state)
{
	static const struct {
		int64_t boot_s;
		enum kt_reason reason;
		bool believed;
	} rows[] = {
		{1000, KT_REASON_KM_ABORTED, false}, {1001, KT_REASON_KM_ABORTED, false},
		{1002, KT_REASON_KM_CRASHED, false}, {1119, KT_REASON_KM_DEVICE_FAILED, false},
		{1120, KT_REASON_KM_ABORTED, true},  {9999, KT_REASON_KM_SILENT, true},
	};
	struct fixture *fixture = ready(state);
	struct kt_error recalled = {.code = 0}, err;

	assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(remember(fixture, rows[i].reason, rows[i].boot_s), rows[i].believed);
		assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), rows[i].believed);
	}
	assert_int_equal(recalled.reason, KT_REASON_KM_SILENT);
	assert_ptr_equal(strstr(recalled.text, "km ended by signal 6 (failed 6 times from 20"), recalled.text);
	assert_non_null(
		strstr(recalled.text, "Z; the agent tries again after a reboot or with another kernel, installer"));
	assert_non_null(strstr(recalled.text, "to try now, run kontain-installer install)"));
	assert_int_equal(kt_store_forget_failures(&fixture->store), 0);
	assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), 0);
	/* two that are far apart are not enough */
	assert_int_equal(remember(fixture, KT_REASON_KM_ABORTED, 1000), 0);
	assert_int_equal(remember(fixture, KT_REASON_KM_ABORTED, 90000), 0);
	/* and one that works begins anew */
	assert_int_equal(kt_store_forget_failure(&fixture->store, SHA, &err), 0);
	assert_int_equal(kt_store_forget_failure(&fixture->store, SHA, &err), 0);
	assert_int_equal(remember(fixture, KT_REASON_KM_ABORTED, 90001), 0);
	/* so does a clock that was turned back, which this one cannot be */
	assert_int_equal(remember(fixture, KT_REASON_KM_ABORTED, 90001), 0);
	assert_int_equal(remember(fixture, KT_REASON_KM_ABORTED, 500), 0);
	assert_int_equal(remember(fixture, KT_REASON_KM_ABORTED, 90200), 0);
	assert_true(kt_store_forget_failure(&fixture->store, "../../etc/passwd", &err) < 0);
}

/* What the bytes say is no matter of time. */
static void test_what_the_bytes_show_is_believed_at_once(void **state)
{
	struct fixture *fixture = ready(state);
	struct kt_error recalled;

	assert_int_equal(remember(fixture, KT_REASON_ELF_INVALID, 1), 1);
	assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), 1);
	assert_ptr_equal(strstr(recalled.text, "km ended by signal 6 (failed at "), recalled.text);
	assert_int_equal(kt_store_forget_failures(&fixture->store), 0);
	assert_int_equal(remember(fixture, KT_REASON_ARCH_MISMATCH, 1), 1);
}

/* However long the reason is: when it was and what to do is said behind it. */
static void test_a_long_failure(void **state)
{
	struct fixture *fixture = ready(state);
	struct kt_error failure = {EPROTO, KT_REASON_ELF_INVALID, ""}, recalled, err;

	memset(failure.text, 'x', sizeof(failure.text) - 1);
	assert_int_equal(kt_store_remember_failure(&fixture->store, SHA, &failure, 1, &err), 1);
	assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), 1);
	assert_int_equal(strlen(recalled.text), sizeof(recalled.text) - 1);
	assert_string_equal(recalled.text + strlen(recalled.text) - strlen("run kontain-installer install)"),
			    "run kontain-installer install)");
}

static void test_holds(void **state)
{
	struct fixture *fixture = ready(state);
	char other[] = SHA;
	struct kt_error err;

	other[0] = other[0] == '0' ? '1' : '0';
	assert_false(kt_store_is_held(&fixture->store, SHA));
	assert_int_equal(kt_store_hold(&fixture->store, SHA, "1.0", &err), 0);
	assert_int_equal(kt_store_hold(&fixture->store, other, "2.0", &err), 0);
	assert_true(kt_store_is_held(&fixture->store, SHA));
	assert_int_equal(kt_store_release(&fixture->store, SHA, &err), 0);
	assert_false(kt_store_is_held(&fixture->store, SHA));
	assert_true(kt_store_is_held(&fixture->store, other));
	assert_int_equal(kt_store_release(&fixture->store, SHA, &err), 0);
	assert_int_equal(kt_store_hold(&fixture->store, SHA, "1.0", &err), 0);
	assert_int_equal(kt_store_release(&fixture->store, NULL, &err), 0);
	assert_false(kt_store_is_held(&fixture->store, SHA));
	assert_false(kt_store_is_held(&fixture->store, other));
	assert_int_equal(kt_store_hold(&fixture->store, "../../etc/passwd", "1.0", &err), -EINVAL);
	assert_false(kt_store_is_held(&fixture->store, "../../etc/passwd"));
}

static void test_passing_causes_are_not(void **state)
{
	struct fixture *fixture = ready(state);
	struct kt_error failure = {ENOSPC, KT_REASON_DISK_FULL, "full"}, err;

	assert_int_equal(kt_store_remember_failure(&fixture->store, SHA, &failure, 1, &err), 0);
	assert_false(kt_fs_exists(fixture->store.dir, ".failed-" SHA));
}

/* Another kernel, another boot, another installer, another format, cut short, a passing cause: none of it is
 * believed, nor counted on. */
static void test_notes_that_are_not_believed(void **state)
{
	static const struct {
		const char *from, *to;
	} edits[] = {
		{"kontain-failure 2", "kontain-failure 1"},
		{"kontain-failure 2", "kontain-failure 20"},
		{"KmSilent", "KmHung"},
		{"KmSilent", "Ready"},
		{"KmSilent", "None"},
		{"KmSilent", "kmsilent"},
		{"KmSilent", ""},
		{KONTAIN_VERSION "\n", KONTAIN_VERSION "1\n"},
		{"\n" KONTAIN_VERSION, "\n0.0.9"},
		{KONTAIN_VERSION "\n", ""},
		{"3 1000 1200", "3 1000 1119"},
		{"3 1000 1200", "2 1000 1200"},
		{"3 1000 1200", "0 1000 1200"},
		{"3 1000 1200", "3 1200 1000"},
		{"3 1000 1200", "3 1000"},
		{"3 1000 1200", "3 1000 1200 "},
		{"3 1000 1200", " 3 1000 1200"},
		{"3 1000 1200", "3  1000 1200"},
		{"3 1000 1200", "+3 1000 1200"},
		{"3 1000 1200", "3 -1000 1200"},
		{"3 1000 1200", "3 1000 1200 1"},
		{"3 1000 1200", "3 1000 0x4b0"},
		{"3 1000 1200", "3 1000 1000000000000000000000"},
		{"3 1000 1200", "3\t1000\t1200"},
		{"3 1000 1200", ""},
		{"km ended by signal 6\n", "km ended by signal 6"},
		{"km ended by signal 6\n", "km ended by signal 6\n\n"},
		{"km ended by signal 6\n", "km ended by signal 6\nmore\n"},
		{"km ended by signal 6\n", ""},
	};
	struct fixture *fixture = ready(state);
	struct kt_error recalled;
	KT_OWN(kt_free_mem) char *good = NULL;
	char bad[4096];
	size_t size = 0;

	assert_int_equal(remember(fixture, KT_REASON_KM_SILENT, 1000), 0);
	assert_int_equal(remember(fixture, KT_REASON_KM_SILENT, 1001), 0);
	assert_int_equal(remember(fixture, KT_REASON_KM_SILENT, 1200), 1);
	assert_int_equal(kt_fs_read_all(fixture->store.dir, ".failed-" SHA, 4096, &good, &size, KT_ERROR_IGNORED), 0);
	for (size_t cut = 0; cut < size; cut++) {
		assert_int_equal(
			kt_fs_replace_file(fixture->store.dir, ".failed-" SHA, good, cut, 0644, KT_ERROR_IGNORED), 0);
		assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), 0);
	}
	for (size_t i = 0; i < sizeof(edits) / sizeof(edits[0]); i++) {
		const char *at = strstr(good, edits[i].from);

		assert_non_null(at);
		(void)snprintf(bad, sizeof(bad), "%.*s%s%s", (int)(at - good), good, edits[i].to,
			       at + strlen(edits[i].from));
		assert_int_equal(kt_fs_replace_file(fixture->store.dir, ".failed-" SHA, bad, strlen(bad), 0644,
						    KT_ERROR_IGNORED),
				 0);
		if (kt_store_recall_failure(&fixture->store, SHA, &recalled) != 0)
			fail_msg("%s -> %s", edits[i].from, edits[i].to);
	}
	/* lines that begin otherwise: release and boot among them */
	for (char *line = strchr(good, '\n') + 1, *end; (end = strchr(line, '\n')) && end[1]; line = end + 1) {
		char was = *line;

		*line = was == 'X' ? 'Y' : 'X';
		assert_int_equal(
			kt_fs_replace_file(fixture->store.dir, ".failed-" SHA, good, size, 0644, KT_ERROR_IGNORED), 0);
		assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), 0);
		assert_int_equal(remember(fixture, KT_REASON_KM_SILENT, 1201), 0); /* the first, then */
		*line = was;
	}
	/* a NUL within */
	good[size - 3] = '\0';
	assert_int_equal(kt_fs_replace_file(fixture->store.dir, ".failed-" SHA, good, size, 0644, KT_ERROR_IGNORED), 0);
	assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), 0);
	good[size - 3] = 'x';
	assert_int_equal(kt_fs_replace_file(fixture->store.dir, ".failed-" SHA, good, size, 0644, KT_ERROR_IGNORED), 0);
	assert_int_equal(kt_store_recall_failure(&fixture->store, SHA, &recalled), 1);
	assert_int_equal(kt_store_recall_failure(&fixture->store, "../../etc/passwd", &recalled), 0);
	assert_int_equal(kt_store_recall_failure(&fixture->store, "", &recalled), 0);
}

static void test_nothing_is_done_without_the_lock(void **state)
{
	struct fixture *fixture = ready(state);
	struct kt_bundle bundle = {.dir = -1};
	struct kt_error err = {.code = 0};
	size_t removed = 0;
	bool is_root_kept = false;

	assert_true(kt_store_stage(&fixture->store, &bundle, NULL, NULL, NULL, &err) < 0);
	assert_true(kt_store_activate(&fixture->store, "1.0", &err) < 0);
	assert_true(kt_store_restore(&fixture->store, "", "", &err) < 0);
	assert_true(kt_store_drop_staged(&fixture->store, "1.0", &(struct kt_staged){.has_new_set = true}, &err) < 0);
	assert_true(kt_store_clear_kept(&fixture->store, NULL, &err) < 0);
	assert_true(kt_store_prune(&fixture->store, &(struct kt_prune){.keep_count = 0}, &removed, &err) < 0);
	assert_true(kt_store_uninstall(&fixture->store, true, &is_root_kept, &err) < 0);
}

static void test_versions_that_are_not_there(void **state)
{
	static const char *const versions[] = {"1.0", "", "..", "../../etc", "a/b", ".x"};
	struct fixture *fixture = ready(state);
	struct kt_manifest manifest = {.component_count = 0};
	struct kt_error err = {.code = 0};

	assert_int_equal(kt_store_lock(&fixture->store, 0, &err), 0);
	for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
		assert_true(kt_store_activate(&fixture->store, versions[i], &err) < 0);
		assert_int_equal(err.reason, KT_REASON_NO_VERSION);
		assert_true(kt_store_read_set(&fixture->store, versions[i], &manifest, &err) < 0);
		assert_int_equal(err.reason, KT_REASON_NO_VERSION);
	}
	assert_true(kt_store_verify(&fixture->store, &(struct kt_verify){.version = NULL}, &err) < 0);
	assert_int_equal(err.reason, KT_REASON_NO_VERSION);
}

/* From here on this process gets EIO of one system call: a disk that cannot be read. */
static int call_break(unsigned number)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) | prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What the store says of sets/1.0 when a call fails, as exit status: 1 there, 0 not, 2 an I/O error, else another. */
static int exists_without(const struct kt_store *store, unsigned number)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int r = call_break(number) ? -EPERM : kt_set_exists(store, "1.0");

		_exit(r == -EIO ? 2 : r < 0 ? 3 : r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_a_set_that_cannot_be_read_may_be_there(void **state)
{
	struct fixture *fixture = ready(state);
	int dir = fixture->store.dir;

	assert_int_equal(kt_set_exists(&fixture->store, "1.0"), 0);
	assert_int_equal(kt_fs_make_dirs(dir, "sets/1.0"), 0);
	assert_int_equal(kt_set_exists(&fixture->store, "1.0"), 0);
	assert_int_equal(kt_fs_make_dirs(dir, "sets/1.0/" KT_MANIFEST_NAME), 0);
	assert_int_equal(kt_set_exists(&fixture->store, "1.0"), 0);
	assert_int_equal(unlinkat(dir, "sets/1.0/" KT_MANIFEST_NAME, AT_REMOVEDIR), 0);

	KT_OWN(kt_close_fd) int set = kt_fs_open_beneath(dir, "sets/1.0", O_RDONLY | O_DIRECTORY, 0);

	assert_int_equal(kt_fs_replace_file(set, KT_MANIFEST_NAME, "{}", 2, 0644, KT_ERROR_IGNORED), 0);
	assert_int_equal(kt_set_exists(&fixture->store, "1.0"), 1);
	assert_int_equal(exists_without(&fixture->store, SYS_getppid), 1);
	assert_int_equal(exists_without(&fixture->store, SYS_openat2), 2);
	assert_int_equal(exists_without(&fixture->store, SYS_newfstatat), 2);
	assert_int_equal(kt_set_exists(&fixture->store, "../1.0"), 0);
	assert_int_equal(symlinkat("1.0", dir, "sets/2.0"), 0);
	assert_int_equal(kt_set_exists(&fixture->store, "2.0"), 0);
}

static void test_a_fresh_root(void **state)
{
	struct fixture *fixture = ready(state);
	struct kt_store second = {.dir = -1, .lock = -1};
	struct kt_inventory inventory;
	struct kt_error err = {.code = 0};

	assert_int_equal(kt_store_inventory(&fixture->store, &inventory, &err), 0);
	assert_false(inventory.is_ours || inventory.is_foreign || inventory.is_whole);
	assert_int_equal(kt_store_lock(&fixture->store, 0, &err), 0);
	assert_int_equal(kt_store_inventory(&fixture->store, &inventory, &err), 0);
	assert_true(inventory.is_ours);
	assert_string_equal(inventory.current, "");
	assert_int_equal(inventory.set_count, 0);

	assert_int_equal(kt_store_open("", fixture->path, KT_STORE_WRITE, &second, &err), 0);
	assert_int_equal(kt_store_lock(&second, 100, &err), -EAGAIN);
	assert_int_equal(err.reason, KT_REASON_LOCKED);
	kt_store_done(&fixture->store);
	assert_int_equal(kt_store_lock(&second, 0, &err), 0);
	assert_int_equal(kt_store_restore(&second, "", "", &err), 0); /* nothing to nothing */
	kt_store_done(&second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_failures_are_remembered),
		TEST(test_what_the_bytes_show_is_believed_at_once),
		TEST(test_a_long_failure),
		TEST(test_holds),
		TEST(test_passing_causes_are_not),
		TEST(test_notes_that_are_not_believed),
		TEST(test_nothing_is_done_without_the_lock),
		TEST(test_versions_that_are_not_there),
		TEST(test_a_set_that_cannot_be_read_may_be_there),
		TEST(test_a_fresh_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
