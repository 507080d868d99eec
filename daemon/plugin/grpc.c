/* The only file that knows nghttp2. What gRPC adds to HTTP/2 is little: a path, five bytes before each message, a
 * status in the trailers (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
 *
 * - nghttp2's own checks of HTTP are off: kubelets up to 1.25 send the socket's path as :authority, for which it would
 *   reset the stream. What matters here is looked at by itself: method, path, content type.
 * - nghttp2_session_del() tells nobody of the streams that were open: each connection has a list of its calls.
 * - A connection is read once a turn, so that one which sends without end does not keep the others waiting.
 *
 * Frames that are no use (SETTINGS, PING, RST_STREAM, WINDOW_UPDATE, PRIORITY, DATA of almost nothing) are paid for
 * out of a purse that time and whole requests fill: a client library sends some with each request, a flood sends
 * nothing else. */
#include "grpc.h"

#include <errno.h>
#include <malloc.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/own.h"

#define CONNECTIONS_MAX  16
#define STREAMS_MAX      32                  /* of a connection */
#define HEADER_BYTES_MAX 8192                /* of a request */
#define REQUEST_MAX      ((size_t)256 << 10) /* the ids of 10,000 devices take half of it */
#define REQUESTS_MAX     ((size_t)1 << 20)   /* of all that are being received */
#define PURSE_MAX        1000                /* useless frames at once */
#define PURSE_A_SECOND   100
#define PURSE_A_REQUEST  4
#define USELESS_DATA     16 /* bytes; a request comes in one frame, or in frames that are full */
#define RESETS_AT_ONCE   200
#define RESETS_A_SECOND  20
#define READ_BYTES       16384
#define EVENTS_MAX       32
#define ASK_TIMEOUT_MS   10000
#define PREFIX           5 /* compressed or not, and the length */
#define PATH_SIZE        128
#define MESSAGE_SIZE     512

struct kt_grpc_bytes {
	unsigned references;
	size_t size;
	uint8_t *bytes;
};

struct kt_grpc_call {
	struct connection *connection;
	struct kt_grpc_call *next;
	int32_t stream;
	size_t header_bytes;
	bool is_post, is_grpc, has_long_path;
	char path[PATH_SIZE];
	uint8_t prefix[PREFIX];
	size_t received; /* with the prefix */
	uint8_t *request;
	size_t request_size; /* as the prefix says */
	bool has_answered;   /* nothing more is taken of the request */
	bool is_kept;
	bool is_over; /* and then the trailers */
	struct kt_grpc_bytes *sending, *waiting;
	size_t sent; /* of `sending`, with its prefix */
	enum kt_grpc_status status;
	char message[MESSAGE_SIZE];
};

/* What an epoll event belongs to; the first member of each. */
struct source {
	struct connection *connection; /* NULL: a server's socket */
	struct kt_grpc_server *server;
};

struct connection {
	struct source source; /* server: NULL for the one by which we ask */
	struct connection *next;
	struct kt_grpc *grpc;
	int fd;
	nghttp2_session *session;
	struct kt_grpc_call *calls;
	const uint8_t *out; /* of nghttp2, until it is asked for more */
	size_t out_size;
	uint32_t events; /* as epoll has them */
	bool is_dead;
	int64_t since_ms;
	int64_t purse, purse_at_ms;
};

struct kt_grpc_server {
	struct source source;
	struct kt_grpc *grpc;
	int fd;
	const struct kt_grpc_handler *handler;
	void *context;
};

/* The one call that we make. */
struct question {
	struct connection *connection; /* NULL: none is under way */
	kt_grpc_answered answered;
	void *context;
	uint8_t *bytes; /* with the prefix */
	size_t size, sent;
	int64_t deadline_ms;
	bool is_over;
	int status; /* -1: none came */
	char message[MESSAGE_SIZE];
};

struct kt_grpc {
	int epoll;
	nghttp2_session_callbacks *server_callbacks, *client_callbacks;
	nghttp2_option *options;
	struct connection *connections;
	size_t connection_count;
	size_t request_bytes; /* held for all calls */
	bool has_output;      /* something was said outside of kt_grpc_run */
	struct kt_grpc_bytes *empty;
	struct question question;
};

/* ---- bytes ---- */

struct kt_grpc_bytes *kt_grpc_bytes_take(uint8_t *bytes, size_t size)
{
	struct kt_grpc_bytes *made = malloc(sizeof(*made));

	if (!made)
		free(bytes);
	else
		*made = (struct kt_grpc_bytes){.references = 1, .size = size, .bytes = bytes};
	return made;
}

void kt_grpc_bytes_drop(struct kt_grpc_bytes **bytes)
{
	struct kt_grpc_bytes *dropped = kt_take_ptr(bytes);

	if (dropped && --dropped->references == 0) {
		free(dropped->bytes);
		free(dropped);
	}
}

static struct kt_grpc_bytes *hold(struct kt_grpc_bytes *bytes)
{
	bytes->references++;
	return bytes;
}

static void put_prefix(uint8_t prefix[PREFIX], size_t size)
{
	prefix[0] = 0; /* not compressed */
	for (int i = 1; i < PREFIX; i++)
		prefix[i] = (uint8_t)(size >> (8 * (PREFIX - 1 - i)));
}

/* ---- calls ---- */

static void free_request(struct kt_grpc_call *call)
{
	if (call->request)
		call->connection->grpc->request_bytes -= call->request_size;
	free(kt_take_ptr(&call->request));
}

static void end_call(struct kt_grpc_call *call)
{
	const struct kt_grpc_server *server = call->connection->source.server;

	if (call->is_kept)
		server->handler->ended(server->context, call);
	free_request(call);
	kt_grpc_bytes_drop(&call->sending);
	kt_grpc_bytes_drop(&call->waiting);
	free(call);
}

static int submit_failed(struct kt_grpc_call *call)
{
	return nghttp2_submit_rst_stream(call->connection->session, NGHTTP2_FLAG_NONE, call->stream,
					 NGHTTP2_INTERNAL_ERROR);
}

static nghttp2_nv header(const char *name, const char *value)
{
	return (nghttp2_nv){
		.name = (uint8_t *)(uintptr_t)name,
		.value = (uint8_t *)(uintptr_t)value,
		.namelen = strlen(name),
		.valuelen = strlen(value),
		.flags = NGHTTP2_NV_FLAG_NONE, /* copied */
	};
}

/* Percent-encoded, as grpc-message is. */
static void encode(const char *message, char *to, size_t size)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t length = 0;

	for (const unsigned char *at = (const unsigned char *)message; *at && length + 4 < size; at++) {
		if (*at >= ' ' && *at <= '~' && *at != '%') {
			to[length++] = (char)*at;
		} else {
			to[length++] = '%';
			to[length++] = digits[*at >> 4];
			to[length++] = digits[*at & 15];
		}
	}
	to[length] = '\0';
}

/* The status and its sentence, behind whatever headers come first. */
static size_t put_status(const struct kt_grpc_call *call, nghttp2_nv headers[2], char number[12],
			 char encoded[3 * MESSAGE_SIZE])
{
	(void)snprintf(number, 12, "%d", (int)call->status);
	headers[0] = header("grpc-status", number);
	if (!call->message[0])
		return 1;
	encode(call->message, encoded, 3 * MESSAGE_SIZE);
	headers[1] = header("grpc-message", encoded);
	return 2;
}

static int submit_trailers(struct kt_grpc_call *call)
{
	nghttp2_nv headers[2];
	char number[12], encoded[3 * MESSAGE_SIZE];

	return nghttp2_submit_trailer(call->connection->session, call->stream, headers,
				      put_status(call, headers, number, encoded));
}

static size_t put_bytes(struct kt_grpc_call *call, uint8_t *to, size_t room)
{
	const struct kt_grpc_bytes *bytes = call->sending;
	size_t put = 0, take;
	uint8_t prefix[PREFIX];

	put_prefix(prefix, bytes->size);
	while (put < room && call->sent < PREFIX)
		to[put++] = prefix[call->sent++];
	take = PREFIX + bytes->size - call->sent;
	if (take > room - put)
		take = room - put;
	if (take > 0)
		memcpy(to + put, bytes->bytes + (call->sent - PREFIX), take);
	call->sent += take;
	if (call->sent == PREFIX + bytes->size)
		kt_grpc_bytes_drop(&call->sending);
	return put + take;
}

static ssize_t on_call_reads(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
			     nghttp2_data_source *source, void *context)
{
	struct kt_grpc_call *call = source->ptr;
	size_t put = 0;

	(void)session, (void)stream, (void)context;
	while (put < room && (call->sending || call->waiting)) {
		if (!call->sending) {
			call->sending = kt_take_ptr(&call->waiting);
			call->sent = 0;
		}
		put += put_bytes(call, to + put, room - put);
	}
	if (call->sending || call->waiting)
		return (ssize_t)put;
	if (!call->is_over)
		return put > 0 ? (ssize_t)put : NGHTTP2_ERR_DEFERRED;
	*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
	return submit_trailers(call) == 0 ? (ssize_t)put : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static void begin_answer(struct kt_grpc_call *call)
{
	const nghttp2_nv headers[] = {header(":status", "200"), header("content-type", "application/grpc")};
	nghttp2_data_provider provider = {.source.ptr = call, .read_callback = on_call_reads};

	call->has_answered = true;
	call->connection->grpc->has_output = true;
	if (nghttp2_submit_response(call->connection->session, call->stream, headers, 2, &provider) != 0)
		(void)submit_failed(call);
}

static void go_on(struct kt_grpc_call *call)
{
	call->connection->grpc->has_output = true;
	/* It is no error when it was not waiting. */
	(void)nghttp2_session_resume_data(call->connection->session, call->stream);
}

void kt_grpc_answer(struct kt_grpc_call *call, struct kt_grpc_bytes *bytes)
{
	call->waiting = hold(bytes ? bytes : call->connection->grpc->empty);
	call->is_over = true;
	begin_answer(call);
}

void kt_grpc_keep(struct kt_grpc_call *call)
{
	call->is_kept = true;
	begin_answer(call);
}

void kt_grpc_push(struct kt_grpc_call *call, struct kt_grpc_bytes *bytes)
{
	if (call->is_over)
		return;
	kt_grpc_bytes_drop(&call->waiting);
	call->waiting = hold(bytes);
	go_on(call);
}

void kt_grpc_fail(struct kt_grpc_call *call, enum kt_grpc_status status, const char *message)
{
	nghttp2_nv headers[4] = {header(":status", "200"), header("content-type", "application/grpc")};
	char number[12], encoded[3 * MESSAGE_SIZE];
	bool has_begun = call->has_answered;

	if (call->is_over)
		return;
	call->is_over = true;
	call->status = status;
	(void)snprintf(call->message, sizeof(call->message), "%s", message);
	kt_grpc_bytes_drop(&call->waiting);
	if (has_begun) {
		go_on(call);
		return;
	}
	call->has_answered = true;
	call->connection->grpc->has_output = true;
	free_request(call);
	if (nghttp2_submit_response(call->connection->session, call->stream, headers,
				    2 + put_status(call, headers + 2, number, encoded), NULL) != 0)
		(void)submit_failed(call);
}

/* ---- what a client sends ---- */

static bool is_text(const uint8_t *bytes, size_t size, const char *text)
{
	return size == strlen(text) && memcmp(bytes, text, size) == 0;
}

static bool begins_with(const uint8_t *bytes, size_t size, const char *text)
{
	return size >= strlen(text) && memcmp(bytes, text, strlen(text)) == 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct connection *connection = context;
	struct kt_grpc_call *call;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	call = calloc(1, sizeof(*call));
	if (!call)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	call->connection = connection;
	call->stream = frame->hd.stream_id;
	call->next = connection->calls;
	connection->calls = call;
	return nghttp2_session_set_stream_user_data(session, call->stream, call) == 0 ?
		       0 :
		       NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
		     const uint8_t *value, size_t value_size, uint8_t flags, void *context)
{
	struct kt_grpc_call *call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)flags, (void)context;
	if (!call)
		return 0;
	call->header_bytes += name_size + value_size + 32; /* as RFC 9113 counts them */
	if (call->header_bytes > HEADER_BYTES_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
	if (is_text(name, name_size, ":method")) {
		call->is_post = is_text(value, value_size, "POST");
	} else if (is_text(name, name_size, "content-type")) {
		call->is_grpc = begins_with(value, value_size, "application/grpc");
	} else if (is_text(name, name_size, ":path")) {
		call->has_long_path = value_size >= sizeof(call->path) || memchr(value, '\0', value_size);
		if (!call->has_long_path) {
			memcpy(call->path, value, value_size);
			call->path[value_size] = '\0';
		}
	}
	return 0;
}

static void take_prefix(struct kt_grpc_call *call)
{
	struct kt_grpc *grpc = call->connection->grpc;
	size_t size = 0;

	for (int i = 1; i < PREFIX; i++)
		size = size << 8 | call->prefix[i];
	if (call->prefix[0] != 0) {
		kt_grpc_fail(call, KT_GRPC_UNIMPLEMENTED, "compressed messages are not supported");
		return;
	}
	if (size > REQUEST_MAX || size > REQUESTS_MAX - grpc->request_bytes) {
		kt_grpc_fail(call, KT_GRPC_RESOURCE_EXHAUSTED,
			     size > REQUEST_MAX ? "the message is too large: at most 256 KiB are taken" :
						  "too many requests at once: try again");
		return;
	}
	call->request = malloc(size > 0 ? size : 1);
	if (!call->request) {
		kt_grpc_fail(call, KT_GRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	call->request_size = size;
	grpc->request_bytes += size;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *bytes, size_t size,
		   void *context)
{
	struct kt_grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);

	(void)flags, (void)context;
	if (!call)
		return 0;
	while (size > 0 && call->received < PREFIX && !call->has_answered) {
		call->prefix[call->received++] = *bytes++;
		size--;
		if (call->received == PREFIX)
			take_prefix(call);
	}
	if (size == 0 || call->has_answered)
		return 0;
	if (size > PREFIX + call->request_size - call->received) {
		kt_grpc_fail(call, KT_GRPC_INTERNAL, "more than one message in a request");
		return 0;
	}
	memcpy(call->request + (call->received - PREFIX), bytes, size);
	call->received += size;
	return 0;
}

static void take_whole_request(struct kt_grpc_call *call)
{
	struct connection *connection = call->connection;
	const struct kt_grpc_server *server = connection->source.server;

	if (call->has_answered)
		return;
	if (!call->is_post || !call->is_grpc) {
		kt_grpc_fail(call, KT_GRPC_INTERNAL, "not a gRPC request: expected POST with application/grpc");
		return;
	}
	if (!call->request || call->received != PREFIX + call->request_size) {
		kt_grpc_fail(call, KT_GRPC_INTERNAL, "the message ends early");
		return;
	}
	connection->purse += PURSE_A_REQUEST;
	if (call->has_long_path)
		kt_grpc_fail(call, KT_GRPC_UNIMPLEMENTED, "unknown method");
	else
		server->handler->called(server->context, call, call->path, call->request, call->request_size);
	free_request(call);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	struct kt_grpc_call *call;

	(void)context;
	if ((frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) ||
	    !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		return 0;
	call = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (call)
		take_whole_request(call);
	return 0;
}

/* Before a frame is looked at: a purse that is empty ends the connection. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *frame, void *context)
{
	struct connection *connection = context;
	int64_t now = kt_clock_ms(), earned;

	(void)session;
	if (frame->type == NGHTTP2_HEADERS ||
	    (frame->type == NGHTTP2_DATA &&
	     (frame->length >= USELESS_DATA || (frame->flags & NGHTTP2_FLAG_END_STREAM))))
		return 0;
	earned = (now - connection->purse_at_ms) * PURSE_A_SECOND / 1000;
	if (earned > 0) {
		connection->purse += earned;
		connection->purse_at_ms = now;
	}
	if (connection->purse > PURSE_MAX)
		connection->purse = PURSE_MAX;
	return connection->purse-- > 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_unknown_frame(nghttp2_session *session, void **payload, const nghttp2_frame_hd *frame, void *context)
{
	(void)session, (void)payload, (void)frame, (void)context;
	return NGHTTP2_ERR_CANCEL;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *context)
{
	struct connection *connection = context;
	struct kt_grpc_call *call = nghttp2_session_get_stream_user_data(session, stream);

	(void)code;
	for (struct kt_grpc_call **at = &connection->calls; call && *at; at = &(*at)->next)
		if (*at == call) {
			*at = call->next;
			end_call(call);
			break;
		}
	return 0;
}

/* We have said all; a client that has not would hold its stream open. */
static int on_sent(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
	int32_t stream = frame->hd.stream_id;

	(void)context;
	if (frame->hd.type == NGHTTP2_HEADERS && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) &&
	    nghttp2_session_get_stream_remote_close(session, stream) == 0)
		(void)nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, stream, NGHTTP2_NO_ERROR);
	return 0;
}

/* ---- what a server answers to our question ---- */

static int hex(int letter)
{
	return letter >= '0' && letter <= '9' ? letter - '0' :
	       letter >= 'A' && letter <= 'F' ? letter - 'A' + 10 :
	       letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 :
						-1;
}

static void decode(const uint8_t *bytes, size_t size, char *to, size_t room)
{
	size_t length = 0;

	for (size_t i = 0; i < size && length + 1 < room; i++) {
		int letter = bytes[i];

		if (letter == '%' && i + 2 < size && hex(bytes[i + 1]) >= 0 && hex(bytes[i + 2]) >= 0) {
			letter = hex(bytes[i + 1]) << 4 | hex(bytes[i + 2]);
			i += 2;
		}
		to[length++] = (char)(letter >= ' ' && letter != 0x7f ? letter : '?');
	}
	to[length] = '\0';
}

static int on_answer_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_size,
			    const uint8_t *value, size_t value_size, uint8_t flags, void *context)
{
	struct question *question = &((struct connection *)context)->grpc->question;
	char number[4];

	(void)session, (void)frame, (void)flags;
	if (is_text(name, name_size, "grpc-status") && value_size > 0 && value_size < sizeof(number)) {
		(void)snprintf(number, sizeof(number), "%.*s", (int)value_size, (const char *)value);
		if (strspn(number, "0123456789") == value_size)
			question->status = (int)strtol(number, NULL, 10);
	} else if (is_text(name, name_size, "grpc-message")) {
		decode(value, value_size, question->message, sizeof(question->message));
	}
	return 0;
}

static int on_answer_closed(nghttp2_session *session, int32_t stream, uint32_t code, void *context)
{
	struct question *question = &((struct connection *)context)->grpc->question;

	(void)session, (void)stream, (void)code;
	question->is_over = true;
	return 0;
}

static ssize_t on_question_reads(nghttp2_session *session, int32_t stream, uint8_t *to, size_t room, uint32_t *flags,
				 nghttp2_data_source *source, void *context)
{
	struct question *question = source->ptr;
	size_t put = question->size - question->sent;

	(void)session, (void)stream, (void)context;
	if (put > room)
		put = room;
	memcpy(to, question->bytes + question->sent, put);
	question->sent += put;
	if (question->sent == question->size)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)put;
}

/* ---- connections ---- */

static void set_events(struct connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = &connection->source};

	if (events == connection->events)
		return;
	connection->events = events;
	if (epoll_ctl(connection->grpc->epoll, EPOLL_CTL_MOD, connection->fd, &event) < 0)
		connection->is_dead = true;
}

static void send_out(struct connection *connection)
{
	while (!connection->is_dead) {
		ssize_t done;

		if (connection->out_size == 0) {
			done = nghttp2_session_mem_send(connection->session, &connection->out);
			if (done < 0)
				connection->is_dead = true;
			if (done <= 0)
				break;
			connection->out_size = (size_t)done;
		}
		done = send(connection->fd, connection->out, connection->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno != EAGAIN)
			connection->is_dead = true;
		if (done < 0)
			break;
		connection->out += done;
		connection->out_size -= (size_t)done;
	}
	if (connection->is_dead)
		return;
	if (connection->out_size == 0 && !nghttp2_session_want_read(connection->session) &&
	    !nghttp2_session_want_write(connection->session))
		connection->is_dead = true;
	else
		set_events(connection, EPOLLIN | (connection->out_size > 0 ? EPOLLOUT : 0));
}

static void take_in(struct connection *connection)
{
	uint8_t bytes[READ_BYTES];
	ssize_t got = read(connection->fd, bytes, sizeof(bytes));

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0 || nghttp2_session_mem_recv(connection->session, bytes, (size_t)got) != got)
		connection->is_dead = true;
}

static void free_connection(struct kt_grpc *grpc, struct connection *connection)
{
	epoll_ctl(grpc->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
	/* First, as calls may be named by nghttp2 until then. It runs no callback of theirs. */
	nghttp2_session_del(connection->session);
	while (connection->calls) {
		struct kt_grpc_call *call = connection->calls;

		connection->calls = call->next;
		end_call(call);
	}
	kt_close_fd(&connection->fd);
	free(connection);
	grpc->connection_count--;
	malloc_trim(0); /* what a flood took is given back */
}

static void free_connections(struct kt_grpc *grpc, const struct kt_grpc_server *of)
{
	for (struct connection **at = &grpc->connections; *at;) {
		struct connection *connection = *at;

		if (of ? connection->source.server != of : !connection->is_dead) {
			at = &connection->next;
			continue;
		}
		*at = connection->next;
		if (grpc->question.connection == connection) {
			grpc->question.connection = NULL;
			grpc->question.is_over = true;
		}
		free_connection(grpc, connection);
	}
}

/* Takes the descriptor, which is closed on failure too. */
static struct connection *add_connection(struct kt_grpc *grpc, struct kt_grpc_server *server, int taken_fd,
					 const nghttp2_settings_entry *settings, size_t settings_count)
{
	KT_OWN(kt_close_fd) int fd = taken_fd;
	KT_OWN(kt_free_mem) struct connection *connection = calloc(1, sizeof(*connection));
	struct epoll_event event = {.events = EPOLLIN};
	struct connection *added;
	int failed;

	if (!connection)
		return NULL;
	connection->grpc = grpc;
	connection->source = (struct source){.connection = connection, .server = server};
	connection->since_ms = connection->purse_at_ms = kt_clock_ms();
	connection->purse = PURSE_MAX;
	connection->events = event.events;
	event.data.ptr = &connection->source;
	failed = server ? nghttp2_session_server_new2(&connection->session, grpc->server_callbacks, connection,
						      grpc->options) :
			  nghttp2_session_client_new2(&connection->session, grpc->client_callbacks, connection,
						      grpc->options);
	if (failed)
		return NULL;
	if (nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, settings_count) != 0 ||
	    epoll_ctl(grpc->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		nghttp2_session_del(connection->session);
		return NULL;
	}
	connection->fd = kt_take_fd(&fd);
	connection->next = grpc->connections;
	added = grpc->connections = kt_take_ptr(&connection);
	grpc->connection_count++;
	grpc->has_output = true;
	return added;
}

static bool is_kept(const struct connection *connection)
{
	for (const struct kt_grpc_call *call = connection->calls; call; call = call->next)
		if (call->is_kept)
			return true;
	return false;
}

/* The oldest that nobody listens on, else the oldest. */
static void give_way(struct kt_grpc *grpc)
{
	struct connection *oldest = NULL;

	for (struct connection *at = grpc->connections; at; at = at->next)
		if (at->source.server && !at->is_dead &&
		    (!oldest || is_kept(at) < is_kept(oldest) ||
		     (is_kept(at) == is_kept(oldest) && at->since_ms <= oldest->since_ms)))
			oldest = at;
	if (oldest)
		oldest->is_dead = true;
	free_connections(grpc, NULL);
}

/* Root, as the kubelet is, or who we are. */
static bool is_allowed_peer(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == 0 || peer.uid == geteuid());
}

static void take_client(struct kt_grpc_server *server)
{
	static const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADER_BYTES_MAX},
	};
	int fd = accept4(server->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		give_way(server->grpc); /* else it would be readable for ever */
	if (fd < 0)
		return;
	if (!is_allowed_peer(fd)) {
		kt_close_fd(&fd);
		return;
	}
	if (server->grpc->connection_count >= CONNECTIONS_MAX)
		give_way(server->grpc);
	(void)add_connection(server->grpc, server, fd, settings, sizeof(settings) / sizeof(settings[0]));
}

/* ---- our question ---- */

static void finish_question(struct kt_grpc *grpc)
{
	struct question question = grpc->question;

	if (!question.answered)
		return;
	if (!question.is_over && kt_clock_boot_ms() >= question.deadline_ms) {
		question.status = KT_GRPC_DEADLINE_EXCEEDED;
		(void)snprintf(question.message, sizeof(question.message), "no answer within %d s",
			       ASK_TIMEOUT_MS / 1000);
		question.is_over = true;
	}
	if (!question.is_over)
		return;
	if (question.status < 0 && !question.message[0])
		(void)snprintf(question.message, sizeof(question.message), "the connection was closed");
	if (question.connection)
		question.connection->is_dead = true;
	free(question.bytes);
	grpc->question = (struct question){.connection = NULL};
	free_connections(grpc, NULL);
	question.answered(question.context, question.status, question.message);
}

static int connect_to(const char *socket_path, int *ret_fd, struct kt_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	KT_OWN(kt_close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (strlen(socket_path) >= sizeof(address.sun_path))
		return kt_fail(err, ENAMETOOLONG, KT_REASON_CONFIG_INVALID, "%s: a socket's path has at most %zu bytes",
			       socket_path, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
	/* A UNIX socket is connected at once, or its server takes no more now. */
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot connect to %s", socket_path);
	if (!is_allowed_peer(fd))
		return kt_fail(err, EPERM, KT_REASON_INTERNAL, "%s: who listens there is not root", socket_path);
	*ret_fd = kt_take_fd(&fd);
	return 0;
}

int kt_grpc_ask(struct kt_grpc *grpc, const char *socket_path, const char *path, const uint8_t *bytes, size_t size,
		kt_grpc_answered answered, void *context, struct kt_error *err)
{
	static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
	const nghttp2_nv headers[] = {
		header(":method", "POST"),     header(":scheme", "http"),
		header(":path", path),         header(":authority", "localhost"),
		header("te", "trailers"),      header("content-type", "application/grpc"),
		header("grpc-timeout", "10S"),
	};
	nghttp2_data_provider provider = {.source.ptr = &grpc->question, .read_callback = on_question_reads};
	struct question *question = &grpc->question;
	int fd, r;

	if (question->answered)
		return kt_fail(err, EBUSY, KT_REASON_INTERNAL, "another call is under way");
	r = connect_to(socket_path, &fd, err);
	if (r < 0)
		return r;
	*question = (struct question){.status = -1, .size = PREFIX + size, .bytes = malloc(PREFIX + size)};
	if (question->bytes) {
		put_prefix(question->bytes, size);
		if (size > 0) /* an empty message is no bytes */
			memcpy(question->bytes + PREFIX, bytes, size);
		question->connection = add_connection(grpc, NULL, kt_take_fd(&fd), settings, 1);
	}
	kt_close_fd(&fd);
	if (!question->connection ||
	    nghttp2_submit_request(question->connection->session, NULL, headers, sizeof(headers) / sizeof(headers[0]),
				   &provider, NULL) < 0) {
		if (question->connection)
			question->connection->is_dead = true;
		free_connections(grpc, NULL);
		free(question->bytes);
		*question = (struct question){.connection = NULL};
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot make a request");
	}
	question->deadline_ms = kt_clock_boot_ms() + ASK_TIMEOUT_MS;
	question->answered = answered;
	question->context = context;
	return 0;
}

/* ---- servers and the loop's part ---- */

int kt_grpc_serve(struct kt_grpc *grpc, int listen_fd, const struct kt_grpc_handler *handler, void *context,
		  struct kt_grpc_server **ret_server, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int fd = listen_fd;
	struct kt_grpc_server *server = calloc(1, sizeof(*server));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = server};

	if (!server)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot serve");
	server->source.server = server;
	server->grpc = grpc;
	server->handler = handler;
	server->context = context;
	if (epoll_ctl(grpc->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		int code = errno;

		free(server);
		return kt_fail_errno(err, code, KT_REASON_INTERNAL, "cannot wait for clients");
	}
	server->fd = kt_take_fd(&fd);
	*ret_server = server;
	return 0;
}

void kt_grpc_server_close(struct kt_grpc_server **server)
{
	struct kt_grpc_server *closed = kt_take_ptr(server);

	if (!closed)
		return;
	free_connections(closed->grpc, closed);
	epoll_ctl(closed->grpc->epoll, EPOLL_CTL_DEL, closed->fd, NULL);
	kt_close_fd(&closed->fd);
	free(closed);
}

int kt_grpc_fd(const struct kt_grpc *grpc)
{
	return grpc->epoll;
}

int64_t kt_grpc_timeout_ms(const struct kt_grpc *grpc)
{
	int64_t left;

	if (grpc->has_output || grpc->question.is_over)
		return 0;
	if (!grpc->question.answered)
		return -1;
	left = grpc->question.deadline_ms - kt_clock_boot_ms();
	return left > 0 ? left : 0;
}

void kt_grpc_run(struct kt_grpc *grpc)
{
	struct epoll_event events[EVENTS_MAX];
	int count = epoll_wait(grpc->epoll, events, EVENTS_MAX, 0);

	/* Clients last: for a new one an old one may be freed, which an event of this turn could name. */
	for (int i = 0; i < count; i++) {
		const struct source *source = events[i].data.ptr;

		if (source->connection && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
			take_in(source->connection);
	}
	for (int i = 0; i < count; i++) {
		const struct source *source = events[i].data.ptr;

		/* freed connections are not looked at: a server's source is its own */
		if (source->connection)
			events[i].data.ptr = NULL;
	}
	for (int i = 0; i < count; i++)
		if (events[i].data.ptr)
			take_client(((const struct source *)events[i].data.ptr)->server);
	grpc->has_output = false;
	for (struct connection *at = grpc->connections; at; at = at->next)
		send_out(at);
	free_connections(grpc, NULL);
	finish_question(grpc);
}

static int make_callbacks(struct kt_grpc *grpc)
{
	if (nghttp2_session_callbacks_new(&grpc->server_callbacks) != 0 ||
	    nghttp2_session_callbacks_new(&grpc->client_callbacks) != 0 || nghttp2_option_new(&grpc->options) != 0)
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_frame_callback(grpc->server_callbacks, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(grpc->server_callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(grpc->server_callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(grpc->server_callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(grpc->server_callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(grpc->server_callbacks, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(grpc->server_callbacks, on_sent);
	nghttp2_session_callbacks_set_on_begin_frame_callback(grpc->client_callbacks, on_begin_frame);
	nghttp2_session_callbacks_set_on_header_callback(grpc->client_callbacks, on_answer_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(grpc->client_callbacks, on_answer_closed);
	/* Frames of unknown types are passed over by nghttp2 itself, and paid for only if it thinks that we know them. */
	nghttp2_session_callbacks_set_unpack_extension_callback(grpc->server_callbacks, on_unknown_frame);
	nghttp2_session_callbacks_set_unpack_extension_callback(grpc->client_callbacks, on_unknown_frame);
	for (unsigned type = NGHTTP2_CONTINUATION + 1; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(grpc->options, (uint8_t)type);
	nghttp2_option_set_no_http_messaging(grpc->options, 1);
	nghttp2_option_set_max_deflate_dynamic_table_size(grpc->options, 0);
	nghttp2_option_set_max_send_header_block_length(grpc->options, HEADER_BYTES_MAX);
	nghttp2_option_set_max_outbound_ack(grpc->options, PURSE_MAX);
	nghttp2_option_set_stream_reset_rate_limit(grpc->options, RESETS_AT_ONCE, RESETS_A_SECOND);
	return 0;
}

int kt_grpc_open(struct kt_grpc **ret_grpc, struct kt_error *err)
{
	KT_OWN(kt_grpc_close) struct kt_grpc *grpc = calloc(1, sizeof(*grpc));

	if (!grpc)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot make the gRPC server");
	grpc->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (grpc->epoll < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot make the gRPC server");
	grpc->empty = kt_grpc_bytes_take(NULL, 0);
	if (!grpc->empty || make_callbacks(grpc) < 0)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot make the gRPC server");
	*ret_grpc = kt_take_ptr(&grpc);
	return 0;
}

void kt_grpc_close(struct kt_grpc **grpc)
{
	struct kt_grpc *closed = kt_take_ptr(grpc);

	if (!closed)
		return;
	for (struct connection *at = closed->connections; at; at = at->next)
		at->is_dead = true;
	free_connections(closed, NULL);
	free(closed->question.bytes);
	kt_grpc_bytes_drop(&closed->empty);
	nghttp2_session_callbacks_del(closed->server_callbacks);
	nghttp2_session_callbacks_del(closed->client_callbacks);
	nghttp2_option_del(closed->options);
	kt_close_fd(&closed->epoll);
	free(closed);
}
