/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/cli/doctor.h"
#include "kontain/base/own.h"

static void fill(struct kt_state *state)
{
	kt_state_init(state);
	kt_verdict_set(&state->kvm.verdict, true, KT_REASON_READY, "guests ran");
	kt_verdict_set(&state->host.verdict, true, KT_REASON_READY, "fit");
	strcpy(kt_checks_add(&state->checks, "kernel")->value, "Linux 6.1");
	kt_check_pass(&state->checks.list[0]);
	kt_checks_add(&state->checks, "CPU")->result = KT_CHECK_NOTE;
	memset(state->checks.list[1].value, 'x', 60);
	strcpy(state->checks.list[1].value + 60, " and more than fits in a line of the table");
	kt_check_pass(kt_checks_add(&state->checks, "device node"));
	(void)kt_checks_add(&state->checks, "device opens");
}

static void break_at(struct kt_state *state, size_t i, enum kt_reason reason, const char *text)
{
	struct kt_error err = {.code = 1, .reason = reason};

	snprintf(err.text, sizeof(err.text), "%s", text);
	kt_check_fail(&state->checks.list[i], &err);
	kt_verdict_fail(&state->kvm.verdict, &err);
}

/* Owned. Every line fits. */
static char *printed_where(const struct kt_state *state, bool allow_emulated)
{
	char *text = NULL;
	size_t size = 0, column = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	kt_doctor_print(state, allow_emulated, out);
	assert_int_equal(fclose(out), 0);
	for (const char *c = text; *c; c++) {
		column = *c == '\n' ? 0 : column + 1;
		if (column > KT_DOCTOR_WIDTH)
			fail_msg("a line is too long: %s", text);
	}
	return text;
}

static char *printed(const struct kt_state *state)
{
	return printed_where(state, false);
}

static void test_fit(void **unused)
{
	struct kt_state state;

	(void)unused;
	fill(&state);
	state.checks.count = 3;

	KT_OWN(kt_free_mem) char *text = printed(&state);

	assert_true(kt_doctor_is_fit(&state, false));
	assert_non_null(strstr(text, "\nkernel              ok     Linux 6.1\n"));
	assert_non_null(strstr(text, "\nCPU                 note   xxx"));
	assert_non_null(strstr(
		text, "\n                           than fits in a line of the table\n")); /* goes on in its column */
	assert_non_null(strstr(text, "\ndevice node         ok\n"));
	assert_non_null(strstr(text, "\n\nok       All checks passed."));
	assert_null(strstr(text, "FAIL"));
}

static void test_broken(void **unused)
{
	struct kt_state state;

	(void)unused;
	fill(&state);
	break_at(&state, 2, KT_REASON_NOT_CHAR_DEVICE, "/dev/kvm is a fifo");

	KT_OWN(kt_free_mem) char *text = printed(&state);

	assert_false(kt_doctor_is_fit(&state, false));
	assert_non_null(strstr(text, "\ndevice node         FAIL\ndevice opens        -\n"));
	assert_non_null(strstr(text, "\n\nFAIL     NotCharDevice: /dev/kvm is a fifo\nremedy   Remove what lies at"));
}

/* The first row is the one to mend, though a later one broke too. */
static void test_first_of_two(void **unused)
{
	struct kt_state state;

	(void)unused;
	fill(&state);
	break_at(&state, 2, KT_REASON_BUSY, "another hypervisor");
	break_at(&state, 0, KT_REASON_KERNEL_TOO_OLD, "Linux 3.0");

	KT_OWN(kt_free_mem) char *text = printed(&state);

	assert_non_null(strstr(text, "\nFAIL     KernelTooOld: Linux 3.0\n"));
	assert_null(strstr(text, "Busy"));
}

/* What the proof will find is said before: all rows are well, and yet the host is only fit where that is allowed. */
static void test_emulated(void **unused)
{
	struct kt_state state;

	(void)unused;
	fill(&state);
	state.checks.count = 3;
	state.kvm.compiled_code = KT_ANSWER_NO;

	KT_OWN(kt_free_mem) char *text = printed(&state);
	KT_OWN(kt_free_mem) char *allowed = printed_where(&state, true);

	assert_false(kt_doctor_is_fit(&state, false));
	assert_non_null(strstr(text, "\n\nFAIL     GuestEmulated: this KVM emulates: integer code runs"));
	assert_non_null(strstr(text, "\nremedy   Use a machine with hardware virtualization"));
	assert_null(strstr(text, "\nok "));
	assert_true(kt_doctor_is_fit(&state, true));
	assert_non_null(strstr(allowed, "\n\nnote     This KVM emulates"));
	assert_non_null(strstr(allowed, "\nok       All checks passed."));
	state.kvm.compiled_code = KT_ANSWER_YES;
	assert_true(kt_doctor_is_fit(&state, false));
}

/* It is not the first thing to mend where a row is broken. */
static void test_emulated_and_broken(void **unused)
{
	struct kt_state state;

	(void)unused;
	fill(&state);
	state.kvm.compiled_code = KT_ANSWER_NO;
	break_at(&state, 0, KT_REASON_KERNEL_TOO_OLD, "Linux 3.0");

	KT_OWN(kt_free_mem) char *text = printed_where(&state, true);

	assert_false(kt_doctor_is_fit(&state, true));
	assert_non_null(strstr(text, "\nFAIL     KernelTooOld: Linux 3.0\n"));
	assert_null(strstr(text, "emulate"));
	assert_null(strstr(text, "\nok "));
}

/* A probe that gave no answer at all has no rows. */
static void test_no_rows(void **unused)
{
	struct kt_state state;

	(void)unused;
	kt_state_init(&state);
	kt_verdict_set(&state.kvm.verdict, false, KT_REASON_INTERNAL, "the KVM probe gave no answer");

	KT_OWN(kt_free_mem) char *text = printed(&state);

	assert_false(kt_doctor_is_fit(&state, false));
	assert_non_null(strstr(text, "FAIL     Internal: the KVM probe gave no answer\n"));
}

/* A hypervisor that is known has its own switch; any other the reason's remedy. */
static void test_nesting(void **unused)
{
	static const struct {
		const char *hypervisor;
		const char *words;
	} rows[] = {
		{"KVMKVMKVM", "nested=1"},
		{"Microsoft Hv", "ExposeVirtualizationExtensions"},
		{"VMwareVMware", "vhv.enable"},
		{"XenVMMXenVMM", "nestedhvm=1"},
		{"VBoxVBoxVBox", "--nested-hw-virt on"},
		{"unknown", "choose an instance type"},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_state state;

		fill(&state);
		break_at(&state, 2, KT_REASON_NOT_OFFERED_BY_HYPERVISOR, "not offered");
		strcpy(state.host.hypervisor, rows[i].hypervisor);

		KT_OWN(kt_free_mem) char *text = printed(&state);

		if (!strstr(strstr(text, "\nremedy"), rows[i].words))
			fail_msg("%s: %s", rows[i].hypervisor, text);
	}
}

/* A word that is longer than a line stays whole: it may be a path to copy. */
static void test_long_word(void **unused)
{
	struct kt_state state;
	char path[201], *text = NULL;
	size_t size = 0;

	(void)unused;
	memset(path, 'p', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	fill(&state);
	break_at(&state, 2, KT_REASON_DEVICE_MISSING, path);

	FILE *out = open_memstream(&text, &size);

	kt_doctor_print(&state, false, out);
	assert_int_equal(fclose(out), 0);
	assert_non_null(strstr(text, path));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fit),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_first_of_two),
		cmocka_unit_test(test_emulated),
		cmocka_unit_test(test_emulated_and_broken),
		cmocka_unit_test(test_no_rows),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_long_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
