/* Where messages go. The odd rule for pipes is km's: whoever reads km's messages by a pipe and forgets `-k stderr` gets
 * nothing, and the tests must see that. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"

#define UNDECIDED (-1)
#define NOWHERE   (-2)

static int place_fd = UNDECIDED;

int message_to(const char *place)
{
	int fd = strcmp(place, "stderr") == 0 ? STDERR_FILENO
					      : open(place, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	place_fd = fd;
	return 0;
}

static int place_find(void)
{
	char path[] = "/tmp/kontain-test-monitor-XXXXXX";
	struct stat info;
	int fd;

	if (fstat(STDERR_FILENO, &info) < 0)
		return NOWHERE;
	if (!S_ISFIFO(info.st_mode) && !S_ISSOCK(info.st_mode))
		return STDERR_FILENO;
	fd = mkostemp(path, O_CLOEXEC);
	return fd < 0 ? NOWHERE : fd;
}

static void message_write(const char *format, va_list arguments)
{
	if (place_fd == UNDECIDED)
		place_fd = place_find();
	if (place_fd == NOWHERE)
		return;
	(void)vdprintf(place_fd, format, arguments);
	(void)dprintf(place_fd, "\n");
}

void message(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	message_write(format, arguments);
	va_end(arguments);
}

void message_abort(const char *format, ...)
{
	struct rlimit none = {0, 0};
	va_list arguments;

	va_start(arguments, format);
	message_write(format, arguments);
	va_end(arguments);
	(void)setrlimit(RLIMIT_CORE, &none);
	abort();
}
