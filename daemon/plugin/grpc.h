/* gRPC over a UNIX socket, as a server and for a unary call, inside the one loop of the program: HTTP/2 by nghttp2, no
 * thread. What a peer may cost has an end: connections, streams, bytes of a request and of all requests together,
 * frames that are no use (grpc.c has the numbers). */
#ifndef KONTAIN_PLUGIN_GRPC_H
#define KONTAIN_PLUGIN_GRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"

/* https://grpc.github.io/grpc/core/md_doc_statuscodes.html, those that are given here */
enum kt_grpc_status {
	KT_GRPC_OK = 0,
	KT_GRPC_INVALID_ARGUMENT = 3,
	KT_GRPC_DEADLINE_EXCEEDED = 4,
	KT_GRPC_RESOURCE_EXHAUSTED = 8,
	KT_GRPC_ABORTED = 10,
	KT_GRPC_UNIMPLEMENTED = 12,
	KT_GRPC_INTERNAL = 13,
	KT_GRPC_UNAVAILABLE = 14,
};

struct kt_grpc;        /* the loop's part: opaque */
struct kt_grpc_server; /* one socket: opaque */
struct kt_grpc_call;   /* one request to it: opaque */

/* Bytes that several calls send: freed with the last of them. */
struct kt_grpc_bytes;
/* Takes bytes (from malloc) and one reference for the caller; NULL when memory is gone, and the bytes are freed. */
struct kt_grpc_bytes *kt_grpc_bytes_take(uint8_t *bytes, size_t size);
void kt_grpc_bytes_drop(struct kt_grpc_bytes **bytes);

struct kt_grpc_handler {
	/* A whole request has come. It is answered at once by kt_grpc_answer or kt_grpc_fail, or kept. path is
	 * "/package.Service/Method"; path and bytes are borrowed for the call. */
	void (*called)(void *context, struct kt_grpc_call *call, const char *path, const uint8_t *bytes, size_t size);
	/* A call that was kept has ended, whoever ended it: it is gone on return. */
	void (*ended)(void *context, struct kt_grpc_call *call);
};

int kt_grpc_open(struct kt_grpc **ret_grpc, struct kt_error *err);
void kt_grpc_close(struct kt_grpc **grpc); /* after its servers */
/* Readable when there is something to do. */
int kt_grpc_fd(const struct kt_grpc *grpc);
/* When to call kt_grpc_run though the descriptor is not readable; -1: never. */
int64_t kt_grpc_timeout_ms(const struct kt_grpc *grpc);
void kt_grpc_run(struct kt_grpc *grpc);

/* Listens on a socket that is bound here; takes the descriptor. handler and context are borrowed until the close,
 * which ends every call of this server. */
int kt_grpc_serve(struct kt_grpc *grpc, int listen_fd, const struct kt_grpc_handler *handler, void *context,
		  struct kt_grpc_server **ret_server, struct kt_error *err);
void kt_grpc_server_close(struct kt_grpc_server **server);

/* The only message, or one more of a kept call: a newer one takes the place of one that is not being sent yet. */
void kt_grpc_answer(struct kt_grpc_call *call, struct kt_grpc_bytes *bytes); /* bytes: borrowed; NULL: an empty one */
void kt_grpc_keep(struct kt_grpc_call *call);
void kt_grpc_push(struct kt_grpc_call *call, struct kt_grpc_bytes *bytes);
/* Ends a call, kept or not, with a status and its sentence. */
void kt_grpc_fail(struct kt_grpc_call *call, enum kt_grpc_status status, const char *message);

/* Asks the server at a socket's path; the answer comes later, once, by a call of answered from kt_grpc_run: its status
 * (-1 where no server answered) and sentence. One at a time: -EBUSY. */
typedef void (*kt_grpc_answered)(void *context, int status, const char *message);
int kt_grpc_ask(struct kt_grpc *grpc, const char *socket_path, const char *path, const uint8_t *bytes, size_t size,
		kt_grpc_answered answered, void *context, struct kt_error *err);

#endif
