/* Why there is no KVM: the facts, and what they mean. */
#ifndef KT_NODE_ABSENCE_H
#define KT_NODE_ABSENCE_H

#include <stdbool.h>

#include "cpu.h"
#include "modules.h"

enum kt_misc {
	KT_MISC_UNKNOWN, /* /proc/misc cannot be read */
	KT_MISC_WITHOUT_KVM,
	KT_MISC_WITH_KVM,
};

struct kt_absence {
	const char *device; /* borrowed; as the host names it */
	bool has_node;      /* it is there, but no driver answers (ENODEV) */
	enum kt_misc misc;
	struct kt_cpu cpu;
	struct kt_modules modules;
	bool has_loaded; /* loading was tried: load says how it went (NONE: well), else what it would say */
	struct kt_error load;
};

/* Text of /proc/misc: "232 kvm" is in it while a KVM module serves. Pure. */
enum kt_misc kt_misc_parse(const char *text);
enum kt_misc kt_misc_read(const char *host);

/* The kernel has a KVM that works: only the node is missing. */
bool kt_absence_kvm_serves(const struct kt_absence *absence);

/* DeviceMissing, ModuleMissing, ModuleBlocked, VirtualizationDisabled or NotOfferedByHypervisor. Pure. */
int kt_absence_explain(const struct kt_absence *absence, struct kt_error *err);

#endif
