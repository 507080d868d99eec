/* From the surest sign to the weakest. /proc/misc is the kernel's own word on whether a KVM serves here. The CPU's flag
 * is only a hint: there are KVMs that work without it, so it explains an absence and never makes one. */
#include "absence.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device.h"
#include "kontain/base/proc.h"

#define MISC_MAX (16 * 1024) /* some 30 bytes a line, 255 lines at the most */

enum kt_misc kt_misc_parse(const char *text)
{
	while (*text) {
		char name[8];
		unsigned number;

		if (sscanf(text, "%u %7s", &number, name) == 2 && number == KT_KVM_MINOR && strcmp(name, "kvm") == 0)
			return KT_MISC_WITH_KVM;
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return KT_MISC_WITHOUT_KVM;
}

enum kt_misc kt_misc_read(const char *host)
{
	char text[MISC_MAX];

	return kt_proc_read(host, "misc", text, sizeof(text)) < 0 ? KT_MISC_UNKNOWN : kt_misc_parse(text);
}

bool kt_absence_kvm_serves(const struct kt_absence *absence)
{
	if (absence->misc != KT_MISC_UNKNOWN)
		return absence->misc == KT_MISC_WITH_KVM;
	return absence->modules.vendor >= KT_MODULE_LOADED || absence->modules.kvm == KT_MODULE_BUILTIN;
}

static const char *found(const struct kt_absence *absence)
{
	return absence->has_node ? "has no driver behind it" : "is not there";
}

static int explain_cpu(const struct kt_absence *absence, struct kt_error *err)
{
	const struct kt_cpu *cpu = &absence->cpu;

	if (cpu->hypervisor[0] != '\0')
		return kt_fail(err, ENODEV, KT_REASON_NOT_OFFERED_BY_HYPERVISOR,
			       "%s %s: the hypervisor (%s) that this machine runs on does not offer "
			       "virtualization to its guests",
			       absence->device, found(absence), cpu->hypervisor);
	return kt_fail(err, ENODEV, KT_REASON_VIRTUALIZATION_DISABLED,
		       "%s %s: virtualization is switched off in the firmware, or this CPU (%s) has none",
		       absence->device, found(absence), cpu->model[0] != '\0' ? cpu->model : "unknown");
}

static int explain_modules(const struct kt_absence *absence, struct kt_error *err)
{
	const struct kt_modules *modules = &absence->modules;
	char states[128];

	if (absence->load.reason != KT_REASON_NONE)
		return kt_fail(err, absence->load.code, absence->load.reason, "%s %s: %s", absence->device,
			       found(absence), absence->load.text);
	if (!absence->has_loaded && modules->vendor == KT_MODULE_AVAILABLE)
		return kt_fail(err, ENODEV, KT_REASON_DEVICE_MISSING,
			       "%s %s: the module %s is there and not loaded, and this run loads none: modprobe %s",
			       absence->device, found(absence), modules->vendor_name, modules->vendor_name);
	kt_modules_describe(modules, states, sizeof(states));
	return kt_fail(err, ENODEV, KT_REASON_DEVICE_MISSING, "%s %s, and no KVM serves on %d:%d (%s)", absence->device,
		       found(absence), KT_KVM_MAJOR, KT_KVM_MINOR, states);
}

int kt_absence_explain(const struct kt_absence *absence, struct kt_error *err)
{
	if (kt_absence_kvm_serves(absence))
		return kt_fail(err, ENOENT, KT_REASON_DEVICE_MISSING,
			       "%s %s although the kernel has KVM: make the node anew by udevadm trigger or "
			       "mknod %s c %d %d",
			       absence->device, found(absence), absence->device, KT_KVM_MAJOR, KT_KVM_MINOR);
	if (!absence->cpu.virt_flag ||
	    (absence->has_loaded && absence->load.reason == KT_REASON_VIRTUALIZATION_DISABLED))
		return explain_cpu(absence, err);
	return explain_modules(absence, err);
}
