/* links: kt_node kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/node/host/host.h"
#include "kontain/base/proc.h"
#include "kontain/node/node.h"

static void test_kernels(void **state)
{
	static const struct {
		const char *release;
		bool is_new_enough;
	} rows[] = {
		{"5.8", true},
		{"5.8.0-63-generic", true},
		{"5.10.0-amd64", true},
		{"6.1.0-18-cloud-amd64", true},
		{"10.0", true},
		{"6", true},
		{"5.7.19", false},
		{"5.4.0-150-generic", false},
		{"4.15", false},
		{"5", false},
		{"", false},
		{"linux", false},
		{"-6.1", false},
		{"5.80", true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (kt_host_kernel_is_new_enough(rows[i].release) != rows[i].is_new_enough)
			fail_msg("%s", rows[i].release);
}

#define FIT .kernel = "6.1.0", .xsave = true, .mmap_min_addr = 65536, .file_limit = 1024

static void test_rules(void **state)
{
	static const struct {
		struct kt_state_host host;
		int proc_code;
		enum kt_reason reason;
		const char *words;
	} rows[] = {
		{{FIT}, 0, KT_REASON_NONE, ""},
		{{.kernel = "5.8.0", .xsave = true, .mmap_min_addr = 131072, .file_limit = UINT64_MAX},
		 0,
		 KT_REASON_NONE,
		 ""},
		{{.kernel = "5.4.0", .xsave = true, .file_limit = 1024}, 0, KT_REASON_KERNEL_TOO_OLD, "Linux 5.4.0"},
		{{.kernel = "6.1.0", .cpu_model = "Atom", .file_limit = 1024}, 0, KT_REASON_XSAVE_MISSING, "Atom"},
		{{FIT}, -ENOENT, KT_REASON_PROC_MISSING, "/host/proc"},
		{{.kernel = "6.1.0", .xsave = true, .mmap_min_addr = 131073, .file_limit = 1024},
		 0,
		 KT_REASON_MMAP_MIN_ADDR,
		 "131073"},
		{{.kernel = "6.1.0", .xsave = true, .file_limit = 1023}, 0, KT_REASON_FILE_LIMIT, "1023"},
		{{.kernel = "4.4", .file_limit = 1}, -ENOENT, KT_REASON_KERNEL_TOO_OLD, "4.4"},
		/* the first that breaks */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_host_facts facts = {.host = "/host", .state = &rows[i].host, .proc_code = rows[i].proc_code};
		struct kt_error err = {.reason = KT_REASON_NONE};
		int r = kt_host_judge(&facts, &err);

		assert_int_equal(r < 0, rows[i].reason != KT_REASON_NONE);
		if (err.reason != rows[i].reason || !strstr(err.text, rows[i].words))
			fail_msg("row %zu: %s: %s", i, kt_reason_name(err.reason), err.text);
	}
}

/* Every rule has its row, whichever is the first that breaks; behind them the facts, which break nothing. */
static void test_rows(void **state)
{
	static const struct {
		const char *name;
		enum kt_check_result result;
		enum kt_reason reason;
		const char *value;
	} rows[] = {
		{"kernel", KT_CHECK_FAILED, KT_REASON_KERNEL_TOO_OLD, "Linux 4.4"},
		{"XSAVE", KT_CHECK_OK, KT_REASON_NONE, "yes"},
		{"proc", KT_CHECK_FAILED, KT_REASON_PROC_MISSING, "No such file or directory"},
		{"vm.mmap_min_addr", KT_CHECK_OK, KT_REASON_NONE, "unknown without /proc"},
		{"open files", KT_CHECK_FAILED, KT_REASON_FILE_LIMIT, "12"},
		{"CPU", KT_CHECK_NOTE, KT_REASON_NONE, "Atom, without svm or vmx"},
		{"hypervisor", KT_CHECK_NOTE, KT_REASON_NONE, "Hyper-V"},
		{"confidential guest", KT_CHECK_NOTE, KT_REASON_NONE, "tdx"},
		{"SELinux", KT_CHECK_NOTE, KT_REASON_NONE, "enforcing"},
		{"lockdown", KT_CHECK_NOTE, KT_REASON_NONE, "integrity"},
		{"modules", KT_CHECK_NOTE, KT_REASON_NONE, "kvm loaded"},
	};
	struct kt_state_host host = {.kernel = "4.4",
				     .xsave = true,
				     .file_limit = 12,
				     .cpu_model = "Atom",
				     .hypervisor = "Microsoft Hv",
				     .confidential = "tdx",
				     .selinux = "enforcing",
				     .lockdown = "integrity",
				     .modules = "kvm loaded"};
	struct kt_host_facts facts = {.host = "/host", .state = &host, .proc_code = -ENOENT};
	struct kt_checks checks = {.count = 0};

	(void)state;
	kt_host_check(&facts, &checks);
	assert_int_equal(checks.count, sizeof(rows) / sizeof(rows[0]));
	for (size_t i = 0; i < checks.count; i++) {
		assert_string_equal(checks.list[i].name, rows[i].name);
		assert_int_equal(checks.list[i].result, rows[i].result);
		assert_int_equal(checks.list[i].reason, rows[i].reason);
		assert_string_equal(checks.list[i].value, rows[i].value);
		assert_int_equal(checks.list[i].message[0] != '\0', rows[i].result == KT_CHECK_FAILED);
	}
	assert_ptr_equal(kt_checks_broken(&checks), &checks.list[0]);
}

static void test_this_host(void **state)
{
	struct kt_node_paths paths = {.host = "", .dev = "/dev"};
	struct kt_state_host host;
	struct utsname kernel;
	struct rlimit limit;
	char text[64];

	(void)state;
	memset(&host, 0x5a, sizeof(host)); /* all of it is filled */
	kt_host_probe(&paths, &host);
	assert_true(host.probed);
	assert_int_equal(uname(&kernel), 0);
	assert_string_equal(host.kernel, kernel.release);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(host.file_limit == limit.rlim_cur);
	assert_true(kt_proc_read("", "sys/vm/mmap_min_addr", text, sizeof(text)) > 0);
	assert_true(host.mmap_min_addr == strtoull(text, NULL, 10));
	assert_true(strlen(host.cpu_vendor) > 0 && strlen(host.cpu_vendor) < sizeof(host.cpu_vendor));
	assert_non_null(strstr(host.modules, "kvm "));
	assert_true(strlen(host.confidential) > 0 && strlen(host.selinux) > 0 && strlen(host.lockdown) > 0);
	assert_true(strlen(host.verdict.message) > 0);
	assert_int_equal(host.verdict.ok, host.verdict.reason == KT_REASON_READY);
}

static void test_file_limit(void **state)
{
	struct kt_node_paths paths = {.host = "", .dev = "/dev"};
	struct kt_state_host host;
	struct rlimit before, small;

	(void)state;
	kt_host_probe(&paths, &host);
	if (!host.verdict.ok)
		skip();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	small = (struct rlimit){.rlim_cur = 256, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &small), 0);
	kt_host_probe(&paths, &host);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(host.verdict.reason, KT_REASON_FILE_LIMIT);
	assert_int_equal(host.file_limit, 256);
}

/* A folder that only looks like proc is none. */
static void test_decoy_proc(void **state)
{
	char root[] = "/tmp/kt-host-XXXXXX", path[128], text[32];
	struct kt_node_paths paths = {.host = root, .dev = "/dev"};
	struct kt_state_host host;

	(void)state;
	assert_non_null(mkdtemp(root));
	kt_host_probe(&paths, &host);
	assert_int_equal(host.verdict.reason, KT_REASON_PROC_MISSING);

	static const char *const folders[] = {"proc", "proc/sys", "proc/sys/vm"};

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, folders[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	snprintf(path, sizeof(path), "%s/proc/sys/vm/mmap_min_addr", root);

	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs("4096\n", file);
	fclose(file);
	kt_host_probe(&paths, &host);
	assert_int_equal(host.verdict.reason, KT_REASON_PROC_MISSING);
	assert_non_null(strstr(host.verdict.message, root));
	assert_int_equal(kt_proc_read(root, "sys/vm/mmap_min_addr", text, sizeof(text)), -ENOENT);
	assert_int_equal(unlink(path), 0);
	for (size_t i = 3; i-- > 0;) {
		snprintf(path, sizeof(path), "%s/%s", root, folders[i]);
		assert_int_equal(rmdir(path), 0);
	}
	/* nor is a link to the real one */
	snprintf(path, sizeof(path), "%s/proc", root);
	assert_int_equal(symlink("/proc", path), 0);
	kt_host_probe(&paths, &host);
	assert_int_equal(host.verdict.reason, KT_REASON_PROC_MISSING);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(root), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernels),   cmocka_unit_test(test_rules),      cmocka_unit_test(test_rows),
		cmocka_unit_test(test_this_host), cmocka_unit_test(test_file_limit), cmocka_unit_test(test_decoy_proc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
