/* What kontain-device-plugin gives up: it is root on the node, and needs of that to make a device node and a socket. */
#ifndef KONTAIN_PLUGIN_CONFINE_H
#define KONTAIN_PLUGIN_CONFINE_H

#include "kontain/base/error.h"
#include "kontain/base/landlock.h"

struct kt_plugin_needs {
	const char *state;          /* file; it is read, and what is in its folder */
	const char *kubelet_folder; /* sockets are made in it */
	const char *device_folder;  /* device nodes are made in it; it is made first, where it is missing */
};

/* No new privileges, of the capabilities CAP_MKNOD alone, the system calls of a UNIX socket's server, and no file but
 * these. ret_text is for the log: the ABI of Landlock, or why there is none. */
int kt_plugin_confine(const struct kt_plugin_needs *needs, char ret_text[KT_LANDLOCK_TEXT_MAX], struct kt_error *err);

#endif
