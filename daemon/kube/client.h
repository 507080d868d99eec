/* HTTPS to the API server: one request at a time, and one watch beside it, inside the one loop of the daemon. */
#ifndef KONTAIN_KUBE_CLIENT_H
#define KONTAIN_KUBE_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"

#define KT_KUBE_BODY_MAX (2 * 1024 * 1024) /* bytes of an answer; a Node has some 10 to 300 KB, etcd takes 1.5 MiB */
#define KT_KUBE_COUNTS   32

struct kt_kube; /* opaque */

struct kt_kube_settings {
	const char *host;        /* KUBERNETES_SERVICE_HOST; NULL: no API server, only the loop */
	const char *port;        /* KUBERNETES_SERVICE_PORT */
	const char *credentials; /* folder of token and ca.crt */
	const char *user_agent;
};

struct kt_kube_request {
	const char *verb;         /* "GET", "PATCH" or "POST"; static; a watch is counted as "WATCH" */
	const char *content_type; /* static; NULL for GET */
	char path[320];
	char *body; /* owned; NULL for GET */
};

struct kt_kube_reply {
	long code;        /* 0: no answer, `problem` says why */
	const char *body; /* borrowed until the next request or wait; NUL behind it */
	size_t size;
	unsigned retry_after_s; /* 0 when not said */
	char problem[256];
};

/* How often each answer came, for the metrics. code "error": no answer. */
struct kt_kube_count {
	const char *verb;
	char code[8];
	uint64_t count;
};

int kt_kube_open(const struct kt_kube_settings *settings, struct kt_kube **ret_kube, struct kt_error *err);
void kt_kube_close(struct kt_kube **kube);

bool kt_kube_is_busy(const struct kt_kube *kube);
/* Takes the request's body, whatever comes of it. On failure (no token, no memory) nothing is in flight. */
int kt_kube_start(struct kt_kube *kube, struct kt_kube_request *request, struct kt_error *err);
/* True once for each started request, when it ended. */
bool kt_kube_finish(struct kt_kube *kube, struct kt_kube_reply *ret_reply);

/* Bytes of a watch as they come, within kt_kube_wait; false ends it. */
typedef bool kt_kube_take(void *context, const char *bytes, size_t size);

bool kt_kube_is_watching(const struct kt_kube *kube);
/* As kt_kube_start, beside it. An answer of 200 goes to `take` and nowhere else; another one is kept for the reply. */
int kt_kube_watch(struct kt_kube *kube, struct kt_kube_request *request, kt_kube_take *take, void *context,
		  struct kt_error *err);
/* True once for each watch, when it ended by itself; 200: as the server meant to. */
bool kt_kube_watch_finish(struct kt_kube *kube, struct kt_kube_reply *ret_reply);
void kt_kube_watch_stop(struct kt_kube *kube);

/* The daemon's one place to wait: the request in flight and `fds` (revents are set) for up to timeout_ms. */
int kt_kube_wait(struct kt_kube *kube, struct pollfd *fds, unsigned fd_count, int timeout_ms, struct kt_error *err);

size_t kt_kube_counts(const struct kt_kube *kube, const struct kt_kube_count **ret_counts);

#endif
