/* The only file that knows protobuf-c. */
#include "wire.h"

#include <deviceplugin.pb-c.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two bytes of a message may be an empty string or an empty message, which take some 60 in memory. */
#define READ_BYTES_MAX ((size_t)2 << 20)

#define API_VERSION "v1beta1"
#define HEALTHY     "Healthy"
#define UNHEALTHY   "Unhealthy"

/* ---- reading ---- */

struct budget {
	size_t left;
};

static void *take(void *context, size_t size)
{
	struct budget *budget = context;

	if (size > budget->left)
		return NULL;
	budget->left -= size;
	return malloc(size);
}

static void give_back(void *context, void *pointer)
{
	(void)context; /* what was taken once counts for the whole message */
	free(pointer);
}

static const ProtobufCMessageDescriptor *const requests[] = {
	[KT_WIRE_ALLOCATE] = &v1beta1__allocate_request__descriptor,
	[KT_WIRE_PRE_START] = &v1beta1__pre_start_container_request__descriptor,
};

static int visit_all(enum kt_wire_request kind, const ProtobufCMessage *message, kt_wire_visit *visit, void *context,
		     struct kt_error *err)
{
	const V1beta1__AllocateRequest *allocate = (const V1beta1__AllocateRequest *)message;
	const V1beta1__PreStartContainerRequest *start = (const V1beta1__PreStartContainerRequest *)message;
	int r = 0;

	if (kind == KT_WIRE_PRE_START)
		return visit(context, start->devices_ids, start->n_devices_ids, err);
	if (allocate->n_container_requests > KT_WIRE_CONTAINERS_MAX)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "the request names %zu containers, expected at most %d",
			       allocate->n_container_requests, KT_WIRE_CONTAINERS_MAX);
	for (size_t i = 0; i < allocate->n_container_requests && r >= 0; i++)
		r = visit(context, allocate->container_requests[i]->devices_ids,
			  allocate->container_requests[i]->n_devices_ids, err);
	return r;
}

int kt_wire_read(enum kt_wire_request kind, const uint8_t *bytes, size_t size, kt_wire_visit *visit, void *context,
		 struct kt_error *err)
{
	struct budget budget = {.left = READ_BYTES_MAX};
	ProtobufCAllocator allocator = {.alloc = take, .free = give_back, .allocator_data = &budget};
	/* An empty message has no bytes, and protobuf-c is never given a pointer to none. */
	ProtobufCMessage *message =
		protobuf_c_message_unpack(requests[kind], &allocator, size, size > 0 ? bytes : (const uint8_t *)"");
	int r;

	if (!message)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL,
			       "the request is not a message of the device plugin API " API_VERSION);
	r = visit_all(kind, message, visit, context, err);
	protobuf_c_message_free_unpacked(message, &allocator);
	return r;
}

/* ---- printing ---- */

static uint8_t *print(const ProtobufCMessage *message, size_t *ret_size)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = malloc(size > 0 ? size : 1);

	if (bytes)
		*ret_size = protobuf_c_message_pack(message, bytes);
	return bytes;
}

uint8_t *kt_wire_print_registration(const char *endpoint, const char *resource, size_t *ret_size)
{
	V1beta1__RegisterRequest request = V1BETA1__REGISTER_REQUEST__INIT;

	/* protobuf-c's strings are not const; what is printed is not written to, here and below. */
	request.version = (char *)(uintptr_t)API_VERSION;
	request.endpoint = (char *)(uintptr_t)endpoint;
	request.resource_name = (char *)(uintptr_t)resource;
	return print(&request.base, ret_size);
}

uint8_t *kt_wire_print_devices(unsigned count, bool is_healthy, size_t *ret_size)
{
	struct row {
		V1beta1__Device device;
		char id[KT_WIRE_ID_MAX];
	} *rows = calloc(count, sizeof(*rows));
	V1beta1__Device **list = calloc(count, sizeof(*list));
	V1beta1__ListAndWatchResponse response = V1BETA1__LIST_AND_WATCH_RESPONSE__INIT;
	uint8_t *bytes = NULL;

	for (unsigned i = 0; rows && list && i < count; i++) {
		v1beta1__device__init(&rows[i].device);
		kt_wire_id(i, rows[i].id);
		rows[i].device.id = rows[i].id;
		rows[i].device.health = (char *)(uintptr_t)(is_healthy ? HEALTHY : UNHEALTHY);
		list[i] = &rows[i].device;
	}
	response.n_devices = count;
	response.devices = list;
	if (rows && list)
		bytes = print(&response.base, ret_size);
	free(rows);
	free(list);
	return bytes;
}

uint8_t *kt_wire_print_grants(const struct kt_wire_grant *grant, size_t container_count, size_t *ret_size)
{
	V1beta1__DeviceSpec device = V1BETA1__DEVICE_SPEC__INIT, *devices[] = {&device};
	V1beta1__Mount mounts[KT_WIRE_MOUNTS_MAX], *mount_list[KT_WIRE_MOUNTS_MAX];
	V1beta1__ContainerAllocateResponse one = V1BETA1__CONTAINER_ALLOCATE_RESPONSE__INIT;
	V1beta1__ContainerAllocateResponse *list[KT_WIRE_CONTAINERS_MAX];
	V1beta1__AllocateResponse response = V1BETA1__ALLOCATE_RESPONSE__INIT;

	device.host_path = (char *)(uintptr_t)grant->device.host;
	device.container_path = (char *)(uintptr_t)grant->device.container;
	device.permissions = (char *)(uintptr_t) "rw";
	for (size_t i = 0; i < grant->mount_count; i++) {
		v1beta1__mount__init(&mounts[i]);
		mounts[i].host_path = (char *)(uintptr_t)grant->mounts[i].host;
		mounts[i].container_path = (char *)(uintptr_t)grant->mounts[i].container;
		mounts[i].read_only = true;
		mount_list[i] = &mounts[i];
	}
	one.n_devices = 1;
	one.devices = devices;
	one.n_mounts = grant->mount_count;
	one.mounts = mount_list;
	for (size_t i = 0; i < container_count; i++)
		list[i] = &one;
	response.n_container_responses = container_count;
	response.container_responses = list;
	return print(&response.base, ret_size);
}

/* ---- names ---- */

void kt_wire_id(unsigned number, char ret_id[KT_WIRE_ID_MAX])
{
	(void)snprintf(ret_id, KT_WIRE_ID_MAX, "kvm-%u", number);
}

bool kt_wire_number(const char *id, unsigned count, unsigned *ret_number)
{
	size_t digits = strncmp(id, "kvm-", 4) == 0 ? strspn(id + 4, "0123456789") : 0;
	unsigned long number = digits > 0 && digits < 8 ? strtoul(id + 4, NULL, 10) : count;
	char canonical[KT_WIRE_ID_MAX];

	if (number >= count)
		return false;
	kt_wire_id((unsigned)number, canonical);
	if (strcmp(id, canonical) != 0) /* "kvm-007", "kvm-7x" */
		return false;
	*ret_number = (unsigned)number;
	return true;
}
