/* What is known of kubelets (1.20 to 1.34):
 * - a starting kubelet removes every socket of the folder, so ours is looked for at each change there, bound again and
 *   registered;
 * - it calls the plugin before it answers Register, so nothing here waits for that answer;
 * - one that is told of a new instance while the old one's stream is open drops the resource when that stream ends. So
 *   an instance whose socket is another's now ends its streams at once, and whoever lost its last stream registers
 *   again.
 *
 * Two instances never fight: a new one takes the socket (rename), an old one takes it back only when nobody has it. */
#include "register.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/fs.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"

#define KUBELET_SOCKET "kubelet.sock"
#define REGISTER       "/v1beta1.Registration/Register"

#define LOOK_MS      5000  /* while no kubelet watches */
#define STANDBY_MS   2000  /* is the other instance still there? */
#define AGAIN_MS     100   /* after a stream's end: the kubelet has to take note of it first */
#define WATCH_MS     10000 /* from Register's answer to a stream; a kubelet takes some ms */
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 10000
#define BACKLOG      16

static const char *path_of(const struct kt_endpoint *endpoint, const char *name,
			   char ret_path[sizeof(((struct sockaddr_un *)0)->sun_path)])
{
	size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);

	/* The folder's length is looked at before, see kt_endpoint_check_folder. */
	(void)snprintf(ret_path, room, "%s/%s", endpoint->folder, name);
	return ret_path;
}

static bool look_at(const struct kt_endpoint *endpoint, const char *name, struct stat *ret_info)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];

	*ret_info = (struct stat){.st_ino = 0};
	return lstat(path_of(endpoint, name, path), ret_info) == 0 && S_ISSOCK(ret_info->st_mode);
}

/* The number may be given to another once a socket has gone; the time is that of its making. */
static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int kt_endpoint_check_folder(const char *folder, struct kt_error *err)
{
	struct stat info;

	/* The longest name: .partial-kontain-kubevirt-kvm.sock */
	if (strlen(folder) + 40 > sizeof(((struct sockaddr_un *)0)->sun_path))
		return kt_fail(err, ENAMETOOLONG, KT_REASON_CONFIG_INVALID,
			       "%.100s: the path of the kubelet's folder is too long for sockets", folder);
	if (stat(folder, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_CONFIG_INVALID,
				     "cannot look at %s, where the kubelet has its plugins: see --kubelet-folder",
				     folder);
	if (!S_ISDIR(info.st_mode) || (info.st_uid != 0 && info.st_uid != geteuid()) || (info.st_mode & 022))
		return kt_fail(err, EPERM, KT_REASON_CONFIG_INVALID,
			       "%s is not safe (uid %u, mode %o): expected a directory that only root may write to",
			       folder, (unsigned)info.st_uid, (unsigned)info.st_mode);
	/* In a pod a folder that was replaced is still mounted, and nobody else has it. */
	if (info.st_nlink == 0)
		return kt_fail(err, ENOENT, KT_REASON_INTERNAL, "%s was removed on the host: start again", folder);
	return 0;
}

static void tell(struct kt_endpoint *endpoint, const char *event, const char *text)
{
	char line[sizeof(endpoint->told)];

	(void)snprintf(line, sizeof(line), "%s: %.200s", event, text);
	if (strcmp(line, endpoint->told) == 0)
		return;
	memcpy(endpoint->told, line, sizeof(line));
	kt_log(KT_LOG_WARN, event, "resource", endpoint->service.resource, "err", text, NULL);
}

/* ---- the socket ---- */

static void stop_serving(struct kt_endpoint *endpoint)
{
	kt_grpc_server_close(&endpoint->server);
	endpoint->ask_at_ms = KT_ENDPOINT_NEVER;
	endpoint->was_watched = false;
}

static int make_socket(const struct kt_endpoint *endpoint, const char *name, int *ret_fd, struct kt_error *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	KT_OWN(kt_close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	path_of(endpoint, name, address.sun_path);
	if (unlink(address.sun_path) < 0 && errno != ENOENT)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot remove %s", address.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, BACKLOG) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot listen on %s", address.sun_path);
	*ret_fd = kt_take_fd(&fd);
	return 0;
}

/* Under a name of its own first: there is never a socket that nobody listens on. flags as in renameat2(2). */
static int bind_socket(struct kt_endpoint *endpoint, unsigned flags, struct kt_error *err)
{
	char temporary[64], from[sizeof(((struct sockaddr_un *)0)->sun_path)],
		to[sizeof(((struct sockaddr_un *)0)->sun_path)];
	KT_OWN(kt_close_fd) int fd = -1;
	int r;

	(void)snprintf(temporary, sizeof(temporary), KT_FS_TEMPORARY "%s", endpoint->socket_name);
	r = make_socket(endpoint, temporary, &fd, err);
	if (r < 0)
		return r;
	path_of(endpoint, temporary, from);
	path_of(endpoint, endpoint->socket_name, to);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, flags) < 0) {
		int code = errno;

		(void)unlink(from);
		return kt_fail_errno(err, code, KT_REASON_INTERNAL, "cannot rename %s to %s", from, to);
	}
	(void)look_at(endpoint, endpoint->socket_name, &endpoint->own);
	return kt_grpc_serve(endpoint->grpc, kt_take_fd(&fd), &kt_service_handler, &endpoint->service,
			     &endpoint->server, err);
}

static int take_socket(struct kt_endpoint *endpoint, unsigned flags, int64_t now_ms, struct kt_error *err)
{
	int r;

	stop_serving(endpoint);
	r = bind_socket(endpoint, flags, err);
	if (r < 0)
		return r;
	endpoint->ask_at_ms = now_ms;
	endpoint->is_stale = endpoint->is_asking;
	endpoint->place = KT_ENDPOINT_SERVING;
	endpoint->failures = 0;
	kt_log(KT_LOG_INFO, "serving", "resource", endpoint->service.resource, "path", endpoint->socket_name, NULL);
	return 0;
}

/* Does anybody listen there? A process that was killed leaves its socket. */
static bool is_listening(const struct kt_endpoint *endpoint, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	KT_OWN(kt_close_fd) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	path_of(endpoint, name, address.sun_path);
	/* EAGAIN: so many wait there that somebody must be about to come */
	return fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN;
}

static bool has_rival(const struct kt_endpoint *endpoint)
{
	struct stat info;

	return endpoint->rival && look_at(endpoint, endpoint->rival, &info) && is_listening(endpoint, endpoint->rival);
}

static void give_way(struct kt_endpoint *endpoint, enum kt_endpoint_place place, const char *why)
{
	stop_serving(endpoint);
	endpoint->place = place;
	tell(endpoint, "not serving", why);
}

static int tend_socket(struct kt_endpoint *endpoint, int64_t now_ms, struct kt_error *err)
{
	struct stat seen;
	bool is_there = look_at(endpoint, endpoint->socket_name, &seen);
	int r;

	if (has_rival(endpoint)) {
		if (endpoint->place == KT_ENDPOINT_SERVING)
			kt_endpoint_close(endpoint);
		give_way(endpoint, KT_ENDPOINT_REFUSED, "another device plugin offers this resource on this node");
		return 0;
	}
	switch (endpoint->place) {
	case KT_ENDPOINT_SERVING:
		if (is_there && is_same(&seen, &endpoint->own))
			return 0;
		if (is_there) {
			give_way(endpoint, KT_ENDPOINT_STANDBY, "another instance took over");
			return 0;
		}
		break;
	case KT_ENDPOINT_STANDBY:
		if (is_there && is_listening(endpoint, endpoint->socket_name))
			return 0;
		break;
	case KT_ENDPOINT_NEW:
	case KT_ENDPOINT_REFUSED:
		r = take_socket(endpoint, 0, now_ms, err);
		/* An older instance sees that it lost its socket, and ends its streams, before the kubelet is told of
		 * us. */
		if (r == 0 && is_there)
			endpoint->ask_at_ms = now_ms + AGAIN_MS;
		return r;
	}
	/* Gone, or left behind. Where two see that at once, one is first. */
	if (is_there && endpoint->place == KT_ENDPOINT_STANDBY)
		return take_socket(endpoint, 0, now_ms, err);
	r = take_socket(endpoint, RENAME_NOREPLACE, now_ms, err);
	if (r == -EEXIST) {
		give_way(endpoint, KT_ENDPOINT_STANDBY, "another instance took over");
		return 0;
	}
	return r;
}

/* ---- the registration ---- */

static void ask_later(struct kt_endpoint *endpoint)
{
	int64_t pause = RETRY_MIN_MS;

	for (unsigned i = 0; i < endpoint->failures && pause < RETRY_MAX_MS; i++)
		pause *= 2;
	if (pause > RETRY_MAX_MS)
		pause = RETRY_MAX_MS;
	endpoint->failures++;
	endpoint->ask_at_ms = kt_clock_boot_ms() + pause;
}

static void on_answered(void *context, int status, const char *message)
{
	struct kt_endpoint *endpoint = context;

	bool is_stale = endpoint->is_stale;

	endpoint->is_asking = endpoint->is_stale = false;
	if (endpoint->place != KT_ENDPOINT_SERVING)
		return;
	if (is_stale) { /* what was registered has gone meanwhile */
		endpoint->ask_at_ms = kt_clock_boot_ms();
		return;
	}
	if (status != KT_GRPC_OK) {
		tell(endpoint, "not registered", message[0] ? message : "the kubelet gave no reason");
		ask_later(endpoint);
		return;
	}
	kt_log(KT_LOG_INFO, "registered", "resource", endpoint->service.resource, NULL);
	endpoint->told[0] = '\0';
	endpoint->failures = 0;
	/* It has called us already, or it will. */
	endpoint->ask_at_ms = endpoint->service.watcher_count > 0 ? KT_ENDPOINT_NEVER : kt_clock_boot_ms() + WATCH_MS;
}

static void ask(struct kt_endpoint *endpoint, int64_t now_ms)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct kt_error err = {0};
	size_t size = 0;
	KT_OWN(kt_free_mem)
	uint8_t *bytes = kt_wire_print_registration(endpoint->socket_name, endpoint->service.resource, &size);
	int r;

	if (!look_at(endpoint, KUBELET_SOCKET, &endpoint->kubelet)) {
		/* Its socket's arrival is told, or seen at the next look. */
		tell(endpoint, "waiting for the kubelet", "it has no kubelet.sock in its folder for plugins");
		endpoint->ask_at_ms = KT_ENDPOINT_NEVER;
		return;
	}
	if (!bytes) {
		ask_later(endpoint);
		return;
	}
	r = kt_grpc_ask(endpoint->grpc, path_of(endpoint, KUBELET_SOCKET, path), REGISTER, bytes, size, on_answered,
			endpoint, &err);
	if (r == 0) {
		endpoint->is_asking = true;
		endpoint->ask_at_ms = KT_ENDPOINT_NEVER;
	} else if (r == -EBUSY) {
		endpoint->ask_at_ms = now_ms + AGAIN_MS; /* our other resource asks */
	} else {
		tell(endpoint, "not registered", err.text);
		ask_later(endpoint);
	}
}

static void tend_registration(struct kt_endpoint *endpoint, int64_t now_ms)
{
	bool is_watched = endpoint->service.watcher_count > 0;
	struct stat kubelet;
	bool is_there = look_at(endpoint, KUBELET_SOCKET, &kubelet);

	if (endpoint->was_watched && !is_watched && endpoint->is_asking)
		endpoint->is_stale = true;
	else if (endpoint->was_watched && !is_watched)
		endpoint->ask_at_ms = now_ms + AGAIN_MS;
	if (is_watched && !endpoint->was_watched && !endpoint->is_asking)
		endpoint->ask_at_ms = KT_ENDPOINT_NEVER;
	endpoint->was_watched = is_watched;
	/* Another kubelet, or the same one anew. */
	if (is_there && !endpoint->is_asking && !is_same(&kubelet, &endpoint->kubelet) &&
	    endpoint->ask_at_ms == KT_ENDPOINT_NEVER)
		endpoint->ask_at_ms = now_ms;
	if (!endpoint->is_asking && endpoint->ask_at_ms <= now_ms)
		ask(endpoint, now_ms);
}

int kt_endpoint_tend(struct kt_endpoint *endpoint, int64_t now_ms, struct kt_error *err)
{
	int r = kt_endpoint_check_folder(endpoint->folder, err);

	if (r == 0)
		r = tend_socket(endpoint, now_ms, err);
	if (r < 0)
		return r;
	if (endpoint->place == KT_ENDPOINT_SERVING)
		tend_registration(endpoint, now_ms);
	endpoint->look_at_ms = now_ms + (endpoint->place == KT_ENDPOINT_STANDBY ? STANDBY_MS : LOOK_MS);
	return 0;
}

int64_t kt_endpoint_due_ms(const struct kt_endpoint *endpoint)
{
	bool is_at_rest = endpoint->place == KT_ENDPOINT_SERVING && endpoint->service.watcher_count > 0;

	return is_at_rest || endpoint->ask_at_ms < endpoint->look_at_ms ? endpoint->ask_at_ms : endpoint->look_at_ms;
}

void kt_endpoint_close(struct kt_endpoint *endpoint)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct stat seen;
	bool is_ours =
		endpoint->server && look_at(endpoint, endpoint->socket_name, &seen) && is_same(&seen, &endpoint->own);

	stop_serving(endpoint);
	if (is_ours)
		(void)unlink(path_of(endpoint, endpoint->socket_name, path));
}
