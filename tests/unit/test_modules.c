/* links: kt_node kt_contract kt_base */
#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/node/kvm/modules.h"
#include "kontain/base/own.h"

#define BLACKLISTED 0x20000 /* KMOD_PROBE_APPLY_BLACKLIST comes back as it went in */

static void test_answers(void **state)
{
	static const struct kt_refusal refusal = {.is_disabled = true};
	static const struct {
		int code;
		bool has_file;
		enum kt_reason reason;
		const char *words;
	} rows[] = {
		{BLACKLISTED, true, KT_REASON_MODULE_BLOCKED, "blacklisted"},
		{-ECANCELED, true, KT_REASON_MODULE_BLOCKED, "install command"},
		{-ELIBBAD, true, KT_REASON_MODULE_BLOCKED, "alias"},
		{-EPERM, true, KT_REASON_MODULE_BLOCKED, "modules_disabled"},
		{-EACCES, true, KT_REASON_MODULE_BLOCKED, "security module"},
		{-EOPNOTSUPP, true, KT_REASON_VIRTUALIZATION_DISABLED, "no hardware virtualization"},
		{-EIO, true, KT_REASON_VIRTUALIZATION_DISABLED, "lacks features"},
		{-ENOENT, false, KT_REASON_MODULE_MISSING, "its file is not there"},
		{-ENOENT, true, KT_REASON_MODULE_MISSING, "built for another kernel"},
		{-ENOEXEC, true, KT_REASON_MODULE_MISSING, "damaged"},
		{-EKEYREJECTED, true, KT_REASON_MODULE_BLOCKED, "signature"},
		{-ENOKEY, true, KT_REASON_MODULE_BLOCKED, "key"},
		{-EINVAL, true, KT_REASON_MODULE_BLOCKED, "option"},
		{-ENOMEM, true, KT_REASON_OUT_OF_MEMORY, "cannot be loaded: Cannot allocate memory"},
		{0x10000, true, KT_REASON_MODULE_BLOCKED, "cannot be loaded"},
	};
	struct kt_modules_answer answer = {.module = "kvm_amd", .refusal = &refusal};

	(void)state;
	assert_int_equal(kt_modules_explain(&answer, KT_ERROR_IGNORED), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_error err = {.reason = KT_REASON_NONE};

		answer.code = rows[i].code;
		answer.has_file = rows[i].has_file;
		assert_true(kt_modules_explain(&answer, &err) < 0);
		if (err.reason != rows[i].reason || !strstr(err.text, rows[i].words) || !strstr(err.text, "kvm_amd"))
			fail_msg("%d: %s: %s", rows[i].code, kt_reason_name(err.reason), err.text);
		assert_true(err.code > 0);
	}
}

static void test_vendors(void **state)
{
	(void)state;
	assert_string_equal(kt_modules_vendor_name("AuthenticAMD"), "kvm_amd");
	assert_string_equal(kt_modules_vendor_name("HygonGenuine"), "kvm_amd");
	assert_string_equal(kt_modules_vendor_name("GenuineIntel"), "kvm_intel");
	assert_null(kt_modules_vendor_name("TransmetaCPU"));
	assert_null(kt_modules_vendor_name(""));
}

static void test_description(void **state)
{
	struct kt_modules modules = {.kvm = KT_MODULE_BUILTIN,
				     .vendor = KT_MODULE_MISSING,
				     .irqbypass = KT_MODULE_LOADED,
				     .vendor_name = "kvm_amd"};
	char text[128];

	(void)state;
	kt_modules_describe(&modules, text, sizeof(text));
	assert_string_equal(text, "kvm builtin, kvm_amd missing, irqbypass loaded");
	modules = (struct kt_modules){.kvm = KT_MODULE_AVAILABLE, .irqbypass = KT_MODULE_LOADING};
	kt_modules_describe(&modules, text, sizeof(text));
	assert_string_equal(text, "kvm not loaded, irqbypass loading");
	modules = (struct kt_modules){.kvm = KT_MODULE_LOADED, .vendor = KT_MODULE_BLOCKED, .vendor_name = "kvm_intel"};
	kt_modules_describe(&modules, text, sizeof(text));
	assert_string_equal(text, "kvm loaded, kvm_intel blocked, irqbypass missing");
	modules = (struct kt_modules){.kvm = KT_MODULE_AVAILABLE};
	kt_modules_describe(&modules, text, 8);
	assert_string_equal(text, "kvm not");
}

/* A host root with a module index of our own, and whatever lies in modprobe.d. */
static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
	(void)info, (void)type, (void)walk;
	return remove(path);
}

static void put_bytes(const char *root, const char *path, const void *bytes, size_t size)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(full, 0755);
		*slash = '/';
	}

	FILE *file = fopen(full, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

static void put(const char *root, const char *path, const char *text)
{
	put_bytes(root, path, text, strlen(text));
}

struct host {
	char root[64];
	struct utsname kernel;
};

static int host_make(void **state)
{
	struct host *host = calloc(1, sizeof(*host));

	strcpy(host->root, "/tmp/kt-modules-XXXXXX");
	if (!mkdtemp(host->root) || uname(&host->kernel) < 0)
		return -1;
	*state = host;
	return 0;
}

static int host_drop(void **state)
{
	struct host *host = *state;

	(void)nftw(host->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(host);
	return 0;
}

static void release_put(const struct host *host, const char *file, const void *bytes, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "lib/modules/%s/%s", host->kernel.release, file);
	put_bytes(host->root, path, bytes, size);
}

/* An index as depmod writes it, of one module: magic, version 2.1, then where its only node lies and that it has a
 * prefix and values; the prefix is the name, and the one value its file and what it needs (libkmod-index.c of kmod). */
static void index_put(const struct host *host)
{
	static const char index[] = "\xb0\x07\xf4\x57"
				    "\0\x02\0\x01"
				    "\xc0\0\0\x0c"
				    "kvm_intel\0"
				    "\0\0\0\x01"
				    "\0\0\0\0"
				    "kernel/arch/x86/kvm/kvm-intel.ko:";

	release_put(host, "modules.dep.bin", index, sizeof(index));
}

static void test_no_modules_on_the_host(void **state)
{
	struct host *host = *state;
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_modules modules;

	/* this kernel may have kvm built in; the vendor that nobody has is missing everywhere */
	kt_modules_look(host->root, "TransmetaCPU", &modules);
	assert_null(modules.vendor_name);
	assert_true(kt_modules_load(host->root, "TransmetaCPU", &err) < 0);
	assert_int_equal(err.reason, KT_REASON_MODULE_MISSING);
	assert_non_null(strstr(err.text, "TransmetaCPU"));
	kt_modules_look(host->root, "GenuineIntel", &modules);
	if (modules.vendor >= KT_MODULE_LOADED)
		skip();
	assert_int_equal(modules.vendor, KT_MODULE_MISSING);
	assert_true(kt_modules_load(host->root, "GenuineIntel", &err) < 0);
	assert_int_equal(err.reason, KT_REASON_MODULE_MISSING);
	assert_non_null(strstr(err.text, "/lib/modules"));
}

/* libkmod itself is asked: whatever it answers here, it answers before the kernel is asked to load anything. */
static void test_rules_of_the_host(void **state)
{
	static const struct {
		const char *place;
		const char *rule;
		enum kt_reason reason;
		const char *words;
	} rows[] = {
		{"etc/modprobe.d/a.conf", "blacklist kvm_intel\n", KT_REASON_MODULE_BLOCKED, "blacklisted"},
		{"run/modprobe.d/a.conf", "blacklist kvm-intel\n", KT_REASON_MODULE_BLOCKED, "blacklisted"},
		{"usr/lib/modprobe.d/a.conf", "blacklist kvm_intel\n", KT_REASON_MODULE_BLOCKED, "blacklisted"},
		{"etc/modprobe.d/a.conf", "install kvm_intel /usr/bin/touch %s/ran\n", KT_REASON_MODULE_BLOCKED,
		 "install command"},
		{"etc/modprobe.d/a.conf", "alias kvm_intel off\n", KT_REASON_MODULE_BLOCKED, "alias"},
		{"etc/modprobe.d/a.txt", "blacklist kvm_intel\n", KT_REASON_MODULE_MISSING, "its file is not there"},
	};
	struct host *host = *state;
	struct kt_modules modules;
	char rule[256], ran[128];

	kt_modules_look(host->root, "GenuineIntel", &modules);
	if (modules.kvm < KT_MODULE_LOADED || modules.vendor >= KT_MODULE_LOADED) {
		print_message("SKIP: kvm is not loaded here, or kvm_intel is: the rules are not asked first\n");
		skip();
	}
	/* in the index, but its file is not there: nothing can be loaded by this test */
	index_put(host);
	snprintf(ran, sizeof(ran), "%s/ran", host->root);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_error err = {.reason = KT_REASON_NONE};
		char place[256];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(rule, sizeof(rule), rows[i].rule, host->root);
#pragma GCC diagnostic pop
		put(host->root, rows[i].place, rule);
		assert_true(kt_modules_load(host->root, "GenuineIntel", &err) < 0);
		if (err.reason != rows[i].reason || !strstr(err.text, rows[i].words))
			fail_msg("%s: %s: %s", rows[i].rule, kt_reason_name(err.reason), err.text);
		err = (struct kt_error){.reason = KT_REASON_NONE};
		assert_true(kt_modules_foresee(host->root, "GenuineIntel", &err) < 0);
		if (err.reason != rows[i].reason || !strstr(err.text, rows[i].words))
			fail_msg("%s foreseen: %s: %s", rows[i].rule, kt_reason_name(err.reason), err.text);
		assert_int_equal(access(ran, F_OK), -1);
		snprintf(place, sizeof(place), "%s/%s", host->root, rows[i].place);
		assert_int_equal(unlink(place), 0);
	}
}

static void test_index(void **state)
{
	struct host *host = *state;
	struct kt_modules modules;

	kt_modules_look(host->root, "GenuineIntel", &modules);
	if (modules.vendor != KT_MODULE_MISSING)
		skip();
	index_put(host);
	kt_modules_look(host->root, "GenuineIntel", &modules);
	assert_int_equal(modules.vendor, KT_MODULE_MISSING); /* listed, and no file */
	release_put(host, "kernel/arch/x86/kvm/kvm-intel.ko", "not a module", 12);
	kt_modules_look(host->root, "GenuineIntel", &modules);
	assert_int_equal(modules.vendor, KT_MODULE_AVAILABLE);
	put(host->root, "etc/modprobe.d/a.conf", "blacklist kvm_intel\n");
	kt_modules_look(host->root, "GenuineIntel", &modules);
	assert_int_equal(modules.vendor, KT_MODULE_BLOCKED);
	put(host->root, "etc/modprobe.d/a.conf", "install kvm_intel /bin/false\n");
	kt_modules_look(host->root, "GenuineIntel", &modules);
	assert_int_equal(modules.vendor, KT_MODULE_BLOCKED);
	put(host->root, "etc/modprobe.d/a.conf", "alias kvm_intel off\n");
	kt_modules_look(host->root, "GenuineIntel", &modules);
	assert_int_equal(modules.vendor, KT_MODULE_BLOCKED);
	put(host->root, "etc/modprobe.d/a.conf", "options kvm_intel nested=1\n");
	kt_modules_look(host->root, "GenuineIntel", &modules);
	assert_int_equal(modules.vendor, KT_MODULE_AVAILABLE);
}

/* A folder called sys is not sysfs. */
static void test_decoy_sysfs(void **state)
{
	struct host *host = *state;
	struct kt_modules real, seen;

	kt_modules_look("", "GenuineIntel", &real);
	if (real.vendor >= KT_MODULE_LOADED)
		skip();
	put(host->root, "sys/module/kvm_intel/initstate", "live\n");
	kt_modules_look(host->root, "GenuineIntel", &seen);
	assert_int_equal(seen.vendor, KT_MODULE_MISSING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_vendors),
		cmocka_unit_test(test_description),
		cmocka_unit_test_setup_teardown(test_no_modules_on_the_host, host_make, host_drop),
		cmocka_unit_test_setup_teardown(test_rules_of_the_host, host_make, host_drop),
		cmocka_unit_test_setup_teardown(test_index, host_make, host_drop),
		cmocka_unit_test_setup_teardown(test_decoy_sysfs, host_make, host_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
