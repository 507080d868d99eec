/* The checker: each check has one reason, and the first that breaks is the answer. A device that is not there is looked
 * for once more after its modules were loaded; what is still missing then is absence.c's to explain.
 *
 * Whatever is asked of KVM may never come back: before each check its own verdict and row say so, and are announced.
 * Whoever ends this process then knows what it hung in.
 *
 * Kontain's own module serves where there is no KVM, and no check is climbed on it: see kkm.c. */
#include "kvm.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "absence.h"
#include "cpu.h"
#include "device.h"
#include "guest.h"
#include "kkm.h"
#include "kontain/base/clock.h"
#include "kontain/base/own.h"
#include "modules.h"

/* A guest of some ten instructions: milliseconds, even where another hypervisor emulates them. */
#define GUEST_TIMEOUT_MS 3000

#define KM_MEMORY_SLOTS 41 /* km gives its payload that many */

struct checker {
	const struct kt_node_paths *paths;
	bool load_modules;
	struct kt_kvm_checking *checking; /* borrowed */
	int kvm;                          /* owned */
	struct kt_guest guest;            /* owned */
	struct kt_state_kvm *state;
	mode_t mode;          /* of the node, 0 while it was not seen */
	bool is_absent;       /* there is no KVM to checking on */
	struct kt_check *row; /* of the check that is climbed */
};

/* What km asks of KVM, and what our guests need (numbers: linux/kvm.h). */
static const struct {
	long number;
	int least;
	const char *name;
} capabilities[] = {
	{KVM_CAP_USER_MEMORY, 1, "KVM_CAP_USER_MEMORY"}, /* KVM_SET_USER_MEMORY_REGION */
	{KVM_CAP_NR_MEMSLOTS, KM_MEMORY_SLOTS, "KVM_CAP_NR_MEMSLOTS"},
	{KVM_CAP_EXT_CPUID, 1, "KVM_CAP_EXT_CPUID"},       /* KVM_GET_SUPPORTED_CPUID, KVM_SET_CPUID2 */
	{KVM_CAP_XCRS, 1, "KVM_CAP_XCRS"},                 /* KVM_SET_XCRS: km switches XSAVE on for its payload */
	{KVM_CAP_SET_TSS_ADDR, 1, "KVM_CAP_SET_TSS_ADDR"}, /* real mode on Intel */
};

static void checker_done(struct checker *checker)
{
	kt_guest_done(&checker->guest);
	kt_close_fd(&checker->kvm);
}

static void saw(const struct checker *checker, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void saw(const struct checker *checker, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(checker->row->value, sizeof(checker->row->value), format, args);
	va_end(args);
}

static int node_look(struct checker *checker, struct kt_error *err)
{
	int r = kt_device_look(checker->paths->dev, checker->state->device, &checker->mode, err);

	if (r == 0)
		checker->state->nonroot_access = (checker->mode & (S_IROTH | S_IWOTH)) == (S_IROTH | S_IWOTH);
	return r;
}

static int node_open(struct checker *checker, struct kt_error *err)
{
	/* to open a node without a driver would have the kernel run modprobe for it, which is loading all the same */
	if (!checker->load_modules && kt_misc_read(checker->paths->host) == KT_MISC_WITHOUT_KVM)
		return kt_fail(err, ENODEV, KT_REASON_DEVICE_MISSING, "%s exists but has no driver",
			       checker->state->device);
	return kt_device_open(checker->paths->dev, checker->state->device, &checker->kvm, &checker->mode, err);
}

/* What `attempt` missed is there after the modules were loaded, or explained. */
static int device_recover(struct checker *checker, int (*attempt)(struct checker *, struct kt_error *), bool has_node,
			  struct kt_error *err)
{
	const char *host = checker->paths->host;
	struct kt_absence absence = {
		.device = checker->state->device, .has_node = has_node, .misc = kt_misc_read(host)};

	kt_cpu_read(&absence.cpu);
	kt_modules_look(host, absence.cpu.vendor, &absence.modules);
	if (!kt_absence_kvm_serves(&absence) && checker->load_modules) {
		absence.has_loaded = checker->checking->has_loaded = true;
		(void)kt_modules_load(host, absence.cpu.vendor, &absence.load);

		int r = attempt(checker, err);

		if (r == 0 || err->reason != KT_REASON_DEVICE_MISSING)
			return r;
		absence.has_node = r == -ENODEV;
		absence.misc = kt_misc_read(host);
		kt_modules_look(host, absence.cpu.vendor, &absence.modules);
	} else if (!checker->load_modules) {
		(void)kt_modules_foresee(host, absence.cpu.vendor, &absence.load);
	}
	checker->is_absent = true;
	return kt_absence_explain(&absence, err);
}

static int check_node(struct checker *checker, struct kt_error *err)
{
	int r = node_look(checker, err);

	saw(checker, "%s", r == 0 ? "" : err->reason == KT_REASON_DEVICE_MISSING ? "missing" : "no KVM device");
	if (r < 0 && err->reason == KT_REASON_DEVICE_MISSING)
		r = device_recover(checker, node_look, false, err);
	if (r == 0)
		saw(checker, "%s, mode %04o", checker->state->device, checker->mode & 07777);
	return r;
}

static int check_open(struct checker *checker, struct kt_error *err)
{
	int r = node_open(checker, err);

	if (r < 0 && err->reason == KT_REASON_DEVICE_MISSING)
		r = device_recover(checker, node_open, r == -ENODEV, err);
	saw(checker, "%s", r == 0 ? "to read and write" : strerror(-r));
	return r;
}

static int check_version(struct checker *checker, struct kt_error *err)
{
	int version = ioctl(checker->kvm, KVM_GET_API_VERSION, 0UL);

	if (version < 0)
		return kt_fail(err, errno, KT_REASON_API_VERSION_MISMATCH, "%s does not answer KVM_GET_API_VERSION: %s",
			       checker->state->device, strerror(errno));
	checker->state->api_version = version;
	saw(checker, "%d", version);
	if (version != KVM_API_VERSION)
		return kt_fail(err, EPROTO, KT_REASON_API_VERSION_MISMATCH,
			       "%s speaks KVM API version %d, and km needs %d", checker->state->device, version,
			       KVM_API_VERSION);
	return 0;
}

static int check_vm(struct checker *checker, struct kt_error *err)
{
	int r = kt_guest_create_vm(checker->kvm, &checker->guest, err);

	saw(checker, "%s", r == 0 ? "made" : strerror(-r));
	return r;
}

static int check_capabilities(struct checker *checker, struct kt_error *err)
{
	const size_t count = sizeof(capabilities) / sizeof(capabilities[0]);

	for (size_t i = 0; i < count; i++) {
		int value = ioctl(checker->kvm, KVM_CHECK_EXTENSION, capabilities[i].number);

		saw(checker, "%s %d", capabilities[i].name, value < 0 ? 0 : value);
		if (value < capabilities[i].least)
			return kt_fail(err, EOPNOTSUPP, KT_REASON_CAPABILITY_MISSING, "KVM has %s %d, and km needs %d",
				       capabilities[i].name, value < 0 ? 0 : value, capabilities[i].least);
	}
	saw(checker, "all %zu that km asks for", count);
	return 0;
}

static int check_vcpu(struct checker *checker, struct kt_error *err)
{
	int r = kt_guest_create_vcpu(checker->kvm, &checker->guest, err);

	saw(checker, "%s", r == 0 ? "made" : strerror(-r));
	return r;
}

static void saw_guest(const struct checker *checker, int r, int64_t since_us)
{
	if (r == 0)
		saw(checker, "exited as expected (%.1f ms)", (double)(kt_clock_us() - since_us) / 1000);
	else
		saw(checker, "%s", r == -ETIMEDOUT ? "does not end" : "did not exit as expected");
}

static int check_real_mode(struct checker *checker, struct kt_error *err)
{
	int64_t start = kt_clock_us();
	int r = kt_guest_run(&checker->guest, &kt_guest_real, GUEST_TIMEOUT_MS, err);

	checker->state->real_mode = r == 0;
	saw_guest(checker, r, start);
	return r;
}

/* In a machine of its own: nothing that real mode left behind can help or harm it. */
static int check_long_mode(struct checker *checker, struct kt_error *err)
{
	int64_t start = kt_clock_us();
	int r;

	kt_guest_done(&checker->guest);
	r = kt_guest_create_vm(checker->kvm, &checker->guest, err);
	if (r == 0)
		r = kt_guest_create_vcpu(checker->kvm, &checker->guest, err);
	if (r == 0)
		r = kt_guest_run(&checker->guest, &kt_guest_long, GUEST_TIMEOUT_MS, err);
	checker->state->long_mode = r == 0;
	saw_guest(checker, r, start);
	return r;
}

static const struct {
	const char *name;
	const char *asks; /* what it hangs in, if it does */
	int (*run)(struct checker *checker, struct kt_error *err);
} checks[] = {
	{"device node", "looking for it, or loading its modules", check_node},
	{"device opens", "open", check_open},
	{"KVM API version", "KVM_GET_API_VERSION", check_version},
	{"virtual machine", "KVM_CREATE_VM", check_vm},
	{"capabilities", "KVM_CHECK_EXTENSION", check_capabilities},
	{"virtual CPU", "KVM_CREATE_VCPU", check_vcpu},
	{"guest in real mode", "KVM_RUN in real mode", check_real_mode},
	{"guest in long mode", "KVM_RUN in long mode", check_long_mode},
};
#define CHECK_COUNT (sizeof(checks) / sizeof(checks[0]))

static void foretell(const struct checker *checker, const char *asks)
{
	const struct kt_kvm_checking *checking = checker->checking;
	struct kt_error hung = {.reason = KT_REASON_NONE};

	if (!checking->announce)
		return;
	(void)kt_fail(&hung, ETIMEDOUT, KT_REASON_GUEST_HUNG, "%s does not answer: %s did not come to an end",
		      checker->state->device, asks);
	kt_verdict_fail(&checker->state->verdict, &hung);
	kt_check_fail(checker->row, &hung);
	saw(checker, "no answer");
	checking->announce(checking->context, checking->probe);
	saw(checker, "%s", "");
}

/* Not a check: what a KVM lacks beyond integer code makes it no other KVM, and only the proof under km has a verdict
 * on it. In the machine of the last check. */
static void note_compiled_code(struct checker *checker)
{
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *what = "SSE2";
	int r;

	foretell(checker, "KVM_RUN of SSE2 and rdtscp");
	r = kt_guest_run(&checker->guest, &kt_guest_sse2, GUEST_TIMEOUT_MS, &err);
	if (r == 0 && checker->guest.has_rdtscp) {
		what = "rdtscp";
		r = kt_guest_run(&checker->guest, &kt_guest_rdtscp, GUEST_TIMEOUT_MS, &err);
	}
	kt_check_pass(checker->row);
	if (r == 0) {
		checker->state->compiled_code = KT_ANSWER_YES;
		saw(checker, "%s", checker->guest.has_rdtscp ? "SSE2 and rdtscp run" : "SSE2 runs; no rdtscp here");
		return;
	}
	checker->row->result = KT_CHECK_NOTE;
	if (r != -ETIMEDOUT && kt_guest_was_not_emulated(&checker->guest)) {
		checker->state->compiled_code = KT_ANSWER_NO;
		saw(checker, "does not run: this KVM emulates, and cannot emulate %s", what);
	} else {
		saw(checker, "unknown: %s", err.text);
	}
}

static int check_all(struct checker *checker, struct kt_error *err)
{
	struct kt_check *rows[CHECK_COUNT], *compiled;
	int r = 0;

	for (size_t i = 0; i < CHECK_COUNT; i++)
		rows[i] = kt_checks_add(&checker->checking->probe->checks, checks[i].name);
	compiled = kt_checks_add(&checker->checking->probe->checks, "compiled code");
	for (size_t i = 0; i < CHECK_COUNT && r == 0; i++) {
		checker->row = rows[i];
		foretell(checker, checks[i].asks);
		r = checks[i].run(checker, err);
		if (r == 0)
			kt_check_pass(rows[i]);
		else
			kt_check_fail(rows[i], err);
	}
	if (r == 0) {
		checker->row = compiled;
		note_compiled_code(checker);
	}
	return r;
}

static void note_access(const struct checker *checker, struct kt_checks *checks)
{
	struct kt_check *check = kt_checks_add(checks, "non-root access");

	if (checker->mode == 0)
		return;
	check->result = KT_CHECK_NOTE;
	(void)snprintf(check->value, sizeof(check->value), "%s",
		       checker->state->nonroot_access ?
			       "yes: the host's own node is open to others" :
			       "no: pods need a node of their own, as the device plugin gives");
}

/* The verdict without KVM, whose absence is err: the module's, where its device is. What is missing below is then a
 * fact, and no failure. */
static bool kkm_serves(struct checker *checker, struct kt_error *err)
{
	const struct kt_node_paths *paths = checker->paths;
	struct kt_state_kvm *state = checker->state;
	struct kt_error failure = {.reason = KT_REASON_NONE};
	struct kt_kkm kkm;
	int r = kt_kkm_find(paths->host, paths->dev, &kkm, &failure);

	if (r == -ENOENT)
		return false;
	checker->row->result = KT_CHECK_NOTE;
	checker->row->reason = KT_REASON_NONE;
	checker->row->message[0] = '\0';
	checker->row = kt_checks_add(&checker->checking->probe->checks, "Kontain's own module");
	kt_device_name(paths->host, paths->dev, kkm.node, state->device, sizeof(state->device));
	checker->mode = kkm.mode;
	state->nonroot_access = (kkm.mode & (S_IROTH | S_IWOTH)) == (S_IROTH | S_IWOTH);
	state->api_version = kkm.api_version;
	if (r < 0) {
		saw(checker, "%s", strerror(-r));
		kt_check_fail(checker->row, &failure);
		*err = failure;
		return false;
	}
	saw(checker, "answers on %s", state->device);
	kt_check_pass(checker->row);
	return true;
}

void kt_kvm_check(struct kt_kvm_checking *checking)
{
	struct kt_state_kvm *state = &checking->probe->kvm;
	KT_OWN(checker_done)
	struct checker checker = {.paths = checking->paths,
				  .load_modules = checking->load_modules,
				  .checking = checking,
				  .kvm = -1,
				  .guest = KT_GUEST_NONE,
				  .state = state};
	struct kt_error err = {.reason = KT_REASON_NONE};
	int64_t start = kt_clock_us();

	*state = (struct kt_state_kvm){.probed = true, .api_version = -1};
	kt_device_name(checking->paths->host, checking->paths->dev, KT_KVM_NODE, state->device, sizeof(state->device));
	if (check_all(&checker, &err) == 0)
		kt_verdict_set(&state->verdict, true, KT_REASON_READY, "guests ran in real and in long mode on %s",
			       state->device);
	else if (checker.is_absent && kkm_serves(&checker, &err))
		kt_verdict_set(&state->verdict, true, KT_REASON_READY,
			       "Kontain's own module answers on %s; there is no KVM: %s", state->device, err.text);
	else
		kt_verdict_fail(&state->verdict, &err);
	state->duration_us = (unsigned)(kt_clock_us() - start);
	note_access(&checker, &checking->probe->checks);
}

void kt_kvm_probe(const struct kt_node_paths *paths, bool load_modules, struct kt_state_kvm *ret_kvm)
{
	struct kt_probe probe = {.checks.count = 0};

	kt_kvm_check(&(struct kt_kvm_checking){.paths = paths, .load_modules = load_modules, .probe = &probe});
	*ret_kvm = probe.kvm;
}
