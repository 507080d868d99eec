/* What the CPU says of itself (CPUID), for a diagnosis: the proof is a guest that runs. */
#ifndef KT_NODE_CPU_H
#define KT_NODE_CPU_H

#include <stdbool.h>

struct kt_cpu {
	char vendor[16]; /* AuthenticAMD, GenuineIntel, ... */
	char model[64];
	char hypervisor[16];   /* signature of leaf 0x40000000; "" on bare metal, "unknown" where it does not say */
	char confidential[16]; /* sev, sev-es, sev-snp, tdx, vbs: this machine is such a guest; else "none" */
	bool virt_flag;        /* svm or vmx */
	bool xsave;            /* switched on by the kernel, too */
};

/* A CPU to ask: leaf, subleaf 0 -> EAX, EBX, ECX, EDX. */
typedef void kt_cpuid(unsigned leaf, unsigned ret_registers[4]);

void kt_cpu_read(struct kt_cpu *ret_cpu);
/* The same of any CPU. Pure. */
void kt_cpu_decode(kt_cpuid *ask, struct kt_cpu *ret_cpu);

/* "KVMKVMKVM" is KVM: the name that people know, or the signature itself. */
const char *kt_cpu_hypervisor_name(const char *signature);

#endif
