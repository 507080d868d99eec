/* The command line of kontaind. */
#ifndef KONTAIN_DAEMON_OPTIONS_H
#define KONTAIN_DAEMON_OPTIONS_H

#include <stdbool.h>

#include "kontain/base/error.h"
#include "serve/http.h"

enum kt_daemon_action { KT_DAEMON_RUN, KT_DAEMON_HELP, KT_DAEMON_VERSION };

struct kt_daemon_options {
	enum kt_daemon_action action;
	bool is_standalone;
	bool is_quiet;
	bool is_verbose;
	const char *config; /* borrowed from argv; NULL: the defaults */
	const char *state;
	struct kt_http_address listen;
};

int kt_daemon_options_parse(int argc, char *const argv[], struct kt_daemon_options *ret_options, struct kt_error *err);
void kt_daemon_options_help(void);

#endif
