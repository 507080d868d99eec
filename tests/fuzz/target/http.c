/* links: kt_serve kt_contract kt_base */
/* The health port: a client that says anything, on a real socket. It is answered or hung up on, nothing else is called
 * than what may be, and the probe behind it is served as ever. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "serve/health.h"
#include "serve/metrics.h"

#define ANSWER_MAX  65536
#define LIFE_MS     10000 /* of a connection, at most */
#define REQUEST_MAX 4096
#define PROBES_MAX  3

static struct kt_http *http;
static struct kt_http_address address;
static unsigned handled;

static void handle(void *context, const struct kt_http_request *request, struct kt_http_reply *reply)
{
	const struct kt_error why = {.reason = KT_REASON_STATE_MISSING, .text = "no state"};
	const struct kt_health_input input = {.why = &why, .report_problem = "nothing reported"};
	const struct kt_metrics_input metrics = {.why = &why};
	struct kt_health health;

	(void)context;
	handled++;
	FUZZ_REQUIRE(request->path && request->exclude_count <= KT_HTTP_EXCLUDES_MAX);
	for (size_t i = 0; i < request->exclude_count; i++)
		FUZZ_REQUIRE(request->exclude[i] && strlen(request->exclude[i]) < REQUEST_MAX * 4);
	kt_health_judge(&input, &health);
	kt_health_answer(&health, request, reply);
	if (reply->code == 0 && strcmp(request->path, "/metrics") == 0)
		kt_metrics_answer(&metrics, reply);
}

static void server_close(void)
{
	kt_http_close(&http);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char text[KT_HTTP_ADDRESS_MAX];

	(void)argc;
	(void)argv;
	FUZZ_REQUIRE(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	FUZZ_REQUIRE(kt_http_parse_address("127.0.0.1:0", &address, KT_ERROR_IGNORED) == 0);
	FUZZ_REQUIRE(kt_http_open(&address, handle, NULL, &http, KT_ERROR_IGNORED) == 0);
	kt_http_address_text(http, text);
	FUZZ_REQUIRE(kt_http_parse_address(text, &address, KT_ERROR_IGNORED) == 0);
	FUZZ_REQUIRE(atexit(server_close) == 0);
	return 0;
}

/* A connection that leaves no port waiting behind it: thousands are made. */
static int connection_open(void)
{
	const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	FUZZ_REQUIRE(fd >= 0 && connect(fd, &address.any, address.size) == 0);
	FUZZ_REQUIRE(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)) == 0);
	return fd;
}

/* What the server has to do without waiting for anything. */
static void server_run(void)
{
	struct pollfd fd = {.fd = kt_http_fd(http), .events = POLLIN};

	while (kt_http_timeout_ms(http) == 0 || poll(&fd, 1, 0) > 0)
		kt_http_run(http);
}

/* Takes what comes until the server hangs up, which it does in its own time whatever was said. Returns the size. */
static size_t answer_take(int fd, char answer[ANSWER_MAX])
{
	size_t got = 0;
	ssize_t r = 1;

	while (r > 0) {
		struct pollfd fds[] = {{.fd = fd, .events = POLLIN}, {.fd = kt_http_fd(http), .events = POLLIN}};
		int timeout_ms = kt_http_timeout_ms(http);

		/* without one the server holds no connection, and ours was hung up on */
		FUZZ_REQUIRE(timeout_ms <= LIFE_MS);
		FUZZ_REQUIRE(poll(fds, timeout_ms < 0 ? 1 : 2, timeout_ms < 0 ? LIFE_MS : timeout_ms) >= 0);
		FUZZ_REQUIRE(timeout_ms >= 0 || fds[0].revents);
		kt_http_run(http);
		if (fds[0].revents) {
			r = recv(fd, answer + got, ANSWER_MAX - 1 - got, MSG_DONTWAIT);
			got += r > 0 ? (size_t)r : 0;
			r = r < 0 && errno == EAGAIN ? 1 : r;
		}
	}
	answer[got] = '\0';
	return got;
}

/* The end is told once all before it has been read: the library waits for its idle timeout when both come at once. */
static size_t talk(const void *bytes, size_t size, char answer[ANSWER_MAX])
{
	KT_OWN(kt_close_fd) int fd = connection_open();

	(void)!send(fd, bytes, size, 0); /* fits the socket's buffer; the server may have hung up */
	server_run();
	(void)shutdown(fd, SHUT_WR);
	return answer_take(fd, answer);
}

/* The status of an answer, which is one of those that there are; 0 for none. */
static unsigned status_of(const char *answer, size_t size)
{
	unsigned code = 0;

	if (size == 0)
		return 0;
	FUZZ_REQUIRE(sscanf(answer, "HTTP/1.%*1[01] %3u ", &code) == 1 && code >= 200 && code < 600);
	FUZZ_REQUIRE(strstr(answer, "\r\n\r\n") != NULL);
	return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char probe[] = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
	static char answer[ANSWER_MAX];
	unsigned code;

	if (size > REQUEST_MAX)
		return 0;
	handled = 0;
	code = status_of(answer, talk(bytes, size, answer));
	FUZZ_REQUIRE(handled <= 1); /* one request a connection */
	if (handled == 0)
		FUZZ_REQUIRE(code == 0 || code == 405 || (code >= 400 && code < 600));
	if (code == 200)
		FUZZ_REQUIRE(handled == 1);
	fuzz_taken += handled;
	code = 0;
	/* once more only where nothing came: a machine that stood still costs a connection its time */
	for (int attempt = 0; code == 0 && attempt < PROBES_MAX; attempt++) {
		handled = 0;
		code = status_of(answer, talk(probe, sizeof(probe) - 1, answer));
	}
	FUZZ_REQUIRE(code == 200 && handled == 1 && strstr(answer, "\r\n\r\nok\n"));
	return 0;
}
