/* links: kt_node kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/node/kvm/refusal.h"

static void test_lockdown(void **state)
{
	static const struct {
		const char *text;
		const char *mode;
	} rows[] = {
		{"[none] integrity confidentiality", "none"},
		{"none [integrity] confidentiality", "integrity"},
		{"none integrity [confidentiality]\n", "confidentiality"},
		{"", ""},
		{"integrity", ""},
		{"[]", ""},
		{"[integrity", ""},
		{"[none integrity]", ""},
		{"[a-mode-with-a-name-too-long-to-keep]", ""},
	};
	char mode[24];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		kt_refusal_lockdown_parse(rows[i].text, mode, sizeof(mode));
		assert_string_equal(mode, rows[i].mode);
	}
}

static void test_causes(void **state)
{
	static const struct {
		struct kt_refusal refusal;
		bool is_foreseen;
		const char *words;
	} rows[] = {
		{{.lacks_capability = true}, false, "CAP_SYS_MODULE"},
		{{.lacks_capability = true, .is_disabled = true, .lockdown = "integrity"}, true, "CAP_SYS_MODULE"},
		{{.is_disabled = true}, true, "kernel.modules_disabled"},
		{{.is_disabled = true, .blacklist = "kvm_amd"}, true, "kernel.modules_disabled"},
		{{.blacklist = "kvm_amd"}, true, "module_blacklist="},
		{{.blacklist = "pcspkr,kvm_amd,floppy"}, true, "module_blacklist="},
		{{.blacklist = "pcspkr,kvm_amd"}, true, "module_blacklist="},
		{{.blacklist = ",,kvm_amd", .lockdown = "integrity"}, true, "module_blacklist="},
		{{.blacklist = "kvm-amd,kvm_am,kvm_amd2", .lockdown = "integrity"}, false, "lockdown"},
		{{.lockdown = "confidentiality"}, false, "lockdown"},
		{{.lockdown = "none"}, false, "does not say why"},
		{{.blacklist = ""}, false, "does not say why"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_error err = {.reason = KT_REASON_NONE};

		assert_int_equal(kt_refusal_explain(&rows[i].refusal, "kvm_amd", &err), -EPERM);
		assert_int_equal(err.reason, KT_REASON_MODULE_BLOCKED);
		if (!strstr(err.text, rows[i].words) || !strstr(err.text, "kvm_amd"))
			fail_msg("row %zu: %s", i, err.text);
		err = (struct kt_error){.reason = KT_REASON_NONE};
		assert_int_equal(kt_refusal_foresee(&rows[i].refusal, "kvm_amd", &err),
				 rows[i].is_foreseen ? -EPERM : 0);
		assert_int_equal(err.reason, rows[i].is_foreseen ? KT_REASON_MODULE_BLOCKED : KT_REASON_NONE);
	}
}

/* This machine: whatever it is, asking does no harm and leaves text that ends. */
static void test_reading(void **state)
{
	struct kt_refusal refusal, elsewhere;

	(void)state;
	memset(&refusal, 0xff, sizeof(refusal));
	kt_refusal_read("", &refusal);
	assert_non_null(memchr(refusal.blacklist, '\0', sizeof(refusal.blacklist)));
	assert_non_null(memchr(refusal.lockdown, '\0', sizeof(refusal.lockdown)));
	assert_null(strchr(refusal.blacklist, '('));
	/* nothing below that root: the kernel's own words are the same, read through this process's /sys */
	kt_refusal_read("/proc/self/fdinfo", &elsewhere);
	assert_false(elsewhere.is_disabled);
	assert_string_equal(elsewhere.blacklist, refusal.blacklist);
	assert_string_equal(elsewhere.lockdown, refusal.lockdown);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lockdown),
		cmocka_unit_test(test_causes),
		cmocka_unit_test(test_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
