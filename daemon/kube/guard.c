#include "guard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A policy is in force some moments after it is there, and `kubectl apply` may create it after the pods. */
#define FIRST_MS    5000
#define IN_FORCE_MS (60 * 60 * 1000) /* while it is: somebody may delete it */

void kt_guard_init(struct kt_guard *guard, const char *node_name, unsigned heartbeat_s, uint64_t seed, int64_t now_ms)
{
	*guard = (struct kt_guard){
		.node_name = node_name,
		.heartbeat_s = heartbeat_s,
		.count = seed,
		.ask_at_ms = now_ms + FIRST_MS,
	};
}

bool kt_guard_next(struct kt_guard *guard, int64_t now_ms, struct kt_kube_request *ret_request)
{
	struct kt_kube_request request = {.verb = "PATCH", .content_type = "application/merge-patch+json"};
	char body[128];

	if (guard->is_asking || now_ms < guard->ask_at_ms)
		return false;
	snprintf(body, sizeof(body), "{\"metadata\":{\"labels\":{\"kontain.app/dry-run\":\"x%016" PRIx64 "\"}}}",
		 ++guard->count);
	request.body = strdup(body);
	if (!request.body) {
		guard->ask_at_ms = now_ms + (int64_t)guard->heartbeat_s * 1000;
		return false;
	}
	snprintf(request.path, sizeof(request.path), "/api/v1/nodes/%s?dryRun=All", guard->node_name);
	guard->is_asking = true;
	*ret_request = request;
	return true;
}

/* A policy and a webhook both say that they "denied" the request; a missing right ("cannot patch resource"), an invalid
 * node and a webhook that takes no dry run use other words. */
static bool is_denied(const struct kt_kube_reply *reply)
{
	return reply->code >= 400 && reply->code < 500 && memmem(reply->body, reply->size, "denied", strlen("denied"));
}

void kt_guard_take(struct kt_guard *guard, const struct kt_kube_reply *reply, int64_t now_ms)
{
	int64_t wait_ms = (int64_t)guard->heartbeat_s * 1000;

	guard->is_asking = false;
	if (reply->code == 200)
		guard->answer = KT_GUARD_OPEN;
	else if (is_denied(reply))
		guard->answer = KT_GUARD_IN_FORCE;
	if (guard->answer == KT_GUARD_IN_FORCE && is_denied(reply))
		wait_ms = IN_FORCE_MS;
	/* 90 to 110 percent, so that many agents do not ask at once. */
	guard->ask_at_ms =
		now_ms + wait_ms - wait_ms / 10 + (int64_t)(guard->count * 2654435761u % (uint64_t)(wait_ms / 5 + 1));
}
