/* The device plugin's methods for one resource, as the kubelet calls them. */
#ifndef KONTAIN_PLUGIN_SERVICE_H
#define KONTAIN_PLUGIN_SERVICE_H

#include "plugin/grpc.h"
#include "plugin/offer.h"

/* A kubelet has one stream open, or two for a moment. Beyond that the oldest gives way. */
#define KT_SERVICE_WATCHERS_MAX 8

struct kt_service {
	const char *resource; /* borrowed, as all here */
	unsigned count;       /* of devices */
	enum kt_offer_mount mount;
	const struct kt_offer *offer;
	const char *node; /* the device node, on the host */
	size_t watcher_count;
	struct kt_grpc_call *watchers[KT_SERVICE_WATCHERS_MAX]; /* oldest first */
	struct kt_grpc_bytes *list;                             /* what they are told; NULL: not made yet */
	bool is_list_healthy;
};

/* For kt_grpc_serve, with a service as its context. */
extern const struct kt_grpc_handler kt_service_handler;

/* The offer may be another: who watches is told when it is healthy and was not, or the other way round. -ENOMEM: the
 * service is as it was. */
int kt_service_update(struct kt_service *service);
void kt_service_done(struct kt_service *service); /* after its server */

#endif
