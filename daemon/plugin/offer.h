/* What pods are offered, decided from what the privileged half says of the node. Pure. */
#ifndef KONTAIN_PLUGIN_OFFER_H
#define KONTAIN_PLUGIN_OFFER_H

#include <stdbool.h>

#include "kontain/contract/state.h"
#include "plugin/wire.h"

/* What a pod gets beside the device. */
enum kt_offer_mount {
	KT_OFFER_KM,    /* bin/km of the current set, one file */
	KT_OFFER_STORE, /* the whole store; km of the current set, too, so that its version stays in use */
	KT_OFFER_NONE,
};

struct kt_offer {
	bool is_healthy;
	struct kt_error why;                                   /* when not */
	char device[sizeof("/dev/kontain")];                   /* as pods and the host name it; "" when not healthy */
	char root[sizeof(((struct kt_state_store *)0)->root)]; /* of the store, on the host */
	char km[512];          /* on the host, by its version: a switch does not move it */
	char km_in_store[128]; /* the same below KT_ROOT */
};

/* state: NULL when there is none that may be believed; then why says why. */
void kt_offer_decide(const struct kt_state *state, const struct kt_error *why, struct kt_offer *ret_offer);

/* Of a healthy offer, which it borrows. node: our own device node, on the host. */
void kt_offer_grant(const struct kt_offer *offer, enum kt_offer_mount mount, const char *node,
		    struct kt_wire_grant *ret_grant);

/* 0, or -EINVAL and why this container cannot have these: none is named, one is unknown, or there is no offer. */
int kt_offer_check(const struct kt_offer *offer, const char *resource, unsigned count, char *const *ids,
		   size_t id_count, struct kt_error *err);

#endif
