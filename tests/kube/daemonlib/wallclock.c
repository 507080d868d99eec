/* Preloaded by the tests: CLOCK_REALTIME and time(2) jump by the first of two numbers of seconds in a file, which is
 * mapped, so that the test moves the clock of one process while it runs; other clocks are left alone, as by
 * settimeofday(2). CLOCK_BOOTTIME jumps by the second: with both, it is a machine that was suspended for so long. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *jump_s;

__attribute__((constructor)) static void map_jump(void)
{
	const char *path = getenv("TEST_WALL_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 2 * sizeof(*jump_s), PROT_READ, MAP_SHARED, fd, 0);

	if (at == MAP_FAILED)
		abort();
	jump_s = at;
	close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int r = (int)syscall(SYS_clock_gettime, clock, now);

	if (r == 0 && clock == CLOCK_REALTIME && jump_s)
		now->tv_sec += jump_s[0];
	if (r == 0 && clock == CLOCK_BOOTTIME && jump_s)
		now->tv_sec += jump_s[1];
	return r;
}

time_t time(time_t *ret_now)
{
	struct timespec now = {0};

	clock_gettime(CLOCK_REALTIME, &now);
	if (ret_now)
		*ret_now = now.tv_sec;
	return now.tv_sec;
}
