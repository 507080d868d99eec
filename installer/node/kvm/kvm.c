/* The ladder: each rung has one reason, and the first that breaks is the answer. A device that is not there is looked
 * for once more after its modules were loaded; what is still missing then is absence.c's to explain.
 *
 * Whatever is asked of KVM may never come back: before each rung its own verdict and row say so, and are told. Whoever
 * ends this process then knows what it hung in.
 *
 * Kontain's own module serves where there is no KVM, and no rung is climbed on it: see kkm.c. */
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

struct ladder {
	const struct kt_node_paths *paths;
	bool load_modules;
	struct kt_climb *climb; /* borrowed */
	int kvm;                /* owned */
	struct kt_guest guest;  /* owned */
	struct kt_state_kvm *state;
	mode_t mode;         /* of the node, 0 while it was not seen */
	bool is_absent;      /* there is no KVM to climb on */
	struct kt_rung *row; /* of the rung that is climbed */
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

static void ladder_done(struct ladder *ladder)
{
	kt_guest_done(&ladder->guest);
	kt_close_fd(&ladder->kvm);
}

static void saw(const struct ladder *ladder, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void saw(const struct ladder *ladder, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(ladder->row->value, sizeof(ladder->row->value), format, args);
	va_end(args);
}

static int node_look(struct ladder *ladder, struct kt_error *err)
{
	int r = kt_device_look(ladder->paths->dev, ladder->state->device, &ladder->mode, err);

	if (r == 0)
		ladder->state->nonroot_access = (ladder->mode & (S_IROTH | S_IWOTH)) == (S_IROTH | S_IWOTH);
	return r;
}

static int node_open(struct ladder *ladder, struct kt_error *err)
{
	/* to open a node without a driver would have the kernel run modprobe for it, which is loading all the same */
	if (!ladder->load_modules && kt_misc_read(ladder->paths->host) == KT_MISC_WITHOUT_KVM)
		return kt_fail(err, ENODEV, KT_REASON_DEVICE_MISSING, "%s exists but has no driver",
			       ladder->state->device);
	return kt_device_open(ladder->paths->dev, ladder->state->device, &ladder->kvm, &ladder->mode, err);
}

/* What `attempt` missed is there after the modules were loaded, or explained. */
static int device_recover(struct ladder *ladder, int (*attempt)(struct ladder *, struct kt_error *), bool has_node,
			  struct kt_error *err)
{
	const char *host = ladder->paths->host;
	struct kt_absence absence = {.device = ladder->state->device, .has_node = has_node, .misc = kt_misc_read(host)};

	kt_cpu_read(&absence.cpu);
	kt_modules_look(host, absence.cpu.vendor, &absence.modules);
	if (!kt_absence_kvm_serves(&absence) && ladder->load_modules) {
		absence.has_loaded = ladder->climb->has_loaded = true;
		(void)kt_modules_load(host, absence.cpu.vendor, &absence.load);

		int r = attempt(ladder, err);

		if (r == 0 || err->reason != KT_REASON_DEVICE_MISSING)
			return r;
		absence.has_node = r == -ENODEV;
		absence.misc = kt_misc_read(host);
		kt_modules_look(host, absence.cpu.vendor, &absence.modules);
	} else if (!ladder->load_modules) {
		(void)kt_modules_foresee(host, absence.cpu.vendor, &absence.load);
	}
	ladder->is_absent = true;
	return kt_absence_explain(&absence, err);
}

static int rung_node(struct ladder *ladder, struct kt_error *err)
{
	int r = node_look(ladder, err);

	saw(ladder, "%s", r == 0 ? "" : err->reason == KT_REASON_DEVICE_MISSING ? "missing" : "no KVM device");
	if (r < 0 && err->reason == KT_REASON_DEVICE_MISSING)
		r = device_recover(ladder, node_look, false, err);
	if (r == 0)
		saw(ladder, "%s, mode %04o", ladder->state->device, ladder->mode & 07777);
	return r;
}

static int rung_open(struct ladder *ladder, struct kt_error *err)
{
	int r = node_open(ladder, err);

	if (r < 0 && err->reason == KT_REASON_DEVICE_MISSING)
		r = device_recover(ladder, node_open, r == -ENODEV, err);
	saw(ladder, "%s", r == 0 ? "to read and write" : strerror(-r));
	return r;
}

static int rung_version(struct ladder *ladder, struct kt_error *err)
{
	int version = ioctl(ladder->kvm, KVM_GET_API_VERSION, 0UL);

	if (version < 0)
		return kt_fail(err, errno, KT_REASON_API_VERSION_MISMATCH, "%s does not answer KVM_GET_API_VERSION: %s",
			       ladder->state->device, strerror(errno));
	ladder->state->api_version = version;
	saw(ladder, "%d", version);
	if (version != KVM_API_VERSION)
		return kt_fail(err, EPROTO, KT_REASON_API_VERSION_MISMATCH,
			       "%s speaks KVM API version %d, and km needs %d", ladder->state->device, version,
			       KVM_API_VERSION);
	return 0;
}

static int rung_vm(struct ladder *ladder, struct kt_error *err)
{
	int r = kt_guest_create_vm(ladder->kvm, &ladder->guest, err);

	saw(ladder, "%s", r == 0 ? "made" : strerror(-r));
	return r;
}

static int rung_capabilities(struct ladder *ladder, struct kt_error *err)
{
	const size_t count = sizeof(capabilities) / sizeof(capabilities[0]);

	for (size_t i = 0; i < count; i++) {
		int value = ioctl(ladder->kvm, KVM_CHECK_EXTENSION, capabilities[i].number);

		saw(ladder, "%s %d", capabilities[i].name, value < 0 ? 0 : value);
		if (value < capabilities[i].least)
			return kt_fail(err, EOPNOTSUPP, KT_REASON_CAPABILITY_MISSING, "KVM has %s %d, and km needs %d",
				       capabilities[i].name, value < 0 ? 0 : value, capabilities[i].least);
	}
	saw(ladder, "all %zu that km asks for", count);
	return 0;
}

static int rung_vcpu(struct ladder *ladder, struct kt_error *err)
{
	int r = kt_guest_create_vcpu(ladder->kvm, &ladder->guest, err);

	saw(ladder, "%s", r == 0 ? "made" : strerror(-r));
	return r;
}

static void saw_guest(const struct ladder *ladder, int r, int64_t since_us)
{
	if (r == 0)
		saw(ladder, "exited as expected (%.1f ms)", (double)(kt_clock_us() - since_us) / 1000);
	else
		saw(ladder, "%s", r == -ETIMEDOUT ? "does not end" : "did not exit as expected");
}

static int rung_real_mode(struct ladder *ladder, struct kt_error *err)
{
	int64_t start = kt_clock_us();
	int r = kt_guest_run(&ladder->guest, &kt_guest_real, GUEST_TIMEOUT_MS, err);

	ladder->state->real_mode = r == 0;
	saw_guest(ladder, r, start);
	return r;
}

/* In a machine of its own: nothing that real mode left behind can help or harm it. */
static int rung_long_mode(struct ladder *ladder, struct kt_error *err)
{
	int64_t start = kt_clock_us();
	int r;

	kt_guest_done(&ladder->guest);
	r = kt_guest_create_vm(ladder->kvm, &ladder->guest, err);
	if (r == 0)
		r = kt_guest_create_vcpu(ladder->kvm, &ladder->guest, err);
	if (r == 0)
		r = kt_guest_run(&ladder->guest, &kt_guest_long, GUEST_TIMEOUT_MS, err);
	ladder->state->long_mode = r == 0;
	saw_guest(ladder, r, start);
	return r;
}

static const struct {
	const char *name;
	const char *asks; /* what it hangs in, if it does */
	int (*climb)(struct ladder *ladder, struct kt_error *err);
} rungs[] = {
	{"device node", "looking for it, or loading its modules", rung_node},
	{"device opens", "open", rung_open},
	{"KVM API version", "KVM_GET_API_VERSION", rung_version},
	{"virtual machine", "KVM_CREATE_VM", rung_vm},
	{"capabilities", "KVM_CHECK_EXTENSION", rung_capabilities},
	{"virtual CPU", "KVM_CREATE_VCPU", rung_vcpu},
	{"guest in real mode", "KVM_RUN in real mode", rung_real_mode},
	{"guest in long mode", "KVM_RUN in long mode", rung_long_mode},
};
#define RUNG_COUNT (sizeof(rungs) / sizeof(rungs[0]))

static void foretell(const struct ladder *ladder, const char *asks)
{
	const struct kt_climb *climb = ladder->climb;
	struct kt_error hung = {.reason = KT_REASON_NONE};

	if (!climb->announce)
		return;
	(void)kt_fail(&hung, ETIMEDOUT, KT_REASON_GUEST_HUNG, "%s does not answer: %s did not come to an end",
		      ladder->state->device, asks);
	kt_verdict_fail(&ladder->state->verdict, &hung);
	kt_rung_fail(ladder->row, &hung);
	saw(ladder, "no answer");
	climb->announce(climb->context, climb->probe);
	saw(ladder, "%s", "");
}

/* Not a rung: what a KVM lacks beyond integer code makes it no other KVM, and only the proof under km has a verdict
 * on it. In the machine of the last rung. */
static void note_compiled_code(struct ladder *ladder)
{
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *what = "SSE2";
	int r;

	foretell(ladder, "KVM_RUN of SSE2 and rdtscp");
	r = kt_guest_run(&ladder->guest, &kt_guest_sse2, GUEST_TIMEOUT_MS, &err);
	if (r == 0 && ladder->guest.has_rdtscp) {
		what = "rdtscp";
		r = kt_guest_run(&ladder->guest, &kt_guest_rdtscp, GUEST_TIMEOUT_MS, &err);
	}
	kt_rung_pass(ladder->row);
	if (r == 0) {
		ladder->state->compiled_code = KT_ANSWER_YES;
		saw(ladder, "%s", ladder->guest.has_rdtscp ? "SSE2 and rdtscp run" : "SSE2 runs; no rdtscp here");
		return;
	}
	ladder->row->result = KT_RUNG_NOTE;
	if (r != -ETIMEDOUT && kt_guest_was_not_emulated(&ladder->guest)) {
		ladder->state->compiled_code = KT_ANSWER_NO;
		saw(ladder, "does not run: this KVM emulates, and cannot emulate %s", what);
	} else {
		saw(ladder, "unknown: %s", err.text);
	}
}

static int climb_all(struct ladder *ladder, struct kt_error *err)
{
	struct kt_rung *rows[RUNG_COUNT], *compiled;
	int r = 0;

	for (size_t i = 0; i < RUNG_COUNT; i++)
		rows[i] = kt_checks_add(&ladder->climb->probe->checks, rungs[i].name);
	compiled = kt_checks_add(&ladder->climb->probe->checks, "compiled code");
	for (size_t i = 0; i < RUNG_COUNT && r == 0; i++) {
		ladder->row = rows[i];
		foretell(ladder, rungs[i].asks);
		r = rungs[i].climb(ladder, err);
		if (r == 0)
			kt_rung_pass(rows[i]);
		else
			kt_rung_fail(rows[i], err);
	}
	if (r == 0) {
		ladder->row = compiled;
		note_compiled_code(ladder);
	}
	return r;
}

static void note_access(const struct ladder *ladder, struct kt_checks *checks)
{
	struct kt_rung *rung = kt_checks_add(checks, "non-root access");

	if (ladder->mode == 0)
		return;
	rung->result = KT_RUNG_NOTE;
	(void)snprintf(rung->value, sizeof(rung->value), "%s",
		       ladder->state->nonroot_access ? "yes: the host's own node is open to others" :
						       "no: pods need a node of their own, as the device plugin gives");
}

/* The verdict without KVM, whose absence is err: the module's, where its device is. What is missing below is then a
 * fact, and no failure. */
static bool kkm_serves(struct ladder *ladder, struct kt_error *err)
{
	const struct kt_node_paths *paths = ladder->paths;
	struct kt_state_kvm *state = ladder->state;
	struct kt_error failure = {.reason = KT_REASON_NONE};
	struct kt_kkm kkm;
	int r = kt_kkm_find(paths->host, paths->dev, &kkm, &failure);

	if (r == -ENOENT)
		return false;
	ladder->row->result = KT_RUNG_NOTE;
	ladder->row->reason = KT_REASON_NONE;
	ladder->row->message[0] = '\0';
	ladder->row = kt_checks_add(&ladder->climb->probe->checks, "Kontain's own module");
	kt_device_name(paths->host, paths->dev, kkm.node, state->device, sizeof(state->device));
	ladder->mode = kkm.mode;
	state->nonroot_access = (kkm.mode & (S_IROTH | S_IWOTH)) == (S_IROTH | S_IWOTH);
	state->api_version = kkm.api_version;
	if (r < 0) {
		saw(ladder, "%s", strerror(-r));
		kt_rung_fail(ladder->row, &failure);
		*err = failure;
		return false;
	}
	saw(ladder, "answers on %s", state->device);
	kt_rung_pass(ladder->row);
	return true;
}

void kt_kvm_climb(struct kt_climb *climb)
{
	struct kt_state_kvm *state = &climb->probe->kvm;
	KT_OWN(ladder_done)
	struct ladder ladder = {.paths = climb->paths,
				.load_modules = climb->load_modules,
				.climb = climb,
				.kvm = -1,
				.guest = KT_GUEST_NONE,
				.state = state};
	struct kt_error err = {.reason = KT_REASON_NONE};
	int64_t start = kt_clock_us();

	*state = (struct kt_state_kvm){.probed = true, .api_version = -1};
	kt_device_name(climb->paths->host, climb->paths->dev, KT_KVM_NODE, state->device, sizeof(state->device));
	if (climb_all(&ladder, &err) == 0)
		kt_verdict_set(&state->verdict, true, KT_REASON_READY, "guests ran in real and in long mode on %s",
			       state->device);
	else if (ladder.is_absent && kkm_serves(&ladder, &err))
		kt_verdict_set(&state->verdict, true, KT_REASON_READY,
			       "Kontain's own module answers on %s; there is no KVM: %s", state->device, err.text);
	else
		kt_verdict_fail(&state->verdict, &err);
	state->duration_us = (unsigned)(kt_clock_us() - start);
	note_access(&ladder, &climb->probe->checks);
}

void kt_kvm_probe(const struct kt_node_paths *paths, bool load_modules, struct kt_state_kvm *ret_kvm)
{
	struct kt_probe probe = {.checks.count = 0};

	kt_kvm_climb(&(struct kt_climb){.paths = paths, .load_modules = load_modules, .probe = &probe});
	*ret_kvm = probe.kvm;
}
