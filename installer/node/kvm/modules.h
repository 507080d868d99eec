/* The kernel modules of KVM: what is there, and loading it. */
#ifndef KT_NODE_MODULES_H
#define KT_NODE_MODULES_H

#include <stddef.h>

#include "kontain/base/error.h"
#include "refusal.h"

enum kt_module_state {
	KT_MODULE_MISSING,   /* the running kernel has no such module */
	KT_MODULE_BLOCKED,   /* on disk, and a rule of the host keeps it from being loaded */
	KT_MODULE_AVAILABLE, /* on disk, not loaded */
	KT_MODULE_LOADING,   /* coming or going at this instant */
	KT_MODULE_LOADED,
	KT_MODULE_BUILTIN,
};

struct kt_modules {
	enum kt_module_state kvm;
	enum kt_module_state vendor;
	enum kt_module_state irqbypass;
	const char *vendor_name; /* static: kvm_amd or kvm_intel; NULL when this CPU's vendor has none */
};

/* "kvm_amd" or "kvm_intel", NULL for a vendor without KVM. */
const char *kt_modules_vendor_name(const char *cpu_vendor);

void kt_modules_look(const char *host, const char *cpu_vendor, struct kt_modules *ret_modules);

/* "kvm loaded, kvm_amd loaded, irqbypass loaded" */
void kt_modules_describe(const struct kt_modules *modules, char *text, size_t size);

/* Loads kvm and the vendor's module, as modprobe -b would, except that no command of a configuration is run.
 * ModuleMissing, ModuleBlocked, VirtualizationDisabled (the CPU refuses). */
int kt_modules_load(const char *host, const char *cpu_vendor, struct kt_error *err);

/* What would keep them from being loaded, as far as it is known without trying: ModuleMissing, ModuleBlocked. */
int kt_modules_foresee(const char *host, const char *cpu_vendor, struct kt_error *err);

struct kt_modules_answer {
	int code;                         /* libkmod's, as it came */
	const char *module;               /* borrowed: that asked for, or one that it needs */
	bool has_file;                    /* its file is where the index says */
	const struct kt_refusal *refusal; /* borrowed */
};

/* What libkmod's answer means; 0 for the code 0. Pure. */
int kt_modules_explain(const struct kt_modules_answer *answer, struct kt_error *err);

#endif
