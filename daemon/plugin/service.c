/* Devices have no differences, so nothing is preferred and nothing is done before a start; but a kubelet that asks is
 * answered. */
#include "service.h"

#include <errno.h>
#include <string.h>

#define SERVICE "/v1beta1.DevicePlugin/"

typedef void method(struct kt_service *service, struct kt_grpc_call *call, const uint8_t *bytes, size_t size);

static void answer_nothing(struct kt_service *service, struct kt_grpc_call *call, const uint8_t *bytes, size_t size)
{
	(void)service, (void)bytes, (void)size;
	/* Options: both are false. Preferred allocation: no preference. */
	kt_grpc_answer(call, NULL);
}

/* ---- the list ---- */

static int make_list(struct kt_service *service, bool is_healthy)
{
	size_t size = 0;
	uint8_t *bytes = kt_wire_print_devices(service->count, is_healthy, &size);
	struct kt_grpc_bytes *list = bytes ? kt_grpc_bytes_take(bytes, size) : NULL;

	if (!list)
		return -ENOMEM;
	kt_grpc_bytes_drop(&service->list);
	service->list = list;
	service->is_list_healthy = is_healthy;
	return 0;
}

int kt_service_update(struct kt_service *service)
{
	if (service->list && service->is_list_healthy == service->offer->is_healthy)
		return 0;
	if (make_list(service, service->offer->is_healthy) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < service->watcher_count; i++)
		kt_grpc_push(service->watchers[i], service->list);
	return 0;
}

static void forget(struct kt_service *service, size_t index)
{
	service->watcher_count--;
	memmove(&service->watchers[index], &service->watchers[index + 1],
		(service->watcher_count - index) * sizeof(service->watchers[0]));
}

static void watch(struct kt_service *service, struct kt_grpc_call *call, const uint8_t *bytes, size_t size)
{
	(void)bytes, (void)size;
	if (kt_service_update(service) < 0) {
		kt_grpc_fail(call, KT_GRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	if (service->watcher_count == KT_SERVICE_WATCHERS_MAX) {
		struct kt_grpc_call *oldest = service->watchers[0];

		forget(service, 0);
		kt_grpc_fail(oldest, KT_GRPC_ABORTED, "a newer stream took the place of this one");
	}
	service->watchers[service->watcher_count++] = call;
	kt_grpc_keep(call);
	kt_grpc_push(call, service->list);
}

static void end_watch(void *context, struct kt_grpc_call *call)
{
	struct kt_service *service = context;

	for (size_t i = 0; i < service->watcher_count; i++)
		if (service->watchers[i] == call) {
			forget(service, i);
			return;
		}
}

/* ---- a pod ---- */

struct asked {
	const struct kt_service *service;
	size_t containers;
};

static int check_container(void *context, char *const *ids, size_t count, struct kt_error *err)
{
	struct asked *asked = context;

	asked->containers++;
	return kt_offer_check(asked->service->offer, asked->service->resource, asked->service->count, ids, count, err);
}

/* False when the call has its answer already. */
static bool check_request(const struct kt_service *service, enum kt_wire_request kind, struct kt_grpc_call *call,
			  const uint8_t *bytes, size_t size, size_t *ret_containers)
{
	struct asked asked = {.service = service};
	struct kt_error err = {0};

	if (kt_wire_read(kind, bytes, size, check_container, &asked, &err) < 0) {
		kt_grpc_fail(call, KT_GRPC_INVALID_ARGUMENT, err.text);
		return false;
	}
	*ret_containers = asked.containers;
	return true;
}

static void allocate(struct kt_service *service, struct kt_grpc_call *call, const uint8_t *bytes, size_t size)
{
	struct kt_wire_grant grant;
	struct kt_grpc_bytes *answer = NULL;
	size_t containers, answer_size = 0;
	uint8_t *printed;

	if (!check_request(service, KT_WIRE_ALLOCATE, call, bytes, size, &containers))
		return;
	if (containers == 0) {
		kt_grpc_answer(call, NULL);
		return;
	}
	kt_offer_grant(service->offer, service->mount, service->node, &grant);
	printed = kt_wire_print_grants(&grant, containers, &answer_size);
	if (printed)
		answer = kt_grpc_bytes_take(printed, answer_size);
	if (answer)
		kt_grpc_answer(call, answer);
	else
		kt_grpc_fail(call, KT_GRPC_RESOURCE_EXHAUSTED, "out of memory");
	kt_grpc_bytes_drop(&answer);
}

static void before_start(struct kt_service *service, struct kt_grpc_call *call, const uint8_t *bytes, size_t size)
{
	size_t containers;

	if (check_request(service, KT_WIRE_PRE_START, call, bytes, size, &containers))
		kt_grpc_answer(call, NULL);
}

/* ---- by name ---- */

static const struct {
	const char *path;
	method *method;
} methods[] = {
	{SERVICE "GetDevicePluginOptions", answer_nothing}, {SERVICE "ListAndWatch", watch},
	{SERVICE "GetPreferredAllocation", answer_nothing}, {SERVICE "Allocate", allocate},
	{SERVICE "PreStartContainer", before_start},
};

static void call_method(void *context, struct kt_grpc_call *call, const char *path, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i].path, path) == 0) {
			methods[i].method(context, call, bytes, size);
			return;
		}
	kt_grpc_fail(call, KT_GRPC_UNIMPLEMENTED, "unknown method");
}

const struct kt_grpc_handler kt_service_handler = {.called = call_method, .ended = end_watch};

void kt_service_done(struct kt_service *service)
{
	kt_grpc_bytes_drop(&service->list);
}
