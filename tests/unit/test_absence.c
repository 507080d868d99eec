/* links: kt_node kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/node/kvm/absence.h"

static void test_misc(void **state)
{
	static const struct {
		const char *text;
		enum kt_misc misc;
	} rows[] = {
		{"", KT_MISC_WITHOUT_KVM},
		{"232 kvm\n", KT_MISC_WITH_KVM},
		{"232 kvm", KT_MISC_WITH_KVM},
		{" 59 userfaultfd\n232 kvm\n229 fuse\n", KT_MISC_WITH_KVM},
		{" 59 userfaultfd\n231 snapshot\n", KT_MISC_WITHOUT_KVM},
		{"232 kkm\n", KT_MISC_WITHOUT_KVM},
		{"132 kvm\n", KT_MISC_WITHOUT_KVM},
		{"kvm 232\n", KT_MISC_WITHOUT_KVM},
		{"232 kvmmm\n", KT_MISC_WITHOUT_KVM},
		{"232 kvmkvmkvmkvm\n", KT_MISC_WITHOUT_KVM},
		{"\n\n\n", KT_MISC_WITHOUT_KVM},
		{"999999999999999999999 kvm\n", KT_MISC_WITHOUT_KVM},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (kt_misc_parse(rows[i].text) != rows[i].misc)
			fail_msg("row %zu: \"%s\"", i, rows[i].text);
}

#define AMD     .vendor_name = "kvm_amd"
#define FLAG    .virt_flag = true
#define GUEST   .hypervisor = "VMwareVMware"
#define WITH    KT_MISC_WITH_KVM
#define WITHOUT KT_MISC_WITHOUT_KVM
#define UNKNOWN KT_MISC_UNKNOWN
#define DISK    KT_MODULE_AVAILABLE
#define LIVE    KT_MODULE_LOADED
#define BUILTIN KT_MODULE_BUILTIN

static const struct {
	const char *what;
	struct kt_absence facts;
	enum kt_reason reason;
	const char *words;
} rows[] = {
	{"the kernel serves, there is no node, and no flag under a hypervisor",
	 {.misc = WITH, .cpu = {GUEST}, .modules = {.kvm = BUILTIN, AMD}},
	 KT_REASON_DEVICE_MISSING,
	 "the kernel has KVM: make the node anew by udevadm trigger or mknod /dev/kvm c 10 232"},
	{"the same, and loading was tried in vain",
	 {.misc = WITH,
	  .cpu = {GUEST},
	  .modules = {.kvm = LIVE, AMD},
	  .has_loaded = true,
	  .load = {.code = ENOENT, .reason = KT_REASON_MODULE_MISSING, .text = "x"}},
	 KT_REASON_DEVICE_MISSING,
	 "udevadm trigger"},
	{"no /proc/misc, kvm built in",
	 {.misc = UNKNOWN, .cpu = {GUEST}, .modules = {.kvm = BUILTIN, AMD}},
	 KT_REASON_DEVICE_MISSING,
	 "udevadm trigger"},
	{"no /proc/misc, both loaded",
	 {.misc = UNKNOWN, .cpu = {FLAG}, .modules = {.kvm = LIVE, .vendor = LIVE, AMD}},
	 KT_REASON_DEVICE_MISSING,
	 "udevadm trigger"},
	{"kvm loaded, but its vendor's module refused: nobody serves",
	 {.misc = WITHOUT, .cpu = {GUEST}, .modules = {.kvm = LIVE, .vendor = DISK, AMD}},
	 KT_REASON_NOT_OFFERED_BY_HYPERVISOR,
	 "VMwareVMware"},
	{"no flag on bare metal",
	 {.misc = WITHOUT, .cpu = {.model = "Opteron"}, .modules = {.kvm = DISK, .vendor = DISK, AMD}},
	 KT_REASON_VIRTUALIZATION_DISABLED,
	 "Opteron"},
	{"a flag, and the module says no, on bare metal",
	 {.misc = WITHOUT,
	  .cpu = {FLAG},
	  .modules = {.kvm = LIVE, .vendor = DISK, AMD},
	  .has_loaded = true,
	  .load = {.code = EOPNOTSUPP, .reason = KT_REASON_VIRTUALIZATION_DISABLED, .text = "x"}},
	 KT_REASON_VIRTUALIZATION_DISABLED,
	 "firmware"},
	{"a flag, and the module says no, under a hypervisor",
	 {.misc = WITHOUT,
	  .cpu = {FLAG, GUEST},
	  .modules = {.kvm = LIVE, .vendor = DISK, AMD},
	  .has_loaded = true,
	  .load = {.code = EOPNOTSUPP, .reason = KT_REASON_VIRTUALIZATION_DISABLED, .text = "x"}},
	 KT_REASON_NOT_OFFERED_BY_HYPERVISOR,
	 "VMwareVMware"},
	{"blacklisted",
	 {.misc = WITHOUT,
	  .cpu = {FLAG},
	  .modules = {.kvm = DISK, .vendor = DISK, AMD},
	  .has_loaded = true,
	  .load = {.code = EPERM, .reason = KT_REASON_MODULE_BLOCKED, .text = "the module kvm is blacklisted"}},
	 KT_REASON_MODULE_BLOCKED,
	 "/dev/kvm is not there: the module kvm is blacklisted"},
	{"no module, loading tried",
	 {.misc = WITHOUT,
	  .cpu = {FLAG},
	  .modules = {AMD},
	  .has_loaded = true,
	  .load = {.code = ENOENT, .reason = KT_REASON_MODULE_MISSING, .text = "no module kvm"}},
	 KT_REASON_MODULE_MISSING,
	 "no module kvm"},
	{"no module, and nothing may be loaded",
	 {.misc = WITHOUT,
	  .cpu = {FLAG},
	  .modules = {.kvm = LIVE, AMD},
	  .load = {.code = ENOENT, .reason = KT_REASON_MODULE_MISSING, .text = "no module kvm_amd"}},
	 KT_REASON_MODULE_MISSING,
	 "/dev/kvm is not there: no module kvm_amd"},
	{"blocked, and nothing may be loaded",
	 {.misc = WITHOUT,
	  .cpu = {FLAG},
	  .modules = {.kvm = LIVE, .vendor = KT_MODULE_BLOCKED, AMD},
	  .load = {.code = EPERM, .reason = KT_REASON_MODULE_BLOCKED, .text = "the module kvm_amd is blacklisted"}},
	 KT_REASON_MODULE_BLOCKED,
	 "/dev/kvm is not there: the module kvm_amd is blacklisted"},
	{"on disk, and nothing may be loaded",
	 {.misc = WITHOUT, .cpu = {FLAG}, .modules = {.kvm = DISK, .vendor = DISK, AMD}},
	 KT_REASON_DEVICE_MISSING,
	 "kvm_amd is there and not loaded, and this run loads none: modprobe kvm_amd"},
	{"a static node, and nothing may be loaded",
	 {.misc = WITHOUT, .has_node = true, .cpu = {FLAG}, .modules = {.kvm = DISK, .vendor = DISK, AMD}},
	 KT_REASON_DEVICE_MISSING,
	 "/dev/kvm has no driver behind it: the module kvm_amd is there and not loaded"},
	{"all loaded, nobody serves, and nothing may be loaded",
	 {.misc = WITHOUT, .cpu = {FLAG}, .modules = {.kvm = LIVE, .vendor = LIVE, AMD}},
	 KT_REASON_DEVICE_MISSING,
	 "no KVM serves on 10:232 (kvm loaded, kvm_amd loaded"},
	{"loaded well, and still nothing",
	 {.misc = WITHOUT, .cpu = {FLAG}, .modules = {.kvm = LIVE, .vendor = LIVE, AMD}, .has_loaded = true},
	 KT_REASON_DEVICE_MISSING,
	 "no KVM serves on 10:232 (kvm loaded, kvm_amd loaded"},
	{"a node without a driver",
	 {.misc = WITHOUT, .has_node = true, .cpu = {GUEST}, .modules = {.kvm = DISK, AMD}},
	 KT_REASON_NOT_OFFERED_BY_HYPERVISOR,
	 "/dev/kvm has no driver behind it"},
};

static void test_reasons(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_absence facts = rows[i].facts;
		struct kt_error err = {.reason = KT_REASON_NONE};

		facts.device = "/dev/kvm";
		assert_true(kt_absence_explain(&facts, &err) < 0);
		if (err.reason != rows[i].reason || !strstr(err.text, rows[i].words))
			fail_msg("%s: %s: %s", rows[i].what, kt_reason_name(err.reason), err.text);
		/* whatever it is: the node's own cause, so no rollout waits for it */
		assert_true(kt_reason_get(err.reason)->fault == KT_FAULT_NODE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_misc),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
