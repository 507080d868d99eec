/* Messages of the kubelet's device plugin API v1beta1 <-> plain values. Bytes that are read may be hostile: what they
 * cost in memory has an end. Pure. */
#ifndef KONTAIN_PLUGIN_WIRE_H
#define KONTAIN_PLUGIN_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"

#define KT_WIRE_CONTAINERS_MAX 16 /* of one request; a kubelet sends one */
#define KT_WIRE_MOUNTS_MAX     2
#define KT_WIRE_ID_MAX         16

/* The requests that name devices, a container at a time. */
enum kt_wire_request { KT_WIRE_ALLOCATE, KT_WIRE_PRE_START };

/* What a container gets: host paths and paths in the container, borrowed. */
struct kt_wire_path {
	const char *host;
	const char *container;
};
struct kt_wire_grant {
	struct kt_wire_path device; /* read and write */
	size_t mount_count;
	struct kt_wire_path mounts[KT_WIRE_MOUNTS_MAX]; /* read-only */
};

/* Calls visit for each container; borrowed for the call. Stops at the first value below 0 and returns it. -EINVAL with
 * its sentence for what is no such message. */
typedef int kt_wire_visit(void *context, char *const *ids, size_t count, struct kt_error *err);
int kt_wire_read(enum kt_wire_request kind, const uint8_t *bytes, size_t size, kt_wire_visit *visit, void *context,
		 struct kt_error *err);

/* Each returns owned bytes (from malloc, never empty) and their number; NULL when memory is gone. An empty message is
 * no bytes and needs no function. */
uint8_t *kt_wire_print_registration(const char *endpoint, const char *resource, size_t *ret_size);
uint8_t *kt_wire_print_devices(unsigned count, bool is_healthy, size_t *ret_size);
uint8_t *kt_wire_print_grants(const struct kt_wire_grant *grant, size_t container_count, size_t *ret_size);

/* The name of the device of that number: what kt_wire_print_devices prints. */
void kt_wire_id(unsigned number, char ret_id[KT_WIRE_ID_MAX]);
/* Its number; false when it is the name of none of `count` devices. */
bool kt_wire_number(const char *id, unsigned count, unsigned *ret_number);

#endif
