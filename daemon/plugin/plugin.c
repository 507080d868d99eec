/* One loop, one thread. Whatever wakes it, it looks at the same things in the same order: the state file, whether what
 * it says may be believed now, the device node, the sockets. At rest, with a kubelet that watches, the one thing that
 * wakes it is the state's end: an event that was lost is found then. */
#include "plugin.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/fs.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"
#include "kontain/base/signals.h"
#include "kontain/contract/statefile.h"
#include "plugin/device.h"
#include "plugin/register.h"

#define BLIND_LOOK_MS 1000 /* where inotify cannot be had */
#define LONGEST_MS    ((int64_t)24 * 3600 * 1000)

#define SOCKET_NAME        "kontain-kvm.sock"
#define LEGACY_RESOURCE    "devices.kubevirt.io/kvm"
#define LEGACY_SOCKET_NAME "kontain-kubevirt-kvm.sock"
#define LEGACY_RIVAL       "kubevirt-kvm.sock" /* virt-handler's own plugin for it */

#define FOLDER_EVENTS (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

enum { OWN, LEGACY, ENDPOINTS_MAX };
enum { FD_SIGNALS, FD_ALARM, FD_STATE, FD_FOLDER, FD_GRPC, FD_COUNT };

struct plugin {
	const struct kt_plugin_options *options;
	char boot_id[37];
	struct kt_statefile file;
	struct kt_grpc *grpc;
	int signals;
	int alarm;
	int folder; /* inotify of the kubelet's folder; -1: there is none */
	struct kt_offer offer;
	char node[PATH_MAX];
	size_t endpoint_count;
	struct kt_endpoint endpoints[ENDPOINTS_MAX];
	char told[640];
};

static void tell_offer(struct plugin *plugin)
{
	const struct kt_offer *offer = &plugin->offer;
	char now[sizeof(plugin->told)];

	if (offer->is_healthy)
		(void)snprintf(now, sizeof(now), "%s %.500s", offer->device, offer->km);
	else
		(void)snprintf(now, sizeof(now), "%s %.500s", kt_reason_name(offer->why.reason), offer->why.text);
	if (strcmp(now, plugin->told) == 0)
		return;
	memcpy(plugin->told, now, sizeof(now));
	if (offer->is_healthy)
		kt_log(KT_LOG_INFO, "devices healthy", "device", offer->device, "km", offer->km, NULL);
	else
		kt_log(KT_LOG_WARN, "devices unhealthy", "reason", kt_reason_name(offer->why.reason), "err",
		       offer->why.text, NULL);
}

/* ---- what is so ---- */

/* NULL when there is none that may be believed; why says why. Asked anew at each turn: time alone makes it overdue. */
static const struct kt_state *believed_state(struct plugin *plugin, struct kt_error *why)
{
	struct kt_statefile *file = &plugin->file;

	if (file->has_state &&
	    kt_state_believable(&file->state, plugin->boot_id, (uint64_t)kt_clock_boot_ms() / 1000, why) == 0)
		return &file->state;
	/* What is overdue may have been written anew, and the event lost. */
	kt_statefile_look(file, false);
	if (!file->has_state) {
		*why = file->why;
		return NULL;
	}
	return kt_state_believable(&file->state, plugin->boot_id, (uint64_t)kt_clock_boot_ms() / 1000, why) == 0 ?
		       &file->state :
		       NULL;
}

static int make_node(struct plugin *plugin, const char *device, struct kt_error *err)
{
	const char *name = strrchr(device, '/') + 1;
	dev_t number;
	int r = kt_device_number(name, &number, err);

	if (r == 0)
		r = kt_device_make(plugin->options->device_folder, name, number, err);
	if (r == 0)
		(void)snprintf(plugin->node, sizeof(plugin->node), "%s/%s", plugin->options->device_folder, name);
	return r;
}

static void decide(struct plugin *plugin)
{
	struct kt_error why = {0};
	const struct kt_state *state = believed_state(plugin, &why);

	kt_offer_decide(state, &why, &plugin->offer);
	if (plugin->offer.is_healthy && make_node(plugin, plugin->offer.device, &plugin->offer.why) < 0)
		plugin->offer.is_healthy = false;
	tell_offer(plugin);
	for (size_t i = 0; i < plugin->endpoint_count; i++)
		if (kt_service_update(&plugin->endpoints[i].service) < 0)
			kt_log(KT_LOG_ERROR, "kubelet not told", "reason", kt_reason_name(KT_REASON_OUT_OF_MEMORY),
			       NULL);
}

static int tend(struct plugin *plugin, struct kt_error *err)
{
	int r = 0;

	for (size_t i = 0; i < plugin->endpoint_count && r == 0; i++)
		r = kt_endpoint_tend(&plugin->endpoints[i], kt_clock_boot_ms(), err);
	return r;
}

/* ---- the loop ---- */

static void sooner(int64_t *pause_ms, int64_t other_ms)
{
	if (other_ms < *pause_ms)
		*pause_ms = other_ms > 0 ? other_ms : 0;
}

static int64_t pause_ms(const struct plugin *plugin)
{
	const struct kt_statefile *file = &plugin->file;
	int64_t now = kt_clock_boot_ms(), pause = LONGEST_MS, grpc = kt_grpc_timeout_ms(plugin->grpc);

	/* Until the state may be no longer believed: nobody tells us when that is. */
	if (plugin->offer.is_healthy)
		sooner(&pause, (int64_t)(file->state.next_update_boot_s + 1) * 1000 - now);
	if (file->inotify < 0 || plugin->folder < 0)
		sooner(&pause, BLIND_LOOK_MS);
	if (grpc >= 0)
		sooner(&pause, grpc);
	for (size_t i = 0; i < plugin->endpoint_count; i++) {
		int64_t due = kt_endpoint_due_ms(&plugin->endpoints[i]);

		if (due != KT_ENDPOINT_NEVER)
			sooner(&pause, due - now);
	}
	return pause;
}

/* True when it was told to end. */
static bool take_signal(const struct plugin *plugin)
{
	const char *name = kt_signals_take(plugin->signals);

	if (name)
		kt_log(KT_LOG_INFO, "stopped", "reason", name, NULL);
	return name;
}

/* What happened in the folder is looked at, whatever it was. */
static void drain(int fd)
{
	char bytes[4096];

	while (read(fd, bytes, sizeof(bytes)) > 0)
		;
}

static int loop(struct plugin *plugin, struct kt_error *err)
{
	for (;;) {
		struct pollfd fds[FD_COUNT] = {
			[FD_SIGNALS] = {.fd = plugin->signals, .events = POLLIN},
			[FD_ALARM] = {.fd = plugin->alarm, .events = POLLIN},
			[FD_STATE] = {.fd = plugin->file.inotify, .events = POLLIN}, /* -1 is left out */
			[FD_FOLDER] = {.fd = plugin->folder, .events = POLLIN},
			[FD_GRPC] = {.fd = kt_grpc_fd(plugin->grpc), .events = POLLIN},
		};
		int64_t pause;
		int r;

		decide(plugin);
		r = tend(plugin, err);
		if (r < 0)
			return r;
		pause = pause_ms(plugin);
		kt_clock_alarm_set(plugin->alarm, pause);
		if (poll(fds, FD_COUNT, pause == 0 ? 0 : -1) < 0 && errno != EINTR)
			return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot wait");
		if (fds[FD_SIGNALS].revents && take_signal(plugin))
			return 0;
		if (plugin->file.inotify < 0 || (fds[FD_STATE].revents && kt_statefile_take(&plugin->file)))
			kt_statefile_look(&plugin->file, plugin->file.inotify >= 0);
		if (fds[FD_FOLDER].revents)
			drain(plugin->folder);
		/* What the state says now, before anybody is answered by what it said. */
		decide(plugin);
		kt_grpc_run(plugin->grpc);
	}
}

static void watch_folder(struct plugin *plugin)
{
	plugin->folder = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (plugin->folder >= 0 &&
	    inotify_add_watch(plugin->folder, plugin->options->kubelet_folder, FOLDER_EVENTS) < 0)
		kt_close_fd(&plugin->folder);
	if (plugin->folder < 0)
		kt_log(KT_LOG_WARN, "inotify is unavailable; checking the kubelet's folder every second", "err",
		       strerror(errno), NULL);
}

static void add_endpoint(struct plugin *plugin, const struct kt_endpoint *endpoint)
{
	struct kt_endpoint *added = &plugin->endpoints[plugin->endpoint_count++];

	*added = *endpoint;
	added->grpc = plugin->grpc;
	added->folder = plugin->options->kubelet_folder;
	added->ask_at_ms = KT_ENDPOINT_NEVER;
	added->service.count = plugin->options->count;
	added->service.mount = plugin->options->mount;
	added->service.offer = &plugin->offer;
	added->service.node = plugin->node;
}

static int open_all(struct plugin *plugin, struct kt_error *err)
{
	const struct kt_plugin_options *options = plugin->options;
	const char *problem;
	int r = kt_fs_boot_id(plugin->boot_id);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_PROC_MISSING, "cannot read the kernel's boot id: mount /proc");
	plugin->alarm = kt_clock_alarm_open();
	if (plugin->alarm < 0)
		return kt_fail_errno(err, -plugin->alarm, KT_REASON_INTERNAL, "cannot create a timer");
	r = kt_signals_open(&plugin->signals, err);
	if (r == 0)
		r = kt_endpoint_check_folder(options->kubelet_folder, err);
	if (r == 0)
		r = kt_grpc_open(&plugin->grpc, err);
	if (r < 0)
		return r;
	watch_folder(plugin);
	kt_statefile_open(&plugin->file, options->state, &problem);
	if (problem)
		kt_log(KT_LOG_WARN, "inotify is unavailable; checking the state every second", "err", problem, NULL);
	add_endpoint(plugin, &(struct kt_endpoint){
				     .socket_name = SOCKET_NAME,
				     .service.resource = options->resource,
			     });
	if (options->has_legacy)
		add_endpoint(plugin, &(struct kt_endpoint){
					     .socket_name = LEGACY_SOCKET_NAME,
					     .rival = LEGACY_RIVAL,
					     .service.resource = LEGACY_RESOURCE,
				     });
	return 0;
}

static void close_all(struct plugin *plugin)
{
	for (size_t i = 0; i < plugin->endpoint_count; i++) {
		kt_endpoint_close(&plugin->endpoints[i]);
		kt_service_done(&plugin->endpoints[i].service);
	}
	kt_grpc_close(&plugin->grpc);
	kt_statefile_close(&plugin->file);
	kt_close_fd(&plugin->folder);
	kt_close_fd(&plugin->signals);
	kt_close_fd(&plugin->alarm);
}

int kt_plugin_run(const struct kt_plugin_options *options, const char *landlock, struct kt_error *err)
{
	KT_OWN(close_all)
	struct plugin plugin = {.options = options, .signals = -1, .alarm = -1, .folder = -1, .file = {.inotify = -1}};
	int r = open_all(&plugin, err);

	if (r < 0)
		return r;
	kt_log(KT_LOG_INFO, "started", "path", options->state, "kubelet", options->kubelet_folder, "landlock", landlock,
	       NULL);
	return loop(&plugin, err);
}
