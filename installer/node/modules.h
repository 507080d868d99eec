/* The kernel modules of KVM: what is there, and loading it. */
#ifndef KT_NODE_MODULES_H
#define KT_NODE_MODULES_H

#include <stddef.h>

#include "kontain/error.h"

enum kt_module_state {
	KT_MODULE_MISSING,   /* the running kernel has no such module */
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

/* What libkmod's answer for `module` means; 0 is 0. Pure. */
int kt_modules_explain(int code, const char *module, struct kt_error *err);

#endif
