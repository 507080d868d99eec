/* links: kt_base */
/* Filters hold for good, so each row has a process of its own. */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/filter.h"

static const struct kt_filter_rule some[] = {
	{.call = SYS_socket, .when = {KT_FILTER_IS(0, AF_INET), {KT_FILTER_MASK, 1, SOCK_STREAM, 0xf}}},
	{.call = SYS_socket, .when = {KT_FILTER_IS(0, AF_NETLINK), KT_FILTER_IS(2, NETLINK_ROUTE)}},
};
static const struct kt_filter_table some_table = KT_FILTER_TABLE(some);

static const struct kt_filter_rule bad[] = {
	{.call = SYS_sethostname},
	{.call = SYS_socket, .when = {{KT_FILTER_OTHER, 0, AF_UNIX, 0}}},
	{.call = SYS_fcntl, .when = {{KT_FILTER_ABOVE, 1, 1000, 0}}},
};
static const struct kt_filter_table bad_table = KT_FILTER_TABLE(bad);

static const struct row {
	bool refuses; /* by bad_table, else only what is plain and some_table */
	long call, a, b, c;
	int code;
} rows[] = {
	{false, SYS_getppid, 0, 0, 0, 0},
	{false, SYS_socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0},
	{false, SYS_socket, AF_INET, SOCK_RAW, 1, ENOSYS},
	{false, SYS_socket, AF_INET6, SOCK_STREAM, 0, ENOSYS},
	{false, SYS_socket, AF_UNIX, SOCK_STREAM, 0, ENOSYS},
	{false, SYS_socket, AF_PACKET, SOCK_RAW, 0, ENOSYS},
	{false, SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, 0},
	{false, SYS_socket, AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT, ENOSYS},
	/* the kernel takes 32 bits: what stands above them must not make it another family */
	{false, SYS_socket, AF_UNIX + (2L << 32), SOCK_STREAM, 0, ENOSYS},
	{false, SYS_execve, 0, 0, 0, ENOSYS},
	{false, SYS_execveat, 0, 0, 0, ENOSYS},
	{false, SYS_mount, 0, 0, 0, ENOSYS},
	{false, SYS_setns, 0, 0, 0, ENOSYS},
	{false, SYS_unshare, 0, 0, 0, ENOSYS},
	{false, SYS_bpf, 0, 0, 0, ENOSYS},
	{false, SYS_io_uring_setup, 0, 0, 0, ENOSYS},
	{false, SYS_finit_module, 0, 0, 0, ENOSYS},
	{false, SYS_keyctl, 0, 0, 0, ENOSYS},
	{false, SYS_clone3, 0, 0, 0, ENOSYS},
	{false, SYS_unlink, 0, 0, 0, ENOSYS},
	{false, SYS_ioctl, 0, 0x5401, 0, ENOTTY},
	{false, SYS_ioctl, 0, 0x5412, 0, ENOSYS}, /* TIOCSTI: to type for another */
	{false, SYS_seccomp, 0, 0, 0, ENOSYS},
	{true, SYS_getppid, 0, 0, 0, 0},
	{true, SYS_sethostname, 0, 0, 0, EPERM},
	{true, SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0},
	{true, SYS_socket, AF_INET, SOCK_STREAM, 0, EPERM},
	{true, SYS_socket, AF_UNIX + (2L << 32), SOCK_STREAM, 0, EPERM},
	{true, SYS_fcntl, 0, F_GETFD, 0, 0},
	{true, SYS_fcntl, 0, 1001, 0, EPERM},
};

/* The errno that the call ends with under its filter; 0 when it is done. */
static int try(const struct row *row)
{
	const struct kt_filter_table *const few[] = {&kt_filter_plain, &some_table};
	const struct kt_filter_table *const refused[] = {&bad_table};
	struct kt_error err = {.reason = KT_REASON_NONE};
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0)
		return 253;
	if ((row->refuses ? kt_filter_refuse(refused, 1, &err) : kt_filter_allow_only(few, 2, &err)) < 0)
		return 254;
	return syscall(row->call, row->a, row->b, row->c, 0, 0, 0) < 0 ? errno : 0;
}

static int end_of(pid_t pid)
{
	int status = 0;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_calls(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(try(&rows[i]));

		int code = end_of(pid);

		if (code != rows[i].code)
			fail_msg("row %zu, call %ld: %d, and should be %d", i, rows[i].call, code, rows[i].code);
	}
}

/* Two filters: each refuses what it refuses, and neither goes away. */
static void test_second_filter(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		const struct kt_filter_table *const refused[] = {&bad_table};

		if (kt_filter_refuse(refused, 1, KT_ERROR_IGNORED) < 0 ||
		    kt_filter_refuse(refused, 1, KT_ERROR_IGNORED) < 0)
			_exit(1);
		if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_SECCOMP) != 2)
			_exit(2);
		_exit(syscall(SYS_sethostname, NULL, 0) == -1 && errno == EPERM ? 0 : 3);
	}
	assert_int_equal(end_of(pid), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_calls), cmocka_unit_test(test_second_filter)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
