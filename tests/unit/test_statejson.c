/* links: kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kontain/base/own.h"
#include "kontain/contract/message.h"
#include "kontain/contract/statejson.h"

static void test_probe(void **state)
{
	struct kt_probe probe =
				{
					.kvm = {.probed = true,
						.device = "/dev/kvm",
						.api_version = 12,
						.long_mode = true},
					.host = {.probed = true,
						 .kernel = "6.1",
						 .mmap_min_addr = 4096,
						 .confidential = "sev",
						 .selinux = "enforcing",
						 .lockdown = "integrity"},
				},
			read;
	struct kt_error hung = {.code = ETIMEDOUT, .reason = KT_REASON_GUEST_HUNG, .text = "the guest did not end"};
	struct kt_error err = {0};

	(void)state;
	kt_verdict_fail(&probe.kvm.verdict, &hung);
	kt_verdict_set(&probe.host.verdict, true, KT_REASON_READY, "fit");
	kt_check_pass(kt_checks_add(&probe.checks, "kernel"));
	strcpy(probe.checks.list[0].value, "Linux 6.1");
	kt_check_fail(kt_checks_add(&probe.checks, "guest"), &hung);
	kt_checks_add(&probe.checks, "CPU")->result = KT_CHECK_NOTE;
	kt_checks_add(&probe.checks, "after");

	KT_OWN(kt_free_mem) char *text = kt_probe_print(&probe);

	assert_null(strchr(text, '\n')); /* one line: a child's output */
	if (kt_probe_parse(text, strlen(text), &read, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(read.kvm.verdict.reason, KT_REASON_GUEST_HUNG);
	assert_string_equal(read.kvm.verdict.message, "the guest did not end");
	assert_string_equal(read.kvm.device, "/dev/kvm");
	assert_true(read.kvm.long_mode);
	assert_int_equal(read.host.mmap_min_addr, 4096);
	assert_string_equal(read.host.confidential, "sev");
	assert_string_equal(read.host.selinux, "enforcing");
	assert_string_equal(read.host.lockdown, "integrity");
	assert_memory_equal(&read.checks, &probe.checks, sizeof(read.checks));
	assert_ptr_equal(kt_checks_broken(&read.checks), &read.checks.list[1]);
	assert_int_equal(kt_probe_parse("{}", 2, &read, &err), -EINVAL);
	assert_int_equal(kt_probe_parse("", 0, &read, &err), -EINVAL);
}

/* A row of a check is one of four results, and has a reason exactly when it failed. */
static void test_checks(void **state)
{
	static const struct {
		const char *list;
		bool is_good;
	} rows[] = {
#define CHECK(result, reason) \
	"[{\"name\":\"n\",\"value\":\"\",\"message\":\"\",\"result\":" result ",\"reason\":" reason "}]"
		{"[]", true},
		{CHECK("\"ok\"", "\"\""), true},
		{CHECK("\"note\"", "\"\""), true},
		{CHECK("\"unreached\"", "\"\""), true},
		{CHECK("\"failed\"", "\"Busy\""), true},
		{CHECK("\"failed\"", "\"\""), false},
		{CHECK("\"failed\"", "\"None\""), false},
		{CHECK("\"failed\"", "\"Fine\""), false},
		{CHECK("\"ok\"", "\"Busy\""), false},
		{CHECK("\"good\"", "\"\""), false},
		{CHECK("1", "\"\""), false},
		{CHECK("\"ok\"", "null"), false},
		{"[1]", false},
		{"[{}]", false},
		{"{}", false},
		{"null", false},
	};
	struct kt_probe probe = {.kvm.api_version = -1}, read;

	(void)state;
	KT_OWN(kt_free_mem) char *text = kt_probe_print(&probe);
	char *end = strstr(text, "[]}"), document[2048];

	assert_non_null(end);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_error err = {0};

		snprintf(document, sizeof(document), "%.*s%s}", (int)(end - text), text, rows[i].list);
		if ((kt_probe_parse(document, strlen(document), &read, &err) == 0) != rows[i].is_good)
			fail_msg("%s: %s", rows[i].list, err.text);
	}
}

static void test_proof(void **state)
{
	struct kt_state_proof proof = {.ran = true,
				       .integer_ok = true,
				       .emulated = true,
				       .hypervisor = "kvm",
				       .release = "6.1.kontain.KVM",
				       .duration_ms = 3,
				       .at = 1767225600};
	struct kt_state_proof read;
	struct kt_error err = {0};

	(void)state;
	kt_verdict_set(&proof.verdict, false, KT_REASON_GUEST_EMULATED, "integer code only");

	KT_OWN(kt_free_mem) char *text = kt_proof_print(&proof);

	if (kt_proof_parse(text, strlen(text), &read, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(read.emulated);
	assert_false(read.sse_ok);
	assert_string_equal(read.release, "6.1.kontain.KVM");
	assert_int_equal(read.at, 1767225600);
	assert_int_equal(kt_proof_parse("[]", 2, &read, &err), -EINVAL);
	assert_int_equal(kt_proof_parse("{\"proof\":{}}", 12, &read, &err), -EINVAL);
}

static void test_error(void **state)
{
	static const char *const bad[] = {
		"{\"error\":{\"code\":0,\"reason\":\"IoError\",\"text\":\"\"}}",
		"{\"error\":{\"code\":-1,\"reason\":\"IoError\",\"text\":\"\"}}",
		"{\"error\":{\"code\":4096,\"reason\":\"IoError\",\"text\":\"\"}}",
		"{\"error\":{\"code\":5,\"reason\":\"Nope\",\"text\":\"\"}}",
		"{\"error\":{\"code\":5,\"reason\":\"IoError\"}}",
		"{\"error\":null}",
	};
	struct kt_error failure = {
		.code = ENOSPC, .reason = KT_REASON_DISK_FULL, .text = "cannot stage: 5 bytes short"};
	struct kt_error read = {0}, err = {0};

	(void)state;
	KT_OWN(kt_free_mem) char *text = kt_error_print(&failure);

	assert_int_equal(kt_error_parse(text, strlen(text), &read, &err), 0);
	assert_int_equal(read.code, ENOSPC);
	assert_int_equal(read.reason, KT_REASON_DISK_FULL);
	assert_string_equal(read.text, failure.text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(kt_error_parse(bad[i], strlen(bad[i]), &read, &err), -EINVAL);
	assert_int_equal(read.code, ENOSPC); /* left alone */

	failure.reason = KT_REASON_NONE;
	KT_OWN(kt_free_mem) char *nameless = kt_error_print(&failure);

	assert_int_equal(kt_error_parse(nameless, strlen(nameless), &read, &err), 0);
	assert_int_equal(read.reason, KT_REASON_INTERNAL);
}

/* The out-of-luck path: allocation 1, 2, 3 ... fails, until all of them succeed. */
static long allocations_left;

static void *luckless_malloc(size_t size)
{
	return allocations_left-- > 0 ? malloc(size) : NULL;
}

static bool print_and_parse(const struct kt_state *state)
{
	KT_OWN(kt_free_mem) char *text = kt_state_print(state);
	struct kt_state read;
	struct kt_error err = {0};

	if (!text)
		return false;
	if (kt_state_parse(text, strlen(text), &read, &err) == 0)
		return true;
	assert_true(*err.text);
	assert_true(err.code == ENOMEM || err.code == EINVAL);
	return false;
}

static void test_every_allocation_may_fail(void **unused)
{
	struct kt_state state;
	long tries = 0;

	(void)unused;
	kt_state_init(&state);
	strcpy(state.boot_id, "0a1b2c3d-0000-4000-8000-123456789abc");
	state.observed_at = state.next_update_by = 1;
	state.versions.list_count = 1;
	strcpy(state.versions.list[0], "1");
	kt_check_pass(kt_checks_add(&state.checks, "kernel"));
	json_set_alloc_funcs(luckless_malloc, free);
	for (bool is_done = false; !is_done; tries++) {
		allocations_left = tries;
		is_done = print_and_parse(&state);
		assert_true(tries < 10000);
	}
	json_set_alloc_funcs(malloc, free);
	assert_true(tries > 100); /* so there was something to fail */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
