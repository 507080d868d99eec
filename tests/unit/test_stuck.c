/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* What is found of children that stay. A process held in the kernel cannot be had at will; the stand-in is one whose
 * tracer does not let it finish its exit (PTRACE_O_TRACEEXIT): killed like the real one, and there until it is let
 * go. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/jobs/stuck.h"

/* The tracer: attaches to the process, says so, and lets go when it is told. */
struct tracer {
	pid_t pid;
	int say;  /* a byte when attached */
	int told; /* closed to let go */
};

static struct tracer tracer_start(pid_t traced)
{
	int say[2], told[2];
	char byte;

	assert_int_equal(pipe(say), 0);
	assert_int_equal(pipe(told), 0);

	pid_t pid = fork();

	if (pid == 0) {
		/* not a child of the test: the test looks at all of its children */
		if (fork() > 0)
			_exit(0);
		(void)close(told[1]);
		(void)ptrace(PTRACE_SEIZE, traced, NULL, (void *)PTRACE_O_TRACEEXIT);
		(void)!write(say[1], "", 1);
		(void)!read(told[0], &byte, 1);
		_exit(0); /* who is traced by nobody goes on */
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(read(say[0], &byte, 1), 1);
	(void)close(say[1]);
	(void)close(told[0]);
	return (struct tracer){.pid = pid, .say = say[0], .told = told[1]};
}

static pid_t child_start(void)
{
	pid_t pid = fork();

	if (pid == 0)
		for (;;)
			pause();
	assert_true(pid > 0);
	return pid;
}

static void test_nothing_is_stuck(void **context)
{
	struct kt_stuck stuck;
	pid_t ended = fork();

	(void)context;
	if (ended == 0)
		_exit(3);
	kt_stuck_init(&stuck);
	assert_false(kt_stuck_look(&stuck, 60000)); /* buried within that time, however slow this machine is */
	assert_int_equal(waitpid(ended, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_int_equal(stuck.child, 0);
	kt_stuck_done(&stuck);
}

static void test_a_killed_child_that_stays(void **context)
{
	pid_t child = child_start();
	struct tracer tracer = tracer_start(child);
	struct kt_stuck stuck;

	(void)context;
	kt_stuck_init(&stuck);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_true(kt_stuck_look(&stuck, 40));
	assert_int_equal(stuck.child, child);
	assert_int_equal(stuck.pid, child);
	assert_true(strncmp(stuck.program, "test_stuck", 10) == 0);
	assert_true(stuck.since > 0);
	assert_true(stuck.pidfd >= 0);

	int64_t since = stuck.since;
	struct pollfd gone = {.fd = stuck.pidfd, .events = POLLIN};

	assert_true(kt_stuck_look(&stuck, 0));
	assert_int_equal(stuck.child, child);
	assert_int_equal(stuck.since, since);
	assert_int_equal(poll(&gone, 1, 0), 0);

	(void)close(tracer.told);
	assert_int_equal(poll(&gone, 1, 60000), 1);
	assert_false(kt_stuck_look(&stuck, 60000));
	assert_int_equal(stuck.child, 0);
	assert_int_equal(stuck.pidfd, -1);
	(void)close(tracer.say);
	kt_stuck_done(&stuck);
}

/* The one below is named: it is what a person looks for. */
static void test_what_a_dead_child_left(void **context)
{
	int said[2];
	pid_t below;
	struct kt_stuck stuck;

	(void)context;
	kt_stuck_init(&stuck);
	kt_stuck_inherit();
	assert_int_equal(pipe(said), 0);

	pid_t child = fork();

	if (child == 0) {
		pid_t first = fork();

		if (first == 0) {
			pid_t second = fork();

			if (second == 0)
				(void)prctl(PR_SET_NAME, "km\x01");
			if (second > 0)
				(void)!write(said[1], &second, sizeof second);
			for (;;)
				pause();
		}
		_exit(0);
	}
	assert_int_equal(read(said[0], &below, sizeof below), sizeof below);
	while (!kt_stuck_look(&stuck, 0) || stuck.child == child || stuck.pid != below ||
	       strcmp(stuck.program, "km?") != 0) {
		kt_stuck_done(&stuck);
		kt_stuck_init(&stuck);
	}
	assert_int_not_equal(stuck.child, below);
	(void)kill(below, SIGKILL);
	(void)kill(stuck.child, SIGKILL);
	while (kt_stuck_look(&stuck, 60000)) { /* one, then what it left */
		struct pollfd gone = {.fd = stuck.pidfd, .events = POLLIN};

		assert_int_equal(poll(&gone, 1, 60000), 1);
	}
	(void)close(said[0]);
	(void)close(said[1]);
	kt_stuck_done(&stuck);
}

/* One that is meant to go on is none that did not go, and hides none. */
static void test_a_background(void **context)
{
	pid_t background = child_start(), other;
	struct kt_stuck stuck;

	(void)context;
	kt_stuck_init(&stuck);
	assert_true(kt_stuck_look(&stuck, 0));
	assert_int_equal(stuck.child, background);
	stuck.background = &background;
	assert_true(kt_stuck_look(&stuck, 0)); /* once noted, it is there until it goes */
	kt_stuck_done(&stuck);
	kt_stuck_init(&stuck);
	stuck.background = &background;
	assert_false(kt_stuck_look(&stuck, 0));
	other = child_start();
	assert_true(kt_stuck_look(&stuck, 0));
	assert_int_equal(stuck.child, other);

	struct pollfd gone = {.fd = stuck.pidfd, .events = POLLIN};

	assert_int_equal(kill(other, SIGKILL), 0);
	assert_int_equal(poll(&gone, 1, 60000), 1);
	assert_false(kt_stuck_look(&stuck, 60000));
	assert_ptr_equal(stuck.background, &background);
	assert_int_equal(kill(background, SIGKILL), 0);
	assert_int_equal(waitpid(background, NULL, 0), background);
	kt_stuck_done(&stuck);
}

/* Another program is none of ours. */
static void test_a_stranger(void **context)
{
	int executed[2];
	char byte;
	struct kt_stuck stuck;

	(void)context;
	kt_stuck_init(&stuck);
	assert_int_equal(pipe2(executed, O_CLOEXEC), 0);

	pid_t child = fork();

	if (child == 0) {
		execl("/bin/sleep", "sleep", "1000", (char *)NULL);
		_exit(1);
	}
	(void)close(executed[1]);
	assert_int_equal(read(executed[0], &byte, 1), 0); /* closed by exec */
	assert_false(kt_stuck_look(&stuck, 0));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	(void)close(executed[0]);
	kt_stuck_done(&stuck);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_stuck),
		cmocka_unit_test(test_a_killed_child_that_stays),
		cmocka_unit_test(test_what_a_dead_child_left),
		cmocka_unit_test(test_a_background),
		cmocka_unit_test(test_a_stranger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
