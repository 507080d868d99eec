/* links: kt_plugin kt_contract kt_base */
/* The plugin's socket: a client that says anything. Frames are made of the input, so that there is more than a broken
 * preface; whatever they are, no call outlives its connection, and the client behind it is served as ever. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "plugin/service.h"

#define OPTIONS  "/v1beta1.DevicePlugin/GetDevicePluginOptions"
#define OUT_MAX  (64 << 10)
#define TURNS    64
#define PREFACE  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
#define FRAME    9
#define ID_COUNT 20

static struct kt_grpc *grpc;
static struct kt_grpc_server *server;
static struct kt_offer offer = {
	.is_healthy = true, .device = "/dev/kvm", .root = "/opt/kontain", .km = "/opt/kontain/versions/km/1/bin/km"};
static struct kt_service service = {.resource = "a/b", .count = ID_COUNT, .offer = &offer, .node = "/r/device/kvm"};
static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int answer = -2; /* to our own question */

static void close_all(void)
{
	kt_grpc_server_close(&server);
	kt_service_done(&service);
	kt_grpc_close(&grpc);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)argc;
	(void)argv;
	FUZZ_REQUIRE(signal(SIGPIPE, SIG_IGN) != SIG_ERR);
	FUZZ_REQUIRE((size_t)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", fuzz_space()) <
		     sizeof(address.sun_path));
	FUZZ_REQUIRE(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 8) == 0);
	FUZZ_REQUIRE(kt_grpc_open(&grpc, NULL) == 0);
	FUZZ_REQUIRE(kt_grpc_serve(grpc, fd, &kt_service_handler, &service, &server, NULL) == 0);
	FUZZ_REQUIRE(atexit(close_all) == 0);
	return 0;
}

/* What there is to do without waiting for anything. */
static void run(void)
{
	struct pollfd fd = {.fd = kt_grpc_fd(grpc), .events = POLLIN};

	for (int i = 0; i < TURNS && (kt_grpc_timeout_ms(grpc) == 0 || poll(&fd, 1, 0) > 0); i++)
		kt_grpc_run(grpc);
}

/* Frames of a byte each for type, flags, stream and length, and the payload; or, where the first byte is odd, the bytes
 * as they are. */
static size_t make_frames(const uint8_t *bytes, size_t size, uint8_t out[OUT_MAX])
{
	size_t made = sizeof(PREFACE) - 1;

	memcpy(out, PREFACE, made);
	if (size > 0 && bytes[0] % 2 == 1) {
		memcpy(out + made, bytes + 1, size - 1);
		return made + size - 1;
	}
	for (size_t at = 1; at + 4 <= size && made + FRAME + UINT8_MAX < OUT_MAX;) {
		size_t length = bytes[at + 3] < size - at - 4 ? bytes[at + 3] : size - at - 4;

		memcpy(out + made,
		       (uint8_t[FRAME]){0, 0, (uint8_t)length, bytes[at], bytes[at + 1], 0, 0, 0, bytes[at + 2]},
		       FRAME);
		memcpy(out + made + FRAME, bytes + at + 4, length);
		made += FRAME + length;
		at += 4 + length;
	}
	return made;
}

static void on_answered(void *context, int status, const char *message)
{
	(void)context;
	FUZZ_REQUIRE(message != NULL);
	answer = status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static uint8_t out[OUT_MAX], in[OUT_MAX];
	KT_OWN(kt_close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t made, sent = 0;

	if (size > OUT_MAX / 2)
		return 0;
	made = make_frames(bytes, size, out);
	FUZZ_REQUIRE(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	while (sent < made) {
		ssize_t put = write(fd, out + sent, made - sent);

		run();
		if (put < 0 && errno != EAGAIN)
			break; /* hung up on */
		sent += put > 0 ? (size_t)put : 0;
		while (read(fd, in, sizeof(in)) > 0)
			;
	}
	offer.is_healthy = !offer.is_healthy;
	FUZZ_REQUIRE(kt_service_update(&service) == 0);
	run();
	fuzz_taken += service.watcher_count > 0 || sent == made;
	FUZZ_REQUIRE(service.watcher_count <= KT_SERVICE_WATCHERS_MAX);
	answer = -2;
	FUZZ_REQUIRE(kt_grpc_ask(grpc, address.sun_path, OPTIONS, NULL, 0, on_answered, NULL, NULL) == 0);
	for (int i = 0; i < TURNS && answer == -2; i++)
		run();
	FUZZ_REQUIRE(answer == KT_GRPC_OK);
	kt_close_fd(&fd);
	run();
	FUZZ_REQUIRE(service.watcher_count == 0);
	return 0;
}
