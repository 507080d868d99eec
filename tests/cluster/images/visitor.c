/* A pod without rights that has the node's /opt/kontain mounted, as payload pods have. Says on its output what it finds
 * there and what it may do, one line each; then stays, and says each time that the version in use changes.
 *
 *   visitor PATH...     each PATH is told as it is seen from here */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KM      "/opt/kontain/bin/km"
#define CURRENT "/opt/kontain/current"

#define LOOK_AGAIN_US 100000

static void leave(int number)
{
	(void)number;
	_exit(0);
}

static const char *link_target(const char *path, char target[PATH_MAX])
{
	ssize_t length = readlink(path, target, PATH_MAX - 1);

	target[length < 0 ? 0 : length] = '\0';
	return target;
}

static void tell_file(const char *path, mode_t mode)
{
	char head[SELFMAG] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, head, sizeof head) < 0)
		printf("%s file %04o unreadable: %s\n", path, mode & 07777, strerror(errno));
	else
		printf("%s file %04o %s\n", path, mode & 07777, memcmp(head, ELFMAG, SELFMAG) == 0 ? "elf" : "data");
	if (fd >= 0)
		close(fd);
}

static void tell_path(const char *path)
{
	char target[PATH_MAX];
	struct stat found;

	if (lstat(path, &found) != 0)
		printf("%s missing: %s\n", path, strerror(errno));
	else if (S_ISLNK(found.st_mode))
		printf("%s link %s %s\n", path, link_target(path, target),
		       stat(path, &found) == 0 ? "leads" : "dangles");
	else if (S_ISDIR(found.st_mode))
		printf("%s folder %04o\n", path, found.st_mode & 07777);
	else
		tell_file(path, found.st_mode);
}

/* Root's folders, whose file system is writable where it is mounted here: only the modes stand in the way. */
static void tell_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	printf("write %s %s\n", path, fd < 0 ? strerror(errno) : "WORKED");
	if (fd >= 0)
		close(fd);
}

static void tell_version(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		dup2(STDOUT_FILENO, STDERR_FILENO);
		execl(KM, "km", "-k", "stderr", "--version", (char *)NULL);
		printf("cannot execute: %s\n", strerror(errno));
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		printf("no child: %s\n", strerror(errno));
	else
		printf("km --version exit %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

int main(int argc, char *argv[])
{
	char now[PATH_MAX], before[PATH_MAX] = "";

	signal(SIGTERM, leave); /* process 1 gets only what it asks for */
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("uid %u\n", (unsigned)geteuid());
	for (int i = 1; i < argc; i++)
		tell_path(argv[i]);
	tell_write("/opt/kontain/mine");
	tell_write(KM);
	tell_version();
	for (;;) {
		if (strcmp(link_target(CURRENT, now), before) != 0)
			printf("current %s\n", now);
		strcpy(before, now);
		usleep(LOOK_AGAIN_US);
	}
}
