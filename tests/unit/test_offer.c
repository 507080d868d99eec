/* links: kt_plugin kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/offer.h"

static struct kt_state ready_state(void)
{
	struct kt_state state;

	kt_state_init(&state);
	kt_verdict_set(&state.node, true, KT_REASON_READY, "km runs payloads");
	strcpy(state.kvm.device, "/dev/kvm");
	strcpy(state.store.root, "/opt/kontain");
	strcpy(state.versions.km_version, "0.10.3");
	return state;
}

static void test_ready(void **context)
{
	struct kt_state state = ready_state();
	struct kt_offer offer;

	(void)context;
	kt_offer_decide(&state, NULL, &offer);
	assert_true(offer.is_healthy);
	assert_string_equal(offer.device, "/dev/kvm");
	assert_string_equal(offer.km, "/opt/kontain/versions/km/0.10.3/bin/km");
	strcpy(state.kvm.device, "/dev/kkm");
	strcpy(state.store.root, "/mnt/data");
	kt_offer_decide(&state, NULL, &offer);
	assert_true(offer.is_healthy);
	assert_string_equal(offer.device, "/dev/kkm");
	assert_string_equal(offer.km, "/mnt/data/versions/km/0.10.3/bin/km");
	assert_string_equal(offer.km_in_store, "/opt/kontain/versions/km/0.10.3/bin/km");
}

static void test_unhealthy(void **context)
{
	struct kt_error why = {.code = ENOENT, .reason = KT_REASON_STATE_MISSING, .text = "cannot open it"};
	struct kt_state state = ready_state();
	struct kt_offer offer;
	static const char *const bad_roots[] = {"", "/", "opt", "/opt/../etc", "/opt/.."};
	static const char *const bad_devices[] = {"", "/dev/sda", "/dev/kvm2", "kvm"};

	(void)context;
	kt_offer_decide(NULL, &why, &offer);
	assert_false(offer.is_healthy);
	assert_int_equal(offer.why.reason, KT_REASON_STATE_MISSING);
	for (size_t i = 0; i < sizeof(bad_roots) / sizeof(bad_roots[0]); i++) {
		state = ready_state();
		strcpy(state.store.root, bad_roots[i]);
		kt_offer_decide(&state, NULL, &offer);
		assert_false(offer.is_healthy);
		assert_int_equal(offer.why.reason, KT_REASON_STATE_INVALID);
	}
	for (size_t i = 0; i < sizeof(bad_devices) / sizeof(bad_devices[0]); i++) {
		state = ready_state();
		strcpy(state.kvm.device, bad_devices[i]);
		kt_offer_decide(&state, NULL, &offer);
		assert_false(offer.is_healthy);
	}
	state = ready_state();
	state.versions.km_version[0] = '\0';
	kt_offer_decide(&state, NULL, &offer);
	assert_false(offer.is_healthy);
	state = ready_state();
	kt_verdict_set(&state.node, false, KT_REASON_DEVICE_MISSING, "/dev/kvm is missing");
	kt_offer_decide(&state, NULL, &offer);
	assert_false(offer.is_healthy);
	assert_int_equal(offer.why.reason, KT_REASON_DEVICE_MISSING);
	assert_string_equal(offer.why.text, "/dev/kvm is missing");
}

static void test_grant(void **context)
{
	struct kt_state state = ready_state();
	struct kt_wire_grant grant;
	struct kt_offer offer;

	(void)context;
	kt_offer_decide(&state, NULL, &offer);
	kt_offer_grant(&offer, KT_OFFER_NONE, "/run/kontain/device/kvm", &grant);
	assert_int_equal(grant.mount_count, 0);
	assert_string_equal(grant.device.host, "/run/kontain/device/kvm");
	assert_string_equal(grant.device.container, "/dev/kvm");
	kt_offer_grant(&offer, KT_OFFER_KM, "node", &grant);
	assert_int_equal(grant.mount_count, 1);
	assert_string_equal(grant.mounts[0].container, "/opt/kontain/bin/km");
	kt_offer_grant(&offer, KT_OFFER_STORE, "node", &grant);
	assert_int_equal(grant.mount_count, 2);
	assert_string_equal(grant.mounts[0].container, "/opt/kontain");
}

static void test_check(void **context)
{
	struct kt_state state = ready_state();
	struct kt_error err = {0};
	struct kt_offer offer;
	char *good[] = {(char[]){"kvm-0"}, (char[]){"kvm-9"}};
	char *bad[] = {(char[]){"kvm-0"}, (char[]){"kvm-10"}};

	(void)context;
	kt_offer_decide(&state, NULL, &offer);
	assert_int_equal(kt_offer_check(&offer, "a/b", 10, good, 2, &err), 0);
	assert_int_equal(kt_offer_check(&offer, "a/b", 10, bad, 2, &err), -EINVAL);
	assert_string_equal(err.text, "a/b has no device \"kvm-10\" on this node: it has kvm-0 to kvm-9");
	assert_int_equal(kt_offer_check(&offer, "a/b", 10, NULL, 0, &err), -EINVAL);
	offer.is_healthy = false;
	assert_int_equal(kt_offer_check(&offer, "a/b", 10, good, 2, &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ready),
		cmocka_unit_test(test_unhealthy),
		cmocka_unit_test(test_grant),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
