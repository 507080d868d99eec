/* One resource at the kubelet: its socket in the kubelet's folder, and the registration, which is made anew whenever it
 * has to be. */
#ifndef KONTAIN_PLUGIN_REGISTER_H
#define KONTAIN_PLUGIN_REGISTER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "plugin/service.h"

#define KT_ENDPOINT_NEVER INT64_MAX

enum kt_endpoint_place {
	KT_ENDPOINT_NEW,     /* not bound yet: whoever has the socket gives way */
	KT_ENDPOINT_SERVING, /* the socket is ours */
	KT_ENDPOINT_STANDBY, /* another instance took it over */
	KT_ENDPOINT_REFUSED, /* another plugin has the resource */
};

struct kt_endpoint {
	struct kt_grpc *grpc; /* borrowed, as all here */
	const char *folder;   /* the kubelet's, for device plugins */
	const char *socket_name;
	const char *rival; /* a socket in that folder that another plugin for this resource has; NULL: none */
	struct kt_service service;
	enum kt_endpoint_place place;
	struct kt_grpc_server *server;
	struct stat own;     /* of our socket */
	struct stat kubelet; /* of the kubelet's, when it was asked last */
	bool is_asking;      /* Register is under way */
	bool is_stale;       /* its answer will be about a socket or a stream that is gone */
	bool was_watched;    /* at the last look */
	unsigned failures;   /* of Register, in a row */
	int64_t ask_at_ms;   /* by kt_clock_boot_ms; NEVER: nothing is due */
	int64_t look_at_ms;  /* in case nothing tells of a change */
	char told[256];      /* the last problem that is in the log */
};

/* The folder: a directory that only root, or who we are, may write to. */
int kt_endpoint_check_folder(const char *folder, struct kt_error *err);

/* Looks at the sockets, binds, registers: whatever is due. Fails where it can never be served. */
int kt_endpoint_tend(struct kt_endpoint *endpoint, int64_t now_ms, struct kt_error *err);
/* When to tend it though nothing happened; NEVER while a kubelet watches. */
int64_t kt_endpoint_due_ms(const struct kt_endpoint *endpoint);
/* Ends every stream and takes the socket away, if it is ours. */
void kt_endpoint_close(struct kt_endpoint *endpoint);

#endif
