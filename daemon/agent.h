/* The loop of kontaind: takes each new state to the API server and to whoever asks over HTTP. */
#ifndef KONTAIN_AGENT_H
#define KONTAIN_AGENT_H

#include "kontain/base/error.h"
#include "kontain/base/landlock.h"
#include "kontain/contract/config.h"
#include "serve/http.h"

struct kt_agent_settings {
	const char *state; /* path of the state file */
	struct kt_http_address listen;
	const char *node_name; /* NULL: standalone */
	const char *api_host;
	const char *api_port;
	const char *credentials; /* folder of token and ca.crt */
	struct kt_config config;
	char landlock[KT_LANDLOCK_TEXT_MAX]; /* for the log */
};

/* Runs until SIGTERM or SIGINT, which it takes for itself: 0. */
int kt_agent_run(const struct kt_agent_settings *settings, struct kt_error *err);

#endif
