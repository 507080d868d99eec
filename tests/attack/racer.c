/* Changes what another program is at work on until SIGTERM; then puts all back and prints how often it did:
 *
 *   kt-attack-racer swap PAUSE LINKS OUTSIDE ROOT PATH...
 *           each PATH below ROOT becomes a link to OUTSIDE and itself again (RENAME_EXCHANGE), and is left alone for
 * PAUSE
 *           microseconds; LINKS is a folder for the links meanwhile
 *   kt-attack-racer exchange ONE OTHER      two files change places
 *   kt-attack-racer flip FILE OFFSET        a byte of it is another, and itself again
 *
 * It waits some microseconds between two steps: for the other to come by, and to leave a core to whoever else is
 * here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define THREADS   2
#define PATHS_MAX 64
#define WAIT_US   100

struct path {
	const char *parent; /* below the root; "." for the root itself */
	const char *name;
	char link[512];
};

static struct path paths[PATHS_MAX];
static size_t path_count;
static const char *outside;
static int root;
static unsigned pause_us;
static atomic_bool is_over;
static atomic_ulong swaps, lost;

static void linger(unsigned *seed)
{
	(void)usleep((unsigned)rand_r(seed) % WAIT_US);
}

/* The landing may have removed the link that stood for its folder: then the folder is where the link was. */
static void link_restore(struct path *path)
{
	char grave[600];

	(void)snprintf(grave, sizeof(grave), "%s.lost-%lu", path->link, atomic_fetch_add(&lost, 1));
	(void)rename(path->link, grave);
	(void)!symlink(outside, path->link);
}

/* Without a link on its way: another thread may be swapping a folder above, and what is swapped there would be put back
 * elsewhere. */
static int parent_open(const struct path *path)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};

	return (int)syscall(SYS_openat2, root, path->parent, &how, sizeof(how));
}

static void swap(struct path *path, unsigned *seed)
{
	int parent = parent_open(path);

	if (parent < 0)
		return;
	if (renameat2(AT_FDCWD, path->link, parent, path->name, RENAME_EXCHANGE) == 0) {
		atomic_fetch_add(&swaps, 1);
		linger(seed);
		if (renameat2(AT_FDCWD, path->link, parent, path->name, RENAME_EXCHANGE) < 0)
			link_restore(path);
		(void)usleep(pause_us);
	}
	(void)close(parent);
}

static void *thread_swap(void *number)
{
	size_t first = (size_t)number;
	unsigned seed = (unsigned)first + 1;

	while (!is_over) {
		for (size_t i = first; i < path_count && !is_over; i += THREADS)
			swap(&paths[i], &seed);
		linger(&seed);
	}
	return NULL;
}

static int prepare_swap(char **args, int count)
{
	if (count < 5 || count - 4 > PATHS_MAX)
		return 2;
	pause_us = (unsigned)atoi(*args++);
	count--;
	outside = args[1];
	root = open(args[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (int i = 3; root >= 0 && i < count; i++) {
		struct path *path = &paths[path_count++];
		char *slash = strrchr(args[i], '/');

		if (slash)
			*slash = '\0';
		path->parent = slash ? args[i] : ".";
		path->name = slash ? slash + 1 : args[i];
		if (snprintf(path->link, sizeof(path->link), "%s/%d", args[0], i) >= (int)sizeof(path->link) ||
		    symlink(outside, path->link) < 0)
			return 2;
	}
	return root < 0 ? 2 : 0;
}

static char **files;

static void *thread_exchange(void *number)
{
	unsigned seed = 1;

	if (number)
		return NULL;
	while (!is_over || swaps % 2 == 1) { /* an even number: each is where it was */
		if (renameat2(AT_FDCWD, files[0], AT_FDCWD, files[1], RENAME_EXCHANGE) == 0)
			atomic_fetch_add(&swaps, 1);
		linger(&seed);
	}
	return NULL;
}

static void *thread_flip(void *number)
{
	int fd = number ? -1 : open(files[0], O_RDWR | O_CLOEXEC);
	off_t offset = atol(files[1]);
	unsigned seed = 1;
	char byte;

	if (fd < 0 || pread(fd, &byte, 1, offset) != 1)
		return NULL;
	while (!is_over || swaps % 2 == 1) {
		byte = (char)~byte;
		if (pwrite(fd, &byte, 1, offset) == 1)
			atomic_fetch_add(&swaps, 1);
		linger(&seed);
	}
	(void)close(fd);
	return NULL;
}

static int race(void *(*run)(void *))
{
	pthread_t threads[THREADS];
	sigset_t end;
	int number;

	(void)sigemptyset(&end);
	(void)sigaddset(&end, SIGTERM);
	(void)pthread_sigmask(SIG_BLOCK, &end, NULL);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)i) != 0)
			return 1;
	(void)printf("racing\n");
	(void)fflush(stdout);
	(void)sigwait(&end, &number);
	is_over = true;
	for (size_t i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	(void)printf("swaps=%lu\n", (unsigned long)swaps);
	return 0;
}

int main(int argc, char **argv)
{
	files = argv + 2;
	if (argc > 6 && strcmp(argv[1], "swap") == 0 && prepare_swap(argv + 2, argc - 2) == 0)
		return race(thread_swap);
	if (argc == 4 && strcmp(argv[1], "exchange") == 0)
		return race(thread_exchange);
	if (argc == 4 && strcmp(argv[1], "flip") == 0)
		return race(thread_flip);
	(void)fprintf(stderr, "kt-attack-racer: wrong usage, or no link can be made: %s\n", strerror(errno));
	return 2;
}
