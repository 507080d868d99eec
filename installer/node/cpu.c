/* CPUID and not /proc/cpuinfo: nothing to parse, and no file system between us and the CPU.
 * Leaves: Intel SDM vol. 2A "CPUID", AMD APM vol. 3 appendix E; the hypervisor's leaf 0x40000000 as in
 * Documentation/virt/kvm/x86/cpuid.rst of the kernel. */
#include "cpu.h"

#include <cpuid.h>
#include <ctype.h>
#include <string.h>

#define LEAF_HYPERVISOR 0x40000000
#define LEAF_EXTENDED   0x80000000
#define ECX_VMX         (1u << 5)  /* leaf 1, as the next three */
#define ECX_XSAVE       (1u << 26)
#define ECX_OSXSAVE     (1u << 27)
#define ECX_HYPERVISOR  (1u << 31) /* always 0 in hardware */
#define ECX_SVM         (1u << 2)  /* leaf 0x80000001 */

/* Registers hold text that may be padded with zeros or blanks on either side. */
static void text_take(char *text, size_t size, const unsigned *registers, size_t count)
{
	const char *bytes = (const char *)registers;
	size_t used = 0;

	for (size_t i = 0; i < count * sizeof(*registers) && used < size - 1; i++) {
		if (bytes[i] == '\0' || (used == 0 && bytes[i] == ' '))
			continue;
		text[used++] = isprint((unsigned char)bytes[i]) ? bytes[i] : '?';
	}
	while (used > 0 && text[used - 1] == ' ')
		used--;
	text[used] = '\0';
}

static void read_model(struct kt_cpu *cpu)
{
	unsigned registers[12] = {0};

	for (unsigned i = 0; i < 3; i++) {
		unsigned *part = registers + 4 * i;

		if (!__get_cpuid(LEAF_EXTENDED + 2 + i, &part[0], &part[1], &part[2], &part[3]))
			return;
	}
	text_take(cpu->model, sizeof(cpu->model), registers, 12);
}

static void read_hypervisor(struct kt_cpu *cpu)
{
	unsigned highest, registers[3];

	/* not through __get_cpuid: it compares with the highest leaf of another range */
	__cpuid(LEAF_HYPERVISOR, highest, registers[0], registers[1], registers[2]);
	(void)highest;
	text_take(cpu->hypervisor, sizeof(cpu->hypervisor), registers, 3);
	if (cpu->hypervisor[0] == '\0')
		strcpy(cpu->hypervisor, "unknown");
}

void kt_cpu_read(struct kt_cpu *ret_cpu)
{
	struct kt_cpu cpu = {.xsave = false};
	unsigned eax, ebx, ecx, edx;

	if (__get_cpuid(0, &eax, &ebx, &ecx, &edx)) {
		unsigned vendor[] = {ebx, edx, ecx};

		text_take(cpu.vendor, sizeof(cpu.vendor), vendor, 3);
	}
	if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
		cpu.xsave = (ecx & ECX_XSAVE) && (ecx & ECX_OSXSAVE);
		cpu.virt_flag = ecx & ECX_VMX;
		if (ecx & ECX_HYPERVISOR)
			read_hypervisor(&cpu);
	}
	if (__get_cpuid(LEAF_EXTENDED + 1, &eax, &ebx, &ecx, &edx) && (ecx & ECX_SVM))
		cpu.virt_flag = true;
	read_model(&cpu);
	*ret_cpu = cpu;
}
