/* Where messages go, and what they look like. The odd rule for pipes is km's: whoever reads km's messages by a pipe and
 * forgets `-k stderr` gets nothing, and the tests must see that. So is what stands before a message once the guest
 * runs: whoever expects km's words at the start of a line does not find them. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "monitor.h"

#define UNDECIDED (-1)
#define NOWHERE   (-2)

static int place_fd = UNDECIDED;
static bool is_guests;

int message_to(const char *place)
{
	int fd = STDERR_FILENO;

	if (strcmp(place, "none") == 0)
		fd = NOWHERE;
	else if (strcmp(place, "stderr") != 0)
		fd = open(place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd == -1)
		return -1;
	place_fd = fd;
	return 0;
}

/* km takes whatever is there under that name; the tests' monitor, often root, does not. */
static int place_find(void)
{
	char path[32];
	struct stat info;
	int fd;

	if (fstat(STDERR_FILENO, &info) < 0)
		return NOWHERE;
	if (!S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode))
		return STDERR_FILENO;
	(void)snprintf(path, sizeof(path), "/tmp/km_%d.log", getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	return fd < 0 ? NOWHERE : fd;
}

void message_of_guest(void)
{
	is_guests = true;
}

/* "HH:MM:SS.microseconds function line thread "; UTC. */
static void prefix_write(const char *function, int line)
{
	struct timespec now = {0, 0};
	struct tm parts;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)gmtime_r(&now.tv_sec, &parts);
	(void)dprintf(place_fd, "%02d:%02d:%02d.%06ld %-20.20s %-4d vcpu-0  ", parts.tm_hour, parts.tm_min,
		      parts.tm_sec, now.tv_nsec / 1000, function, line);
}

void message_at(const char *function, int line, const char *format, ...)
{
	va_list arguments;

	if (place_fd == UNDECIDED)
		place_fd = place_find();
	if (place_fd == NOWHERE)
		return;
	if (is_guests)
		prefix_write(function, line);
	va_start(arguments, format);
	(void)vdprintf(place_fd, format, arguments);
	va_end(arguments);
	(void)dprintf(place_fd, "\n");
}

void monitor_abort(void)
{
	struct rlimit none = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &none);
	abort();
}
