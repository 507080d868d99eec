/* Works, but never comes back while the store's root has a file .hang: a km that served for months, and hangs today. */
#include <signal.h>
#include <unistd.h>

#include "monitor.h"

static void waits_when_told(const char *path, char **argv)
{
	sigset_t all;

	(void)path;
	(void)argv;
	if (access("/opt/kontain/.hang", F_OK) != 0)
		return;
	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	for (;;)
		(void)pause();
}

const struct monitor_variant monitor_variant = {.before_guest = waits_when_told};
