/* The ladder: each rung has one reason, and the first that breaks is the answer. A device that is not there is looked
 * for once more after its modules were loaded; what is still missing then is absence.c's to explain.
 *
 * Another device (Kontain's own module) would be a second row of where to start; every rung above it is the same. */
#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "absence.h"
#include "cpu.h"
#include "device.h"
#include "guest.h"
#include "kontain/node.h"
#include "kontain/own.h"
#include "modules.h"

/* A guest of some ten instructions: milliseconds, even where another hypervisor emulates them. */
#define GUEST_TIMEOUT_MS 3000

#define KM_MEMORY_SLOTS 41 /* km gives its payload that many */

struct ladder {
	const struct kt_node_paths *paths;
	bool load_modules;
	int kvm;               /* owned */
	struct kt_guest guest; /* owned */
	struct kt_state_kvm *state;
};

/* What km asks of KVM, and what our guests need (numbers: linux/kvm.h). */
static const struct {
	long number;
	int least;
	const char *name;
} capabilities[] = {
	{KVM_CAP_USER_MEMORY, 1, "KVM_CAP_USER_MEMORY"},   /* KVM_SET_USER_MEMORY_REGION */
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

static int device_open(struct ladder *ladder, struct kt_error *err)
{
	mode_t mode = 0;

	/* asked on its own: it is a fact even where we may not open the node */
	if (kt_device_look(ladder->paths->dev, ladder->state->device, &mode, err) == 0)
		ladder->state->nonroot_access = (mode & (S_IROTH | S_IWOTH)) == (S_IROTH | S_IWOTH);
	/* to open a node without a driver would have the kernel run modprobe for it, which is loading all the same */
	if (mode != 0 && !ladder->load_modules && kt_misc_read(ladder->paths->host) == KT_MISC_WITHOUT_KVM)
		return kt_fail(err, ENODEV, KT_REASON_DEVICE_MISSING, "%s is there, but no driver stands behind it",
			       ladder->state->device);
	return kt_device_open(ladder->paths->dev, ladder->state->device, &ladder->kvm, &mode, err);
}

static int device_recover(struct ladder *ladder, bool has_node, struct kt_error *err)
{
	const char *host = ladder->paths->host;
	struct kt_absence absence = {.device = ladder->state->device, .has_node = has_node, .misc = kt_misc_read(host)};

	kt_cpu_read(&absence.cpu);
	kt_modules_look(host, absence.cpu.vendor, &absence.modules);
	if (!kt_absence_kvm_serves(&absence) && ladder->load_modules) {
		absence.has_loaded = true;
		(void)kt_modules_load(host, absence.cpu.vendor, &absence.load);

		int r = device_open(ladder, err);

		if (r == 0 || err->reason != KT_REASON_DEVICE_MISSING)
			return r;
		absence.has_node = r == -ENODEV;
		absence.misc = kt_misc_read(host);
		kt_modules_look(host, absence.cpu.vendor, &absence.modules);
	} else if (!ladder->load_modules) {
		(void)kt_modules_foresee(host, absence.cpu.vendor, &absence.load);
	}
	return kt_absence_explain(&absence, err);
}

static int rung_device(struct ladder *ladder, struct kt_error *err)
{
	int r = device_open(ladder, err);

	return r < 0 && err->reason == KT_REASON_DEVICE_MISSING ? device_recover(ladder, r == -ENODEV, err) : r;
}

static int rung_version(struct ladder *ladder, struct kt_error *err)
{
	int version = ioctl(ladder->kvm, KVM_GET_API_VERSION, 0UL);

	if (version < 0)
		return kt_fail_errno(err, errno, KT_REASON_API_VERSION_MISMATCH,
				     "%s does not answer KVM_GET_API_VERSION", ladder->state->device);
	ladder->state->api_version = version;
	if (version != KVM_API_VERSION)
		return kt_fail(err, EPROTO, KT_REASON_API_VERSION_MISMATCH,
			       "%s speaks KVM API version %d, and km needs %d", ladder->state->device, version,
			       KVM_API_VERSION);
	return 0;
}

static int rung_vm(struct ladder *ladder, struct kt_error *err)
{
	return kt_guest_create_vm(ladder->kvm, &ladder->guest, err);
}

static int rung_capabilities(struct ladder *ladder, struct kt_error *err)
{
	for (size_t i = 0; i < sizeof(capabilities) / sizeof(capabilities[0]); i++) {
		int value = ioctl(ladder->kvm, KVM_CHECK_EXTENSION, capabilities[i].number);

		if (value < capabilities[i].least)
			return kt_fail(err, EOPNOTSUPP, KT_REASON_CAPABILITY_MISSING, "KVM has %s %d, and km needs %d",
				       capabilities[i].name, value < 0 ? 0 : value, capabilities[i].least);
	}
	return 0;
}

static int rung_vcpu(struct ladder *ladder, struct kt_error *err)
{
	return kt_guest_create_vcpu(ladder->kvm, &ladder->guest, err);
}

static int rung_real_mode(struct ladder *ladder, struct kt_error *err)
{
	int r = kt_guest_run(&ladder->guest, &kt_guest_real, GUEST_TIMEOUT_MS, err);

	ladder->state->real_mode = r == 0;
	return r;
}

/* In a machine of its own: nothing that real mode left behind can help or harm it. */
static int rung_long_mode(struct ladder *ladder, struct kt_error *err)
{
	int r;

	kt_guest_done(&ladder->guest);
	r = kt_guest_create_vm(ladder->kvm, &ladder->guest, err);
	if (r == 0)
		r = kt_guest_create_vcpu(ladder->kvm, &ladder->guest, err);
	if (r == 0)
		r = kt_guest_run(&ladder->guest, &kt_guest_long, GUEST_TIMEOUT_MS, err);
	ladder->state->long_mode = r == 0;
	return r;
}

static int (*const rungs[])(struct ladder *ladder, struct kt_error *err) = {
	rung_device, rung_version, rung_vm, rung_capabilities, rung_vcpu, rung_real_mode, rung_long_mode,
};

static int64_t now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void kt_kvm_probe(const struct kt_node_paths *paths, bool load_modules, struct kt_state_kvm *ret_kvm)
{
	struct kt_state_kvm state = {.probed = true, .api_version = -1};
	KT_OWN(ladder_done) struct ladder ladder = {.paths = paths, .load_modules = load_modules, .kvm = -1,
						    .guest = KT_GUEST_NONE, .state = &state};
	struct kt_error err = {.reason = KT_REASON_NONE};
	int64_t start = now_us();
	int r = 0;

	kt_device_name(paths->host, paths->dev, state.device, sizeof(state.device));
	for (size_t i = 0; i < sizeof(rungs) / sizeof(rungs[0]) && r == 0; i++)
		r = rungs[i](&ladder, &err);
	state.duration_us = (unsigned)(now_us() - start);
	if (r == 0)
		kt_verdict_set(&state.verdict, true, KT_REASON_READY, "guests ran in real and in long mode on %s",
			       state.device);
	else
		kt_verdict_fail(&state.verdict, &err);
	*ret_kvm = state;
}
