/* links: kt_kube kt_contract kt_base */
/* The client without a server that answers; tests/kube/daemon has it talk TLS to honest and lying ones. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "kube/client.h"

#define TOKEN "a-token-of-the-test"

static char folder[] = "/tmp/kt-client-XXXXXX";

static void put_token(bool there)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/token", folder);
	(void)unlink(path);
	if (there) {
		KT_OWN(kt_close_fd) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_int_equal(write(fd, TOKEN, strlen(TOKEN)), (ssize_t)strlen(TOKEN));
	}
}

/* A TCP port on loopback: listening but never answering, or with nobody behind it. */
static int make_port(bool listening, char port[8])
{
	KT_OWN(kt_close_fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof(address);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	snprintf(port, 8, "%u", ntohs(address.sin_port));
	if (listening)
		assert_int_equal(listen(fd, 8), 0);
	return kt_take_fd(&fd);
}

static void open_client(const char *host, const char *port, struct kt_kube **ret_kube)
{
	struct kt_kube_settings settings = {.host = host, .port = port, .credentials = folder, .user_agent = "test/1"};
	struct kt_error err = {0};

	if (kt_kube_open(&settings, ret_kube, &err) < 0)
		fail_msg("%s", err.text);
}

static int start(struct kt_kube *kube, const char *verb, struct kt_error *err)
{
	struct kt_kube_request request = {.verb = verb, .path = "/api/v1/nodes/mine"};

	if (strcmp(verb, "PATCH") == 0) {
		request.content_type = "application/merge-patch+json";
		request.body = strdup("{}");
	}
	return kt_kube_start(kube, &request, err);
}

static void test_without_a_server_it_waits(void **context)
{
	KT_OWN(kt_kube_close) struct kt_kube *kube = NULL;
	const struct kt_kube_count *counts;
	struct kt_kube_reply reply;
	struct kt_error err = {0};
	struct pollfd fds[9] = {0};
	int pipes[2];

	(void)context;
	open_client(NULL, NULL, &kube);
	assert_int_equal(pipe2(pipes, O_CLOEXEC | O_NONBLOCK), 0);
	fds[0] = (struct pollfd){.fd = pipes[0], .events = POLLIN};
	assert_int_equal(kt_kube_wait(kube, fds, 1, 1, &err), 0);
	assert_int_equal(fds[0].revents, 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(kt_kube_wait(kube, fds, 1, 60000, &err), 0); /* a minute, were it not for the byte */
	assert_int_equal(fds[0].revents, POLLIN);
	assert_int_equal(kt_kube_wait(kube, fds, 9, 1, &err), -EINVAL);
	assert_false(kt_kube_is_busy(kube));
	assert_false(kt_kube_finish(kube, &reply));
	assert_int_equal(kt_kube_counts(kube, &counts), 0);
	close(pipes[0]);
	close(pipes[1]);
}

static void test_without_a_token_nothing_is_sent(void **context)
{
	KT_OWN(kt_kube_close) struct kt_kube *kube = NULL;
	struct kt_error err = {0};

	(void)context;
	put_token(false);
	open_client("127.0.0.1", "1", &kube);
	assert_int_equal(start(kube, "PATCH", &err), -ENOENT);
	assert_non_null(strstr(err.text, "/token"));
	assert_false(kt_kube_is_busy(kube));
}

static void test_nobody_there(void **context)
{
	static const char *const verbs[] = {"GET", "PATCH", "GET", "PATCH", "GET"};
	KT_OWN(kt_kube_close) struct kt_kube *kube = NULL;
	const struct kt_kube_count *counts;
	char port[8];
	KT_OWN(kt_close_fd) int fd = make_port(false, port);

	(void)context;
	assert_true(fd >= 0);
	put_token(true);
	open_client("127.0.0.1", port, &kube);
	for (size_t i = 0; i < 5; i++) {
		struct kt_kube_reply reply = {0};
		struct kt_error err = {0};

		assert_int_equal(start(kube, verbs[i], &err), 0);
		assert_true(kt_kube_is_busy(kube));
		while (!kt_kube_finish(kube, &reply))
			assert_int_equal(kt_kube_wait(kube, NULL, 0, 10000, &err), 0);
		assert_false(kt_kube_is_busy(kube));
		assert_int_equal(reply.code, 0);
		assert_int_equal(reply.size, 0);
		assert_non_null(strstr(reply.problem, "does not answer"));
		assert_null(strstr(reply.problem, TOKEN));
	}
	assert_int_equal(kt_kube_counts(kube, &counts), 2);
	assert_string_equal(counts[0].verb, "GET");
	assert_string_equal(counts[0].code, "error");
	assert_int_equal(counts[0].count, 3);
	assert_int_equal(counts[1].count, 2);
}

/* With a request in flight, to a server that says nothing or a name that may take its time, the end does not wait. */
static void test_the_end_does_not_wait(void **context)
{
	static const char *const hosts[] = {"127.0.0.1", "a-name.invalid"};
	char port[8];
	KT_OWN(kt_close_fd) int fd = make_port(true, port);

	(void)context;
	assert_true(fd >= 0);
	put_token(true);
	for (size_t i = 0; i < 2; i++) {
		struct kt_kube *kube = NULL;
		struct kt_error err = {0};

		open_client(hosts[i], port, &kube);
		assert_int_equal(start(kube, "GET", &err), 0);
		for (int turn = 0; turn < 3; turn++)
			assert_int_equal(kt_kube_wait(kube, NULL, 0, 5, &err), 0);
		kt_kube_close(&kube);
		assert_null(kube);
	}
}

static int begin(void **context)
{
	(void)context;
	return mkdtemp(folder) ? 0 : -1;
}

static int end(void **context)
{
	(void)context;
	put_token(false);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_server_it_waits),
		cmocka_unit_test(test_without_a_token_nothing_is_sent),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_the_end_does_not_wait),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
