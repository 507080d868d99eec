/* A node is offered while its proof is believable and says Ready, and not a moment longer. What is handed out is named
 * here and nowhere else: one device, read and write, and read-only paths of the store. */
#include "offer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "kontain/contract/paths.h"

#define SHOWN_MAX 41

/* What km opens, see the proof. */
static const char *const devices[] = {"/dev/kvm", "/dev/kkm", "/dev/kontain"};

static const char *known_device(const char *device)
{
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (strcmp(devices[i], device) == 0)
			return devices[i];
	return NULL;
}

/* A root that a mount may be made of: absolute, and without a step back. */
static bool is_plain_root(const char *root)
{
	size_t size = strlen(root);

	return size > 1 && root[0] == '/' && !strstr(root, "/../") && (size < 3 || strcmp(root + size - 3, "/..") != 0);
}

static int decide(const struct kt_state *state, struct kt_offer *offer, struct kt_error *err)
{
	const char *device = known_device(state->kvm.device), *version = state->versions.km_version;

	if (!state->node.ok)
		return kt_fail(err, ENODEV, state->node.reason, "%s", state->node.message);
	if (!device)
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "the state names no device of km: \"%s\"",
			       state->kvm.device);
	if (!is_plain_root(state->store.root))
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "the state names no root of the store: \"%.200s\"",
			       state->store.root);
	if (!version[0])
		return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "the state names no version of km");
	(void)snprintf(offer->device, sizeof(offer->device), "%s", device);
	(void)snprintf(offer->root, sizeof(offer->root), "%s", state->store.root);
	(void)snprintf(offer->km, sizeof(offer->km), "%s/versions/km/%s/bin/km", state->store.root, version);
	(void)snprintf(offer->km_in_store, sizeof(offer->km_in_store), KT_ROOT "/versions/km/%s/bin/km", version);
	return 0;
}

void kt_offer_decide(const struct kt_state *state, const struct kt_error *why, struct kt_offer *ret_offer)
{
	*ret_offer = (struct kt_offer){.is_healthy = false};
	if (!state)
		ret_offer->why = *why;
	else
		ret_offer->is_healthy = decide(state, ret_offer, &ret_offer->why) == 0;
}

void kt_offer_grant(const struct kt_offer *offer, enum kt_offer_mount mount, const char *node,
		    struct kt_wire_grant *ret_grant)
{
	struct kt_wire_grant grant = {.device = {.host = node, .container = offer->device}};

	if (mount == KT_OFFER_KM)
		grant.mounts[grant.mount_count++] = (struct kt_wire_path){offer->km, KT_ROOT "/bin/km"};
	if (mount == KT_OFFER_STORE) {
		grant.mounts[grant.mount_count++] = (struct kt_wire_path){offer->root, KT_ROOT};
		grant.mounts[grant.mount_count++] = (struct kt_wire_path){offer->km, offer->km_in_store};
	}
	*ret_grant = grant;
}

/* An id is the kubelet's, and ends in an event of the pod. (kt_path_show would bring libcrypto.) */
static const char *show(const char *id, char ret_shown[SHOWN_MAX])
{
	(void)snprintf(ret_shown, SHOWN_MAX, "%s", id);
	for (char *at = ret_shown; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
	return ret_shown;
}

int kt_offer_check(const struct kt_offer *offer, const char *resource, unsigned count, char *const *ids,
		   size_t id_count, struct kt_error *err)
{
	char shown[SHOWN_MAX];
	unsigned number;

	if (!offer->is_healthy)
		return kt_fail(err, EINVAL, offer->why.reason, "this node cannot run Kontain payloads now: %s: %.300s",
			       kt_reason_name(offer->why.reason), offer->why.text);
	if (id_count == 0)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "the request names no device of %s", resource);
	for (size_t i = 0; i < id_count; i++)
		if (!kt_wire_number(ids[i], count, &number))
			return kt_fail(err, EINVAL, KT_REASON_INTERNAL,
				       "%s has no device \"%s\" on this node: it has kvm-0 to kvm-%u", resource,
				       show(ids[i], shown), count - 1);
	return 0;
}
