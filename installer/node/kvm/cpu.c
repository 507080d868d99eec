/* CPUID and not /proc/cpuinfo: nothing to parse, and no file system between us and the CPU.
 * Leaves: Intel SDM vol. 2A "CPUID", AMD APM vol. 3 appendix E; the hypervisor's leaf 0x40000000 as in
 * Documentation/virt/kvm/x86/cpuid.rst of the kernel, Hyper-V's in its Top Level Functional Specification 2.4,
 * TDX' in Intel's "TDX Guest-Hypervisor Communication Interface".
 *
 * A machine's own CPU lists SEV as a thing that it can give to guests; under a hypervisor the same bits say what the
 * guest is, as hypervisors clear them for all others. They are the hypervisor's word and no proof: a fact to show. */
#include "cpu.h"

#include <cpuid.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { EAX, EBX, ECX, EDX };

#define LEAF_TDX        0x21
#define LEAF_HYPERVISOR 0x40000000
#define LEAF_HV_FEATURE 0x40000003 /* Hyper-V's */
#define LEAF_HV_ISOLATE 0x4000000c
#define LEAF_EXTENDED   0x80000000
#define LEAF_SEV        0x8000001f
#define ECX_VMX         (1u << 5) /* leaf 1, as the next three */
#define ECX_XSAVE       (1u << 26)
#define ECX_OSXSAVE     (1u << 27)
#define ECX_HYPERVISOR  (1u << 31) /* always 0 in hardware */
#define ECX_SVM         (1u << 2)  /* leaf 0x80000001 */
#define EBX_HV_ISOLATED (1u << 22)
#define EAX_SEV         (1u << 1)
#define EAX_SEV_ES      (1u << 3)
#define EAX_SEV_SNP     (1u << 4)

static const struct {
	const char *signature;
	const char *name;
} hypervisors[] = {
	{"KVMKVMKVM", "KVM"},       {"Microsoft Hv", "Hyper-V"},  {"VMwareVMware", "VMware"},
	{"XenVMMXenVMM", "Xen"},    {"TCGTCGTCGTCG", "QEMU TCG"}, {"VBoxVBoxVBox", "VirtualBox"},
	{"bhyve bhyve", "bhyve"},   {"prl hyperv", "Parallels"},  {"ACRNACRNACRN", "ACRN"},
	{"Jailhouse", "Jailhouse"},
};

/* Registers hold text that may be padded with zeros or blanks on either side. */
static void text_take(char *text, size_t size, const unsigned *registers, size_t count)
{
	const char *bytes = (const char *)registers;
	size_t used = 0;

	for (size_t i = 0; i < count * sizeof(*registers) && used < size - 1; i++) {
		/* the analyser knows an array of words only by whole words */
		if (bytes[i] == '\0' || (used == 0 && bytes[i] == ' ')) // NOLINT(clang-analyzer-core.*)
			continue;
		text[used++] = isprint((unsigned char)bytes[i]) ? bytes[i] : '?';
	}
	while (used > 0 && text[used - 1] == ' ')
		used--;
	text[used] = '\0';
}

/* False where the CPU has no such leaf: what it would answer then is another leaf's. */
static bool leaf_read(kt_cpuid *ask, unsigned leaf, unsigned registers[4])
{
	ask(leaf & LEAF_EXTENDED, registers);
	if (registers[EAX] < leaf)
		return false;
	ask(leaf, registers);
	return true;
}

static void read_model(kt_cpuid *ask, struct kt_cpu *cpu)
{
	unsigned registers[12] = {0};

	for (unsigned i = 0; i < 3; i++)
		if (!leaf_read(ask, LEAF_EXTENDED + 2 + i, registers + 4 * i))
			return;
	text_take(cpu->model, sizeof(cpu->model), registers, 12);
}

/* The hypervisor's leaves are a range of their own. */
static void read_hypervisor(kt_cpuid *ask, struct kt_cpu *cpu)
{
	unsigned registers[4] = {0};

	ask(LEAF_HYPERVISOR, registers);
	text_take(cpu->hypervisor, sizeof(cpu->hypervisor), registers + EBX, 3);
	if (cpu->hypervisor[0] == '\0')
		strcpy(cpu->hypervisor, "unknown");
}

static const char *hyperv_isolation(kt_cpuid *ask)
{
	static const char *const types[] = {"none", "vbs", "sev-snp", "tdx"};
	unsigned registers[4] = {0};

	ask(LEAF_HYPERVISOR, registers);
	if (registers[EAX] < LEAF_HV_ISOLATE)
		return "none";
	ask(LEAF_HV_FEATURE, registers);
	if (!(registers[EBX] & EBX_HV_ISOLATED))
		return "none";
	ask(LEAF_HV_ISOLATE, registers);
	return types[registers[EBX] & 3];
}

static const char *confidential_kind(kt_cpuid *ask, const struct kt_cpu *cpu)
{
	unsigned registers[4] = {0};
	char signature[16] = "";

	if (leaf_read(ask, LEAF_TDX, registers)) {
		unsigned text[] = {registers[EBX], registers[EDX], registers[ECX]};

		text_take(signature, sizeof(signature), text, 3);
		if (strcmp(signature, "IntelTDX") == 0)
			return "tdx";
	}
	if (strcmp(cpu->hypervisor, "Microsoft Hv") == 0)
		return hyperv_isolation(ask);
	if (!leaf_read(ask, LEAF_SEV, registers) || !(registers[EAX] & EAX_SEV))
		return "none";
	return registers[EAX] & EAX_SEV_SNP ? "sev-snp" : registers[EAX] & EAX_SEV_ES ? "sev-es" : "sev";
}

void kt_cpu_decode(kt_cpuid *ask, struct kt_cpu *ret_cpu)
{
	struct kt_cpu cpu = {.xsave = false, .confidential = "none"};
	unsigned registers[4] = {0};

	ask(0, registers);

	unsigned vendor[] = {registers[EBX], registers[EDX], registers[ECX]};

	text_take(cpu.vendor, sizeof(cpu.vendor), vendor, 3);
	if (leaf_read(ask, 1, registers)) {
		unsigned features = registers[ECX];

		cpu.xsave = (features & ECX_XSAVE) && (features & ECX_OSXSAVE);
		cpu.virt_flag = features & ECX_VMX;
		if (features & ECX_HYPERVISOR) {
			read_hypervisor(ask, &cpu);
			(void)snprintf(cpu.confidential, sizeof(cpu.confidential), "%s", confidential_kind(ask, &cpu));
		}
	}
	if (leaf_read(ask, LEAF_EXTENDED + 1, registers) && (registers[ECX] & ECX_SVM))
		cpu.virt_flag = true;
	read_model(ask, &cpu);
	*ret_cpu = cpu;
}

static void ask_this_cpu(unsigned leaf, unsigned ret_registers[4])
{
	__cpuid_count(leaf, 0, ret_registers[EAX], ret_registers[EBX], ret_registers[ECX], ret_registers[EDX]);
}

void kt_cpu_read(struct kt_cpu *ret_cpu)
{
	kt_cpu_decode(ask_this_cpu, ret_cpu);
}

const char *kt_cpu_hypervisor_name(const char *signature)
{
	for (size_t i = 0; i < sizeof(hypervisors) / sizeof(hypervisors[0]); i++)
		if (strcmp(signature, hypervisors[i].signature) == 0)
			return hypervisors[i].name;
	return signature;
}
