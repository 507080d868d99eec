/* A small HTTP server inside the one loop of the daemon: GET and HEAD, one request a connection. */
#ifndef KONTAIN_SERVE_HTTP_H
#define KONTAIN_SERVE_HTTP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "kontain/base/error.h"

#define KT_HTTP_EXCLUDES_MAX 8
#define KT_HTTP_ADDRESS_MAX  64

struct kt_http; /* opaque */

/* The two query arguments that kube-apiserver's health endpoints know; others are ignored. */
struct kt_http_request {
	const char *path; /* borrowed, decoded */
	bool verbose;
	size_t exclude_count;
	const char *exclude[KT_HTTP_EXCLUDES_MAX]; /* borrowed */
};

struct kt_http_reply {
	unsigned code;
	const char *content_type; /* static */
	char *body;               /* owned by the reply; NULL: no memory, and the connection is closed */
	size_t size;
};

/* Fills the reply, which comes as a 404 that names no path. */
typedef void (*kt_http_handler)(void *context, const struct kt_http_request *request, struct kt_http_reply *reply);

struct kt_http_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t size;
	bool is_any; /* every address of IPv6 and IPv4, or of IPv4 alone where there is no IPv6 */
};

/* ":PORT" (every address), "ADDR:PORT", "[ADDR6]:PORT"; numbers only: a health port must not wait for a name server.
 * Port 0: any. */
int kt_http_parse_address(const char *text, struct kt_http_address *ret_address, struct kt_error *err);
/* As it is bound. */
void kt_http_address_text(const struct kt_http *http, char text[KT_HTTP_ADDRESS_MAX]);

/* context is borrowed until the close. */
int kt_http_open(const struct kt_http_address *address, kt_http_handler handler, void *context,
		 struct kt_http **ret_http, struct kt_error *err);
void kt_http_close(struct kt_http **http);

/* Readable when there is something to do. */
int kt_http_fd(const struct kt_http *http);
/* When to call kt_http_run though the descriptor is not readable; -1: never. */
int kt_http_timeout_ms(const struct kt_http *http);
void kt_http_run(struct kt_http *http);

#endif
