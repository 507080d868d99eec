/* What the CPU says of itself (CPUID), for a diagnosis: the proof is a guest that runs. */
#ifndef KT_NODE_CPU_H
#define KT_NODE_CPU_H

#include <stdbool.h>

struct kt_cpu {
	char vendor[16];     /* AuthenticAMD, GenuineIntel, ... */
	char model[64];
	char hypervisor[16]; /* signature of leaf 0x40000000; "" on bare metal, "unknown" where it does not say */
	bool virt_flag;      /* svm or vmx */
	bool xsave;          /* switched on by the kernel, too */
};

void kt_cpu_read(struct kt_cpu *ret_cpu);

#endif
