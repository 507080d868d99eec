/* Works where it is proven unseen and dies where it serves: through the store's live links, whose root has its owner's
 * mark, which the view of a set that is still unseen has not. */
#include <unistd.h>

#include "monitor.h"

static void dies_when_live(const char *path, char **argv)
{
	(void)argv;
	if (access("/opt/kontain/.owner", F_OK) == 0)
		message_abort("test monitor (fickle): will not run %s from a live store", path);
}

const struct monitor_variant monitor_variant = {.before_guest = dies_when_live};
