/* links: kt_base */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/child.h"
#include "kontain/base/own.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool is_running(pid_t pid)
{
	char path[64], text[256] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (read(fd, text, sizeof(text) - 1) < 0)
		text[0] = '\0';
	close(fd);
	return *text && !strstr(text, ") Z"); /* a zombie waits only for whoever reaps orphans here */
}

static struct kt_child_result run_shell(const char *script, unsigned timeout_ms, size_t output_max)
{
	const char *argv[] = {"/bin/sh", "-c", script, NULL};
	struct kt_child_spec spec = {.argv = argv, .timeout_ms = timeout_ms, .output_max = output_max};
	struct kt_child_result result;
	struct kt_error err = {0};

	if (kt_child_run(&spec, &result, &err) != 0)
		fail_msg("%s", err.text);
	return result;
}

/* A node that has no process left: told as that, and not as our own fault. */
static void test_no_process_is_left(void **state)
{
	pid_t pid = fork();
	int status = -1;

	(void)state;
	if (pid == 0) {
		const char *argv[] = {"/bin/true", NULL};
		struct kt_child_spec spec = {.argv = argv, .timeout_ms = 1000, .output_max = 10};
		const struct rlimit none = {0, 0};
		struct kt_child_result result;
		struct kt_error err = {0};

		/* the limit counts a user's processes, and root's are not limited */
		if (setrlimit(RLIMIT_NPROC, &none) < 0 || setuid(65533) < 0)
			_exit(2);
		_exit(kt_child_run(&spec, &result, &err) < 0 && err.reason == KT_REASON_PROCESS_LIMIT ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_how_it_ended(void **state)
{
	static const struct {
		const char *script;
		int exit_status;
		int signal;
		const char *output;
		const char *errors;
	} rows[] = {
		{"exit 0", 0, 0, "", ""},
		{"exit 42", 42, 0, "", ""},
		{"echo hello; echo oops >&2; exit 3", 3, 0, "hello\n", "oops\n"},
		{"kill -ABRT $$", -1, SIGABRT, "", ""},
		{"printf '%s' \"$PATH\"", 0, 0, "/usr/sbin:/usr/bin:/sbin:/bin", ""},
		{"printf '%s' \"$KT_SECRET\"", 0, 0, "", ""},
		{"cat; readlink /proc/self/fd/0", 0, 0, "/dev/null\n", ""},
		/* only 0-2; 3 is the listing's own */
		{"ls /proc/self/fd | tr '\\n' ' '", 0, 0, "0 1 2 3 ", ""},
		/* a group of its own */
		{"[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo leads", 0, 0, "leads\n", ""},
		/* neither blocked nor ignored signals are inherited */
		{"grep -c 'SigBlk:.0000000000000000' /proc/self/status; grep SigIgn /proc/self/status | cut -c9-", 0, 0,
		 "1\n0000000000000000\n", ""},
	};
	sigset_t some, before;
	int open_fd = open("/dev/null", O_RDONLY); /* without O_CLOEXEC: must not get through */

	(void)state;
	setenv("KT_SECRET", "token", 1);
	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGTERM);
	sigprocmask(SIG_BLOCK, &some, &before);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_child_result result = run_shell(rows[i].script, 10000, 4096);

		assert_false(result.timed_out);
		assert_false(result.stuck);
		assert_string_equal(result.output, rows[i].output);
		assert_string_equal(result.errors, rows[i].errors);
		assert_int_equal(result.exit_status, rows[i].exit_status);
		assert_int_equal(result.signal, rows[i].signal);
		assert_int_equal(result.output_size, strlen(rows[i].output));
		kt_child_result_done(&result);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	close(open_fd);
}

static void test_deadline_kills_the_group(void **state)
{
	int64_t start = now_ms();
	/* the grandchild ignores what can be ignored and holds the pipes */
	struct kt_child_result result =
		run_shell("trap '' TERM INT HUP; (sleep 60; echo late) & echo $!; wait; sleep 60", 200, 64);
	pid_t grandchild = atoi(result.output);

	(void)state;
	assert_true(result.timed_out);
	assert_false(result.stuck);
	assert_int_equal(result.signal, SIGKILL);
	assert_int_equal(result.exit_status, -1);
	assert_true(now_ms() - start < 2000);
	assert_true(result.duration_ms >= 200);
	assert_true(grandchild > 1);
	for (int tries = 0; tries < 100 && is_running(grandchild); tries++)
		usleep(10000);
	assert_false(is_running(grandchild));
	kt_child_result_done(&result);
}

/* A child that ends is done, even when something that it started keeps the pipes open. */
static void test_pipes_held_open_do_not_matter(void **state)
{
	int64_t start = now_ms();
	struct kt_child_result result = run_shell("sleep 60 & echo done", 30000, 64);

	(void)state;
	assert_true(now_ms() - start < 5000);
	assert_false(result.timed_out);
	assert_int_equal(result.exit_status, 0);
	assert_string_equal(result.output, "done\n");
	kt_child_result_done(&result);
}

/* More output than is kept is read and dropped: the child does not hang on a full pipe. */
static void test_flood_is_capped(void **state)
{
	struct kt_child_result result =
		run_shell("head -c 3000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2; exit 7", 20000, 100);

	(void)state;
	assert_false(result.timed_out);
	assert_int_equal(result.exit_status, 7);
	assert_int_equal(result.output_size, 100);
	assert_int_equal(strlen(result.output), 100);
	assert_int_equal(result.errors_size, 100);
	kt_child_result_done(&result);
}

static void test_flood_meets_the_deadline(void **state)
{
	int64_t start = now_ms();
	struct kt_child_result result = run_shell("exec cat /dev/zero", 200, 0);

	(void)state;
	assert_true(result.timed_out);
	assert_int_equal(result.output_size, 0);
	assert_string_equal(result.output, "");
	assert_true(now_ms() - start < 2000);
	kt_child_result_done(&result);
}

static void test_no_such_program(void **state)
{
	static const struct {
		const char *path;
		int code;
	} rows[] = {{"/no/such/program", ENOENT}, {"/dev/null", EACCES}, {"/", EACCES}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *argv[] = {rows[i].path, NULL};
		struct kt_child_spec spec = {.argv = argv, .timeout_ms = 5000, .output_max = 10};
		struct kt_child_result result;
		struct kt_error err = {0};

		assert_int_equal(kt_child_run(&spec, &result, &err), -rows[i].code);
		assert_non_null(strstr(err.text, rows[i].path));
	}
}

static int prepare_say(void *context)
{
	return dprintf(2, "%s", (const char *)context) < 0;
}

static int prepare_refuse(void *context)
{
	(void)dprintf(2, "%s", (const char *)context);
	return 1;
}

static void test_prepare_runs_in_the_child(void **state)
{
	const char *argv[] = {"/bin/sh", "-c", "exit 5", NULL};
	struct kt_child_spec spec = {.argv = argv, .timeout_ms = 5000, .output_max = 64};
	struct kt_child_result result;
	struct kt_error err = {0};

	(void)state;
	spec.prepare = prepare_say;
	spec.context = "prepared";
	assert_int_equal(kt_child_run(&spec, &result, &err), 0);
	assert_int_equal(result.exit_status, 5);
	assert_string_equal(result.errors, "prepared");
	kt_child_result_done(&result);

	spec.prepare = prepare_refuse;
	spec.context = "cannot mount";
	assert_int_equal(kt_child_run(&spec, &result, &err), 0);
	assert_int_equal(result.exit_status, 127);
	assert_string_equal(result.errors, "cannot mount");
	kt_child_result_done(&result);
}

/* Our own 0-2 may be closed (a daemon): the child's are right all the same. */
static void test_with_closed_standard_descriptors(void **state)
{
	int saved[3];
	struct kt_child_result result;

	(void)state;
	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
		close(i);
	}
	result = run_shell("echo out; echo err >&2", 5000, 64);
	for (int i = 0; i < 3; i++) {
		if (saved[i] >= 0)
			dup2(saved[i], i);
		close(saved[i]);
	}
	assert_string_equal(result.output, "out\n");
	assert_string_equal(result.errors, "err\n");
	kt_child_result_done(&result);
}

static int prepare_nobody(void *context)
{
	(void)context;
	return geteuid() == 0 ? setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) : 0;
}

/* We may be killed at any time: the child goes with us, also after it became somebody else, which would take its death
 * signal away. */
static void test_dies_with_us(void **state)
{
	static int (*const prepares[])(void *) = {NULL, prepare_nobody};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		pid_t child = 0;
		pid_t middle = fork();

		if (middle == 0) {
			const char *argv[] = {"/bin/sleep", "60", NULL};
			struct kt_child_spec spec = {
				.argv = argv, .timeout_ms = 60000, .output_max = 8, .prepare = prepares[i]};
			struct kt_child_result result;
			struct kt_error err;

			(void)kt_child_run(&spec, &result, &err);
			_exit(0);
		}
		for (int tries = 0; tries < 500 && child == 0; tries++) {
			char path[64], text[64] = "";
			int fd;

			usleep(10000);
			snprintf(path, sizeof(path), "/proc/%d/task/%d/children", middle, middle);
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd >= 0 && read(fd, text, sizeof(text) - 1) > 0)
				child = atoi(text);
			close(fd);
		}
		usleep(100000); /* past prepare and exec */
		assert_true(child > 1);
		assert_true(is_running(child));
		kill(middle, SIGKILL);
		waitpid(middle, NULL, 0);
		for (int tries = 0; tries < 200 && is_running(child); tries++)
			usleep(10000);
		assert_false(is_running(child));
	}
}

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_leaves_no_descriptor(void **state)
{
	int before = count_fds();

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct kt_child_result result = run_shell("echo x", 5000, 8);

		kt_child_result_done(&result);
	}
	test_no_such_program(NULL);
	assert_int_equal(count_fds(), before);
}

/* One that goes on beside us: no output of its own, our stderr, nothing else of ours. */
static void test_started_and_left(void **state)
{
	const char *argv[] = {"/bin/sh", "-c", "echo out; echo err >&2; ls /proc/self/fd | tr '\\n' ' ' >&2; exit 3",
			      NULL};
	const char *missing[] = {"/nonexistent/program", NULL};
	struct kt_child_spec spec = {.argv = argv};
	struct kt_error err = {0};
	FILE *file = tmpfile();
	int saved = dup(STDERR_FILENO), pidfd = -1, status = 0, r;
	char text[256] = "";
	pid_t pid = 0;

	(void)state;
	assert_true(file && saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
	r = kt_child_start(&spec, &pid, &pidfd, &err);
	dup2(saved, STDERR_FILENO);
	close(saved);
	assert_int_equal(r, 0);

	struct pollfd polled = {.fd = pidfd, .events = POLLIN};

	assert_int_equal(poll(&polled, 1, 60000), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	close(pidfd);
	rewind(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
	assert_string_equal(text, "err\n0 1 2 3 ");
	fclose(file);
	spec.argv = missing;
	assert_int_equal(kt_child_start(&spec, &pid, &pidfd, &err), -ENOENT);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* and nothing is left of it */
}

/* What goes on to our stderr is all of it, in order, also what is more than is kept. */
static void test_errors_are_passed_on(void **state)
{
	const char *argv[] = {"/bin/sh", "-c", "echo first >&2; echo out; seq 2000 >&2; echo last >&2", NULL};
	struct kt_child_spec spec = {.argv = argv, .timeout_ms = 60000, .output_max = 100};
	struct kt_error err = {0};
	char text[16384] = "", wanted[16384] = "first\n";

	(void)state;
	for (int i = 1; i <= 2000; i++)
		snprintf(wanted + strlen(wanted), 8, "%d\n", i);
	strcat(wanted, "last\n");
	for (int passes = 0; passes < 2; passes++) {
		struct kt_child_result result;
		FILE *file = tmpfile();
		int saved = dup(STDERR_FILENO), r;

		assert_true(file && saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
		spec.passes_errors = passes;
		r = kt_child_run(&spec, &result, &err);
		dup2(saved, STDERR_FILENO);
		close(saved);
		assert_int_equal(r, 0);
		assert_string_equal(result.output, "out\n");
		assert_int_equal(result.errors_size, 100);
		rewind(file);
		text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
		assert_string_equal(text, passes ? wanted : "");
		fclose(file);
		kt_child_result_done(&result);
	}
}

/* More than a pipe holds, and nobody writes while the child reads: it has its end, too. */
static void test_input(void **state)
{
	static char bytes[200000];
	const char *const argv[] = {"/bin/cat", NULL};
	struct kt_child_spec spec = {.argv = argv,
				     .timeout_ms = 20000,
				     .output_max = sizeof(bytes) * 2,
				     .input = bytes,
				     .input_size = sizeof(bytes)};
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};
	struct kt_error err = {.code = 0};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 251);
	assert_int_equal(kt_child_run(&spec, &result, &err), 0);
	assert_int_equal(result.exit_status, 0);
	assert_int_equal(result.output_size, sizeof(bytes));
	assert_memory_equal(result.output, bytes, sizeof(bytes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_process_is_left),
		cmocka_unit_test(test_errors_are_passed_on),
		cmocka_unit_test(test_started_and_left),
		cmocka_unit_test(test_how_it_ended),
		cmocka_unit_test(test_deadline_kills_the_group),
		cmocka_unit_test(test_pipes_held_open_do_not_matter),
		cmocka_unit_test(test_flood_is_capped),
		cmocka_unit_test(test_flood_meets_the_deadline),
		cmocka_unit_test(test_no_such_program),
		cmocka_unit_test(test_prepare_runs_in_the_child),
		cmocka_unit_test(test_with_closed_standard_descriptors),
		cmocka_unit_test(test_dies_with_us),
		cmocka_unit_test(test_leaves_no_descriptor),
		cmocka_unit_test(test_input),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
