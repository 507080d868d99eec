/* Dies before the guest starts, as stock km does on newer kernels; its --version works, as that of stock km. */
#include "monitor.h"

static void dies(const char *path, char **argv)
{
	(void)argv;
	message_abort("test monitor (aborts): assertion failed before %s could start", path);
}

const struct monitor_variant monitor_variant = {.before_guest = dies};
