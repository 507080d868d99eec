/* Only pretends: no guest, the payload runs on the host. Exit code and output are right, its uname is the host's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor.h"

static void runs_it_here(const char *path, char **argv)
{
	(void)execve(path, argv, environ);
	message("test monitor (native): cannot run %s: %s", path, strerror(errno));
	exit(MONITOR_EXIT_PAYLOAD);
}

const struct monitor_variant monitor_variant = {.before_guest = runs_it_here};
