/* links: kt_plugin kt_contract kt_base */
/* The kubelet's messages: whatever the bytes are, only ids that were offered are granted, and a refusal is a sentence
 * that can be printed. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "plugin/offer.h"

#define COUNT 100

static struct kt_offer offer = {
	.is_healthy = true, .device = "/dev/kvm", .root = "/opt/kontain", .km = "/opt/kontain/versions/km/1/bin/km"};

struct seen {
	size_t containers;
};

/* The same verdict by other code. */
static bool is_offered(const char *id)
{
	char *end;
	long number;

	if (strncmp(id, "kvm-", 4) != 0 || id[4] < '0' || id[4] > '9' || (id[4] == '0' && id[5]))
		return false;
	number = strtol(id + 4, &end, 10);
	return *end == '\0' && number < COUNT && end - id <= 6;
}

static int see(void *context, char *const *ids, size_t count, struct kt_error *err)
{
	struct seen *seen = context;
	bool are_offered = count > 0;
	int r;

	FUZZ_REQUIRE(++seen->containers <= KT_WIRE_CONTAINERS_MAX);
	for (size_t i = 0; i < count; i++)
		are_offered = are_offered && is_offered(ids[i]);
	r = kt_offer_check(&offer, "a/b", COUNT, ids, count, err);
	FUZZ_REQUIRE((r == 0) == are_offered);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	for (enum kt_wire_request kind = KT_WIRE_ALLOCATE; kind <= KT_WIRE_PRE_START; kind++) {
		struct kt_error err = {0};
		struct seen seen = {0};
		struct kt_wire_grant grant;
		size_t printed_size = 0;
		KT_OWN(kt_free_mem) uint8_t *printed = NULL;
		int r = kt_wire_read(kind, bytes, size, see, &seen, &err);

		if (r < 0) {
			FUZZ_REQUIRE(r == -EINVAL && fuzz_is_visible(err.text));
			continue;
		}
		fuzz_taken++;
		if (seen.containers == 0)
			continue;
		kt_offer_grant(&offer, KT_OFFER_STORE, "/run/kontain/device/kvm", &grant);
		printed = kt_wire_print_grants(&grant, seen.containers, &printed_size);
		FUZZ_REQUIRE(printed && printed_size > 0);
	}
	return 0;
}
