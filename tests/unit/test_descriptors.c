/* links: kt_base */
/* Each row runs in a process of its own: the descriptors of this one are cmocka's. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/descriptors.h"

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Exit 0 when it came out as it should. */
static int settled(unsigned closed)
{
	int leaked = open("/", O_RDONLY | O_DIRECTORY);

	if (dup2(leaked, 77) != 77)
		return 2;
	for (int fd = 0; fd <= 2; fd++)
		if (closed & (1U << fd))
			(void)close(fd);
	if (kt_descriptors_settle() < 0)
		return 3;
	for (int fd = 0; fd <= 2; fd++)
		if (!is_open(fd))
			return 4;
	for (int fd = 3; fd < 256; fd++)
		if (is_open(fd))
			return 5;
	return 0;
}

static void test_any_of_the_three_may_be_closed(void **state)
{
	(void)state;
	for (unsigned closed = 0; closed < 8; closed++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(settled(closed));
		assert_true(pid > 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_of_the_three_may_be_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
