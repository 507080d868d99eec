/* A program to try the striker on: what it does is known, and each verb has one thing that makes calls hard to name.
 *
 *   kt-crash-sample VERB ROOT      makes ROOT, opens it, and then
 *     restart      a read is interrupted by the end of a child and made again by the kernel
 *     retry        a read is interrupted by a signal with a handler and made again by the program
 *     processes    children by fork that run at once and fork at once, by vfork and by posix_spawn, and a thread: each
 *                  opens a file
 *     once         a folder is made in the first run only, which a file elsewhere remembers
 *     once-read    likewise, and a file is only looked for
 *     random       a folder is made whose name is another each time
 *     crowd        looks at a process in /proc, and sleeps, another number of times each time
 *     leaf FILE    (what processes runs) opens FILE */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 8
#define LOOKS    100 /* so many that one that is missed is few */

extern char **environ;

static char self[4096], memory[4096];

static int look(int root, const char *name)
{
	int fd = openat(root, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno != ENOENT;
	(void)close(fd);
	return 0;
}

static void children_wait(void)
{
	do
		errno = 0;
	while (wait(NULL) > 0 || errno == EINTR);
}

static void child_sleep_write(int fd, unsigned ms)
{
	if (fork() != 0)
		return;
	(void)usleep(ms * 1000);
	_exit(fd >= 0 && write(fd, "x", 1) != 1);
}

static int verb_restart(int root)
{
	int pair[2];
	char byte;

	(void)root;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return 1;
	child_sleep_write(-1, 20);
	child_sleep_write(pair[1], 60);
	if (read(pair[0], &byte, 1) != 1)
		return 1;
	children_wait();
	return 0;
}

static void nothing_do(int number)
{
	(void)number;
}

static int verb_retry(int root)
{
	const struct itimerval soon = {.it_value = {.tv_usec = 20000}};
	int pair[2];
	char byte;

	(void)root;
	(void)sigaction(SIGALRM, &(struct sigaction){.sa_handler = nothing_do}, NULL);
	if (pipe2(pair, O_CLOEXEC) < 0)
		return 1;
	child_sleep_write(pair[1], 60);
	if (setitimer(ITIMER_REAL, &soon, NULL) < 0)
		return 1;
	while (read(pair[0], &byte, 1) < 0 && errno == EINTR)
		;
	children_wait();
	return 0;
}

static void *thread_run(void *root)
{
	(void)look(*(int *)root, "thread");
	return NULL;
}

/* With a child of its own, so that many processes fork at once. */
static _Noreturn void child_run(int root, int number)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "grandchild-%d", number);
	if (fork() == 0)
		_exit(look(root, name));
	(void)snprintf(name, sizeof(name), "child-%d", number);
	(void)look(root, name);
	children_wait();
	_exit(0);
}

static int verb_processes(int root)
{
	char *leaf[] = {self, "leaf", "", NULL};
	pthread_t thread;
	pid_t pid;

	for (int i = 1; i <= CHILDREN; i++)
		if (fork() == 0)
			child_run(root, i);
	children_wait();
	if (fchdir(root) < 0)
		return 1;
	leaf[2] = "by-vfork";
	pid = vfork();
	if (pid == 0) {
		(void)execv(self, leaf);
		_exit(1);
	}
	children_wait();
	leaf[2] = "by-spawn";
	if (posix_spawn(&pid, self, NULL, NULL, leaf, environ) != 0)
		return 1;
	children_wait();
	if (pthread_create(&thread, NULL, thread_run, &root) != 0)
		return 1;
	return pthread_join(thread, NULL);
}

/* The file that remembers is outside of what belongs to a store: above the folder that holds ROOT. */
static bool is_first(void)
{
	return open(memory, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) >= 0;
}

static int verb_once(int root)
{
	return is_first() ? mkdirat(root, "once", 0755) : 0;
}

static int verb_once_read(int root)
{
	for (int i = 0; i < LOOKS; i++)
		(void)look(root, "often");
	return is_first() ? look(root, "once") : 0;
}

static int verb_random(int root)
{
	unsigned number;
	char name[32];

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return 1;
	(void)snprintf(name, sizeof(name), "made-%08x", number);
	return mkdirat(root, name, 0755);
}

static int verb_crowd(int root)
{
	unsigned number;
	struct stat info;
	int self = getpid(); /* once: only the look at /proc comes more or less often */

	(void)root;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return 1;
	for (number %= 8; number < 8; number++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/%d/exe", self);
		if (stat(path, &info) < 0)
			return 1;
		(void)usleep(1000);
	}
	return 0;
}

static const struct verb {
	const char *name;
	int (*run)(int root);
} verbs[] = {
	{"restart", verb_restart},     {"retry", verb_retry},   {"processes", verb_processes}, {"once", verb_once},
	{"once-read", verb_once_read}, {"random", verb_random}, {"crowd", verb_crowd},
};

int main(int argc, char **argv)
{
	int root;

	if (argc == 3 && strcmp(argv[1], "leaf") == 0)
		return look(AT_FDCWD, argv[2]);
	if (argc != 3 || readlink("/proc/self/exe", self, sizeof(self) - 1) <= 0)
		return 2;
	(void)snprintf(memory, sizeof(memory), "%s/first", dirname(dirname(strdupa(argv[2]))));
	if (mkdir(argv[2], 0755) < 0 || (root = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return 1;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verbs[i].name, argv[1]) == 0)
			return verbs[i].run(root);
	return 2;
}
