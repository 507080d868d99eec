/* The only file that knows libmicrohttpd.
 * Anybody in the cluster reaches this port, so each thing that a client could take much of has an end: a connection
 * serves one request and lives CONNECTION_LIFE_MS at most whatever trickles in, a request's head fits POOL_BYTES, a
 * body is never read, and where connections run short the oldest gives way. A probe is answered in the turn of the loop
 * in which its request is complete: it is never the oldest for long, while one that only holds a connection is. */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/own.h"

#define CONNECTIONS_MAX    64
#define CONNECTIONS_EASY   48 /* beyond it the oldest is closed for each new one */
#define CONNECTION_LIFE_MS 10000
#define IDLE_TIMEOUT_S     5
#define POOL_BYTES         8192 /* for a request's head and the answer's */
#define BACKLOG            64

struct slot {
	int fd; /* borrowed from the connection; -1: free */
	bool is_leaving;
	int64_t since_ms;
};

struct kt_http {
	struct MHD_Daemon *daemon;
	int epoll_fd;  /* borrowed from the daemon */
	int listen_fd; /* the daemon's once it runs */
	kt_http_handler handler;
	void *context;
	struct slot slots[CONNECTIONS_MAX];
};

/* ---- addresses ---- */

int kt_http_parse_address(const char *text, struct kt_http_address *ret_address, struct kt_error *err)
{
	struct kt_http_address address = {.size = 0};
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN] = "";
	bool is_v6 = length > 2 && text[0] == '[' && text[length - 1] == ']';
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
	unsigned long port = digits > 0 && digits <= 5 && !colon[1 + digits] ? strtoul(colon + 1, NULL, 10) : 65536;

	if (length > 0 && length < sizeof(host))
		snprintf(host, sizeof(host), "%.*s", (int)(is_v6 ? length - 2 : length), is_v6 ? text + 1 : text);
	if (port <= 65535 && colon == text) {
		address.is_any = true;
		address.v6.sin6_family = AF_INET6; /* the rest is 0, as in6addr_any */
		address.v6.sin6_port = htons((uint16_t)port);
		address.size = sizeof(address.v6);
	} else if (port <= 65535 && is_v6 && inet_pton(AF_INET6, host, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons((uint16_t)port);
		address.size = sizeof(address.v6);
	} else if (port <= 65535 && !is_v6 && inet_pton(AF_INET, host, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons((uint16_t)port);
		address.size = sizeof(address.v4);
	} else {
		return kt_fail(
			err, EINVAL, KT_REASON_CONFIG_INVALID,
			"invalid listen address %.80s, expected :PORT, ADDR:PORT or [ADDR6]:PORT, as in :8080 or "
			"0.0.0.0:8080",
			text);
	}
	*ret_address = address;
	return 0;
}

static void print_address(const struct kt_http_address *address, char text[KT_HTTP_ADDRESS_MAX])
{
	char host[INET6_ADDRSTRLEN] = "?";
	bool is_v6 = address->any.sa_family == AF_INET6;

	inet_ntop(address->any.sa_family, is_v6 ? (const void *)&address->v6.sin6_addr : &address->v4.sin_addr, host,
		  sizeof(host));
	snprintf(text, KT_HTTP_ADDRESS_MAX, is_v6 ? "[%s]:%u" : "%s:%u", host,
		 ntohs(is_v6 ? address->v6.sin6_port : address->v4.sin_port));
}

void kt_http_address_text(const struct kt_http *http, char text[KT_HTTP_ADDRESS_MAX])
{
	struct kt_http_address address = {.size = sizeof(address.v6)};

	getsockname(http->listen_fd, &address.any, &address.size);
	print_address(&address, text);
}

/* ---- connections ---- */

/* The connection ends by itself once its socket says so: the library has no call for it. */
static void hang_up(struct slot *slot)
{
	shutdown(slot->fd, SHUT_RDWR);
	slot->is_leaving = true;
}

static void make_room(struct kt_http *http)
{
	struct slot *oldest = NULL;
	unsigned open = 0;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct slot *slot = &http->slots[i];

		if (slot->fd < 0 || slot->is_leaving)
			continue;
		open++;
		if (!oldest || slot->since_ms < oldest->since_ms)
			oldest = slot;
	}
	if (open >= CONNECTIONS_EASY)
		hang_up(oldest);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
			  enum MHD_ConnectionNotificationCode what)
{
	struct kt_http *http = context;
	struct slot *slot = *socket_context;
	const union MHD_ConnectionInfo *info;

	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (slot)
			slot->fd = -1;
		return;
	}
	make_room(http);
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	for (size_t i = 0; info && i < CONNECTIONS_MAX; i++) {
		if (http->slots[i].fd >= 0)
			continue;
		http->slots[i] = (struct slot){.fd = info->connect_fd, .since_ms = kt_clock_ms()};
		*socket_context = &http->slots[i];
		return;
	}
}

static void end_old_connections(struct kt_http *http)
{
	int64_t now = kt_clock_ms();

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct slot *slot = &http->slots[i];

		if (slot->fd >= 0 && !slot->is_leaving && now - slot->since_ms >= CONNECTION_LIFE_MS)
			hang_up(slot);
	}
}

/* ---- requests ---- */

static enum MHD_Result take_argument(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct kt_http_request *request = context;

	(void)kind;
	if (strcmp(key, "verbose") == 0)
		request->verbose = true;
	else if (strcmp(key, "exclude") == 0 && value && request->exclude_count < KT_HTTP_EXCLUDES_MAX)
		request->exclude[request->exclude_count++] = value;
	return MHD_YES;
}

static void not_found(struct kt_http_reply *reply)
{
	reply->code = MHD_HTTP_NOT_FOUND;
	reply->body = strdup("not found: here are /livez, /readyz and /metrics\n");
}

static void not_allowed(struct kt_http_reply *reply)
{
	reply->code = MHD_HTTP_METHOD_NOT_ALLOWED;
	reply->body = strdup("method not allowed; use GET or HEAD\n");
}

/* Takes the reply's body. */
static enum MHD_Result send_reply(struct MHD_Connection *connection, struct kt_http_reply *reply)
{
	struct MHD_Response *response = NULL;
	enum MHD_Result r;

	if (reply->body)
		response = MHD_create_response_from_buffer(reply->size ? reply->size : strlen(reply->body), reply->body,
							   MHD_RESPMEM_MUST_FREE);
	if (!response) {
		free(reply->body);
		return MHD_NO;
	}
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (reply->code == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	r = MHD_queue_response(connection, reply->code, response);
	MHD_destroy_response(response);
	return r;
}

/* Called first when the head is complete: the answer is given then, so that no body is waited for. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
				  const char *method, const char *version, const char *upload, size_t *upload_size,
				  void **request_context)
{
	struct kt_http *http = context;
	struct kt_http_request request = {.path = path};
	struct kt_http_reply reply = {.content_type = "text/plain; charset=utf-8"};

	(void)version;
	(void)upload;
	(void)upload_size;
	(void)request_context;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		not_allowed(&reply);
		return send_reply(connection, &reply);
	}
	MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, &request);
	http->handler(http->context, &request, &reply);
	if (reply.code == 0)
		not_found(&reply);
	return send_reply(connection, &reply);
}

/* ---- the server ---- */

static int bind_one(const struct kt_http_address *address, int *ret_fd, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char text[KT_HTTP_ADDRESS_MAX];
	const int on = 1, off = 0;

	print_address(address, text);
	if (fd < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot make a socket to listen on %s", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	/* [::] takes IPv4 too, whatever net.ipv6.bindv6only says (ipv6(7)). */
	if (address->any.sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, &address->any, address->size) < 0 || listen(fd, BACKLOG) < 0)
		return kt_fail_errno(err, errno, KT_REASON_CONFIG_INVALID,
				     "cannot listen on %s, say another address with --listen", text);
	*ret_fd = kt_take_fd(&fd);
	return 0;
}

static int bind_socket(const struct kt_http_address *address, int *ret_fd, struct kt_error *err)
{
	struct kt_http_address v4 = {.size = sizeof(v4.v4)};
	int r = bind_one(address, ret_fd, err);

	/* Another failure, a port in use for one, would be the same with IPv4. */
	if (!address->is_any || (r != -EAFNOSUPPORT && r != -EADDRNOTAVAIL))
		return r;
	v4.v4.sin_family = AF_INET;
	v4.v4.sin_port = address->v6.sin6_port;
	return bind_one(&v4, ret_fd, err);
}

int kt_http_open(const struct kt_http_address *address, kt_http_handler handler, void *context,
		 struct kt_http **ret_http, struct kt_error *err)
{
	KT_OWN(kt_http_close) struct kt_http *http = calloc(1, sizeof(*http));
	const union MHD_DaemonInfo *info;
	int r;

	if (!http)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "no memory for the HTTP server");
	http->listen_fd = -1;
	http->handler = handler;
	http->context = context;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		http->slots[i].fd = -1;
	r = bind_socket(address, &http->listen_fd, err);
	if (r < 0)
		return r;
	http->daemon =
		MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET,
				 http->listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
				 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S,
				 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)POOL_BYTES, MHD_OPTION_NOTIFY_CONNECTION,
				 on_connection, http, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	info = http->daemon ? MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info || info->epoll_fd < 0)
		return kt_fail(err, EIO, KT_REASON_INTERNAL, "cannot start the HTTP server");
	http->epoll_fd = info->epoll_fd;
	*ret_http = kt_take_ptr(&http);
	return 0;
}

void kt_http_close(struct kt_http **http)
{
	struct kt_http *h = *http;

	*http = NULL;
	if (!h)
		return;
	if (h->daemon)
		MHD_stop_daemon(h->daemon); /* closes the socket that it listens on, too */
	else
		kt_close_fd(&h->listen_fd);
	free(h);
}

int kt_http_fd(const struct kt_http *http)
{
	return http->epoll_fd;
}

int kt_http_timeout_ms(const struct kt_http *http)
{
	MHD_UNSIGNED_LONG_LONG library_ms;
	int64_t now = kt_clock_ms(), timeout_ms = INT64_MAX;

	if (MHD_get_timeout(http->daemon, &library_ms) == MHD_YES)
		timeout_ms = library_ms < INT32_MAX ? (int64_t)library_ms : INT32_MAX;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		const struct slot *slot = &http->slots[i];
		int64_t left_ms = slot->since_ms + CONNECTION_LIFE_MS - now;

		if (slot->fd >= 0 && !slot->is_leaving && left_ms < timeout_ms)
			timeout_ms = left_ms > 0 ? left_ms : 0;
	}
	return timeout_ms == INT64_MAX ? -1 : (int)timeout_ms;
}

void kt_http_run(struct kt_http *http)
{
	end_old_connections(http);
	MHD_run(http->daemon);
}
