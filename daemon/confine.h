/* What this process gives up, so that whoever took it over by what a peer sent would have little. */
#ifndef KONTAIN_DAEMON_CONFINE_H
#define KONTAIN_DAEMON_CONFINE_H

#include <stdint.h>

#include "kontain/base/error.h"
#include "kontain/base/landlock.h"

/* Before anything is read: no new privileges by exec, no capability, also not for a root that started us by hand, and
 * only the system calls that an HTTP client and server of one process makes. */
int kt_daemon_confine(struct kt_error *err);

struct kt_daemon_needs {
	const char *state;       /* file; it is read, and what is in its folder */
	const char *credentials; /* folder; NULL: none */
	const char *api_host;    /* NULL: no API server is asked */
	uint16_t api_port;
	uint16_t listen_port;
};

/* Once it is known what: nothing else may be opened, bound to or connected to, and nothing written. ret_text is for the
 * log: the ABI of Landlock, or why there is none. */
int kt_daemon_confine_files(const struct kt_daemon_needs *needs, char ret_text[KT_LANDLOCK_TEXT_MAX],
			    struct kt_error *err);

#endif
