/* Stands where km stands and tells what it was given: its whole environment, and each descriptor that is open with what
 * it leads to. A line, as only km's last words are kept. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FD_MAX 4096 /* beyond what any of the tests leaks */

extern char **environ;

static void tell_descriptor(int fd)
{
	char name[64], target[64] = "";

	(void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	(void)!readlink(name, target, sizeof(target) - 1);
	target[strcspn(target, ":")] = '\0'; /* "pipe:[123]": the number says nothing */
	(void)fprintf(stderr, "%d=%s;", fd, target);
}

int main(void)
{
	(void)fprintf(stderr, "env ");
	for (char **one = environ; *one; one++)
		(void)fprintf(stderr, "%s;", *one);
	(void)fprintf(stderr, " fds ");
	for (int fd = 0; fd < FD_MAX; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			tell_descriptor(fd);
	(void)fprintf(stderr, " end\n");
	return 1;
}
