/* links: kt_node kt_contract kt_base */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/node/kvm/device.h"
#include "../../installer/node/kvm/guest.h"
#include "kontain/base/own.h"
#include "kontain/node/node.h"

static char folder[] = "/tmp/kt-kvm-XXXXXX";
static char node[sizeof(folder) + 8];

static int folder_make(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/kt-kvm-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(node, sizeof(node), "%s/kvm", folder);
	return 0;
}

static int folder_drop(void **state)
{
	(void)state;
	if (unlink(node) < 0)
		(void)rmdir(node);
	return rmdir(folder);
}

static void test_names(void **state)
{
	static const struct {
		const char *host, *dev, *name;
	} rows[] = {
		{"", "/dev", "/dev/kvm"},
		{"/host", "/host/dev", "/dev/kvm"},
		{"/host", "/hostile/dev", "/hostile/dev/kvm"},
		{"/host", "/tmp/dev", "/tmp/dev/kvm"},
	};
	char name[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		kt_device_name(rows[i].host, rows[i].dev, KT_KVM_NODE, name, sizeof(name));
		assert_string_equal(name, rows[i].name);
	}
}

static void probe_is(enum kt_reason reason, const char *words)
{
	struct kt_node_paths paths = {.host = "", .dev = folder};
	struct kt_state_kvm kvm;

	memset(&kvm, 0x5a, sizeof(kvm));
	kt_kvm_probe(&paths, false, &kvm);
	assert_true(kvm.probed);
	assert_false(kvm.verdict.ok);
	if (kvm.verdict.reason != reason || !strstr(kvm.verdict.message, words) || !strstr(kvm.verdict.message, node))
		fail_msg("%s: %s", kt_reason_name(kvm.verdict.reason), kvm.verdict.message);
	assert_string_equal(kvm.device, node);
	assert_int_equal(kvm.api_version, -1);
	assert_false(kvm.real_mode || kvm.long_mode || kvm.nonroot_access);
}

static void test_what_is_no_device(void **state)
{
	(void)state;
	assert_int_equal(close(open(node, O_CREAT | O_WRONLY, 0600)), 0);
	probe_is(KT_REASON_NOT_CHAR_DEVICE, "is a regular file");
	assert_int_equal(unlink(node), 0);
	assert_int_equal(symlink("/dev/kvm", node), 0);
	probe_is(KT_REASON_NOT_CHAR_DEVICE, "is a symbolic link");
	assert_int_equal(unlink(node), 0);
	assert_int_equal(symlink("/nowhere", node), 0);
	probe_is(KT_REASON_NOT_CHAR_DEVICE, "is a symbolic link");
	assert_int_equal(unlink(node), 0);
	assert_int_equal(mkfifo(node, 0600), 0); /* opening one would wait for ever */
	probe_is(KT_REASON_NOT_CHAR_DEVICE, "is a fifo");
	assert_int_equal(unlink(node), 0);
	assert_int_equal(mkdir(node, 0700), 0);
	probe_is(KT_REASON_NOT_CHAR_DEVICE, "is a folder");
}

static void test_other_devices(void **state)
{
	(void)state;
	if (mknod(node, S_IFCHR | 0600, makedev(1, 3)) < 0) {
		print_message("SKIP: cannot make device nodes here\n");
		skip();
	}
	probe_is(KT_REASON_NOT_CHAR_DEVICE, "is character device 1:3, and KVM is 10:232");
	assert_int_equal(unlink(node), 0);
	assert_int_equal(mknod(node, S_IFBLK | 0600, makedev(10, 232)), 0);
	probe_is(KT_REASON_NOT_CHAR_DEVICE, "is a block device");
}

static void test_nothing_there(void **state)
{
	struct kt_node_paths paths = {.host = "", .dev = "/tmp/kt-no-such-folder/dev"};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_state_kvm kvm;

	(void)state;
	assert_int_equal(kt_device_look(folder, node, NULL, &err), -2);
	assert_int_equal(err.reason, KT_REASON_DEVICE_MISSING);
	/* why it is missing depends on the machine, and that it is settled does not */
	kt_kvm_probe(&paths, false, &kvm);
	assert_false(kvm.verdict.ok);
	assert_true(kt_reason_get(kvm.verdict.reason)->fault == KT_FAULT_NODE);
	assert_non_null(strstr(kvm.verdict.message, paths.dev));
}

static size_t announced;

/* What is announced before a check holds if it never ends: it is the failed one, all before it are done. */
static void hear(void *context, const struct kt_probe *so_far)
{
	const struct kt_check *broken = kt_checks_broken(&so_far->checks);

	assert_ptr_equal(context, &announced);
	announced++;
	assert_true(so_far->host.probed && so_far->kvm.probed);
	assert_false(so_far->kvm.verdict.ok);
	assert_int_equal(so_far->kvm.verdict.reason, KT_REASON_GUEST_HUNG);
	assert_non_null(broken);
	assert_int_equal(broken->reason, KT_REASON_GUEST_HUNG);
	assert_string_equal(broken->message, so_far->kvm.verdict.message);
	for (const struct kt_check *after = broken + 1; after < so_far->checks.list + so_far->checks.count; after++)
		assert_int_equal(after->result, KT_CHECK_UNREACHED);
}

static void test_each_rung_is_announced(void **state)
{
	struct kt_node_paths paths = {.host = "", .dev = folder};
	struct kt_probe probe;

	(void)state;
	memset(&probe, 0x5a, sizeof(probe));
	announced = 0;
	assert_int_equal(close(open(node, O_CREAT | O_WRONLY, 0600)), 0);
	kt_node_probe(&paths, false, hear, &announced, &probe);
	assert_int_equal(announced, 1);
	assert_int_equal(kt_checks_broken(&probe.checks)->reason, KT_REASON_NOT_CHAR_DEVICE);
	assert_string_equal(kt_checks_broken(&probe.checks)->name, "device node");
	paths.dev = "/dev";
	announced = 0;
	kt_node_probe(&paths, false, hear, &announced, &probe);
	if (!probe.kvm.verdict.ok)
		skip();
	assert_int_equal(announced, 9); /* each check, and the compiled code behind them */
	assert_string_equal(probe.checks.list[probe.checks.count - 2].name, "compiled code");
	assert_true(probe.checks.list[probe.checks.count - 2].result != KT_CHECK_FAILED);
	assert_true(!probe.host.verdict.ok || !kt_checks_broken(&probe.checks));
}

struct vm {
	int kvm;
	struct kt_guest guest;
};

static int vm_make(void **state)
{
	struct vm *vm = malloc(sizeof(*vm));
	struct kt_error err = {.reason = KT_REASON_NONE};

	*vm = (struct vm){.kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), .guest = KT_GUEST_NONE};
	*state = vm;
	if (vm->kvm < 0) {
		print_message("SKIP: no usable /dev/kvm here\n");
		return 0;
	}
	if (kt_guest_create_vm(vm->kvm, &vm->guest, &err) < 0 || kt_guest_create_vcpu(vm->kvm, &vm->guest, &err) < 0) {
		print_message("%s\n", err.text);
		return -1;
	}
	return 0;
}

static int vm_drop(void **state)
{
	struct vm *vm = *state;

	kt_guest_done(&vm->guest);
	kt_close_fd(&vm->kvm);
	free(vm);
	return 0;
}

static void guest_is(struct vm *vm, const struct kt_guest_program *program, unsigned timeout_ms, enum kt_reason reason,
		     const char *words)
{
	struct kt_error err = {.reason = KT_REASON_NONE, .text = ""};

	if (vm->kvm < 0)
		skip();
	assert_int_equal(kt_guest_run(&vm->guest, program, timeout_ms, &err) < 0, reason != KT_REASON_NONE);
	if (err.reason != reason || !strstr(err.text, words))
		fail_msg("%s: %s", kt_reason_name(err.reason), err.text);
}

#define PROGRAM(text, mode)                                                                   \
	{                                                                                     \
		.name = "the test", .is_long = (mode), .code = (const unsigned char *)(text), \
		.size = sizeof(text) - 1, .told = 0x2345, .told_size = 2                      \
	}
#define OUT_2345 "\xba\x4d\x4b\xb8\x45\x23\xef" /* real mode: mov $0x4b4d, %dx; mov $0x2345, %ax; out %ax, %dx */

static void test_guest_real(void **state)
{
	guest_is(*state, &kt_guest_real, 10000, KT_REASON_NONE, "");
}

static void test_guest_long(void **state)
{
	guest_is(*state, &kt_guest_long, 10000, KT_REASON_NONE, "");
}

static void test_guest_hangs(void **state)
{
	static const struct kt_guest_program at_once = PROGRAM("\xeb\xfe", false),
					     later = PROGRAM(OUT_2345 "\xeb\xfe", false);
	struct itimerval timer;
	struct sigaction action;

	guest_is(*state, &at_once, 100, KT_REASON_GUEST_HUNG, "within 100 ms");
	guest_is(*state, &later, 100, KT_REASON_GUEST_HUNG, "within 100 ms");
	/* nothing stays armed */
	assert_int_equal(getitimer(ITIMER_REAL, &timer), 0);
	assert_true(timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0);
	assert_int_equal(sigaction(SIGALRM, NULL, &action), 0);
	assert_true(action.sa_handler == SIG_DFL);
}

static void test_guest_hangs_in_long_mode(void **state)
{
	static const struct kt_guest_program program = PROGRAM("\xeb\xfe", true);

	guest_is(*state, &program, 100, KT_REASON_GUEST_HUNG, "within 100 ms");
}

static void test_guest_says_something_else(void **state)
{
	static const struct kt_guest_program programs[] = {
		PROGRAM("\xf4", false),                             /* nothing */
		PROGRAM("\xba\x4d\x4b\xb8\x46\x23\xef\xf4", false), /* another number */
		PROGRAM("\xba\x4e\x4b\xb8\x45\x23\xef\xf4", false), /* to another port */
		PROGRAM("\xba\x4d\x4b\xb8\x45\x23\xee\xf4", false), /* one byte of it */
		PROGRAM(OUT_2345 OUT_2345 "\xf4", false),           /* twice */
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		guest_is(*state, &programs[i], 10000, KT_REASON_GUEST_FAILED, "ended with unexpected KVM exit");
}

static void test_guest_forgets_its_memory(void **state)
{
	struct kt_guest_program program = kt_guest_long;

	program.stored++;
	guest_is(*state, &program, 10000, KT_REASON_GUEST_FAILED, "left 0x1223344556677889 in memory");
}

/* movdqa %xmm1, %xmm0 in long mode, which every emulator of KVM's knows: the vector registers are on, or they are
 * not. */
#define MOVDQA "\x66\x0f\x6f\xc1"
#define OUT_LONG \
	"\x66\xba\x4d\x4b\x66\xb8\x45\x23\x66\xef\xf4" /* mov $0x4b4d, %dx; mov $0x2345, %ax; out %ax, %dx; hlt */

static void test_vector_registers(void **state)
{
	struct kt_guest_program program = PROGRAM(MOVDQA OUT_LONG, true);

	program.uses_vectors = true;
	guest_is(*state, &program, 10000, KT_REASON_NONE, "");
}

static void test_vector_registers_are_off_else(void **state)
{
	static const struct kt_guest_program program = PROGRAM(MOVDQA OUT_LONG, true);

	guest_is(*state, &program, 10000, KT_REASON_GUEST_FAILED, "KVM exit");
}

/* Both run, or KVM says that it emulates and cannot; and a guest before it leaves nothing behind. */
static void compiled_is(struct vm *vm, const struct kt_guest_program *program)
{
	struct kt_error err = {.reason = KT_REASON_NONE, .text = ""};

	guest_is(vm, &kt_guest_long, 10000, KT_REASON_NONE, "");
	assert_false(kt_guest_was_not_emulated(&vm->guest));
	if (kt_guest_run(&vm->guest, program, 10000, &err) == 0)
		assert_false(kt_guest_was_not_emulated(&vm->guest));
	else if (!kt_guest_was_not_emulated(&vm->guest) || !strstr(err.text, "INTERNAL_ERROR, suberror 1"))
		fail_msg("%s", err.text);
	else
		print_message("this KVM emulates: %s\n", err.text);
}

static void test_sse2(void **state)
{
	compiled_is(*state, &kt_guest_sse2);
}

static void test_rdtscp(void **state)
{
	struct vm *vm = *state;

	if (vm->kvm < 0 || vm->guest.has_rdtscp) /* what is not offered is not asked for */
		compiled_is(vm, &kt_guest_rdtscp);
}

/* An invalid instruction without a table of handlers: three faults and the machine is off. */
static void test_guest_dies(void **state)
{
	static const struct kt_guest_program program = PROGRAM("\x0f\x0b", true);

	guest_is(*state, &program, 10000, KT_REASON_GUEST_FAILED, "KVM exit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_what_is_no_device, folder_make, folder_drop),
		cmocka_unit_test_setup_teardown(test_other_devices, folder_make, folder_drop),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test_setup_teardown(test_each_rung_is_announced, folder_make, folder_drop),
		cmocka_unit_test_setup_teardown(test_guest_real, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_guest_long, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_guest_hangs, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_guest_hangs_in_long_mode, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_guest_says_something_else, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_guest_forgets_its_memory, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_guest_dies, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_vector_registers, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_vector_registers_are_off_else, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_sse2, vm_make, vm_drop),
		cmocka_unit_test_setup_teardown(test_rdtscp, vm_make, vm_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
