/* links: kt_node kt_contract kt_base */
/* CPUs as tables of leaves, as the manuals have them: none but our own can be had here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/node/kvm/cpu.h"

struct leaf {
	unsigned leaf;
	unsigned registers[4];
};

#define LEAVES_MAX 12
/* EBX, ECX, EDX. A vendor's and TDX' name is read in the order EBX, EDX, ECX, a hypervisor's in this one. */
#define AMD    0x68747541, 0x444d4163, 0x69746e65
#define INTEL  0x756e6547, 0x6c65746e, 0x49656e69
#define KVM    0x4b4d564b, 0x564b4d56, 0x0000004d
#define HYPERV 0x7263694d, 0x666f736f, 0x76482074
#define TDX    0x65746e49, 0x20202020, 0x5844546c
#define XSAVE  (1u << 26 | 1u << 27)
#define GUEST  (1u << 31)
#define VMX    (1u << 5)

static const struct leaf *cpu_leaves;

/* What Intel's do with a leaf beyond the highest: the data of the highest basic one. */
static void ask(unsigned leaf, unsigned ret_registers[4])
{
	const struct leaf *found = NULL;

	for (size_t i = 0; i < LEAVES_MAX; i++)
		if (cpu_leaves[i].leaf == leaf && (i == 0 || cpu_leaves[i].leaf != 0))
			found = &cpu_leaves[i];
	if (found)
		memcpy(ret_registers, found->registers, sizeof(found->registers));
	else
		memset(ret_registers, 0xff, 4 * sizeof(*ret_registers));
}

static void test_cpus(void **state)
{
	/* clang-format off */
	static const struct {
		struct leaf leaves[LEAVES_MAX];
		struct kt_cpu cpu;
	} rows[] = {
		{{{0, {0x10, AMD}}, {1, {0, 0, XSAVE, 0}}, {0x80000000, {0x8000001f, 0, 0, 0}},
		  {0x80000001, {0, 0, 1u << 2, 0}}, {0x80000002, {0x20444d41, 0x43595045, 0, 0}},
		  {0x80000003, {0}}, {0x80000004, {0}}, {0x8000001f, {0x1a, 0, 0, 0}}},
		 /* bare metal that could run SEV guests is none */
		 {.vendor = "AuthenticAMD", .model = "AMD EPYC", .confidential = "none", .virt_flag = true,
		  .xsave = true}},
		{{{0, {0x10, AMD}}, {1, {0, 0, XSAVE | GUEST, 0}}, {0x40000000, {0x40000001, KVM}},
		  {0x80000000, {0x8000001f, 0, 0, 0}}, {0x80000001, {0}}, {0x8000001f, {0x02, 0, 0, 0}},
		  {0x80000002, {0}}, {0x80000003, {0}}, {0x80000004, {0}}},
		 {.vendor = "AuthenticAMD", .hypervisor = "KVMKVMKVM", .confidential = "sev", .xsave = true}},
		{{{0, {0x10, AMD}}, {1, {0, 0, XSAVE | GUEST, 0}}, {0x40000000, {0x40000001, KVM}},
		  {0x80000000, {0x8000001f, 0, 0, 0}}, {0x80000001, {0}}, {0x8000001f, {0x0a, 0, 0, 0}},
		  {0x80000002, {0}}, {0x80000003, {0}}, {0x80000004, {0}}},
		 {.vendor = "AuthenticAMD", .hypervisor = "KVMKVMKVM", .confidential = "sev-es", .xsave = true}},
		{{{0, {0x10, AMD}}, {1, {0, 0, GUEST, 0}}, {0x40000000, {0x40000001, KVM}},
		  {0x80000000, {0x8000001f, 0, 0, 0}}, {0x80000001, {0}}, {0x8000001f, {0x1a, 0, 0, 0}},
		  {0x80000002, {0}}, {0x80000003, {0}}, {0x80000004, {0}}},
		 {.vendor = "AuthenticAMD", .hypervisor = "KVMKVMKVM", .confidential = "sev-snp"}},
		{{{0, {0x10, AMD}}, {1, {0, 0, XSAVE | GUEST, 0}}, {0x40000000, {0x40000001, KVM}},
		  {0x80000000, {0x8000001f, 0, 0, 0}}, {0x80000001, {0}}, {0x8000001f, {0}}, {0x80000002, {0}},
		  {0x80000003, {0}}, {0x80000004, {0}}},
		 {.vendor = "AuthenticAMD", .hypervisor = "KVMKVMKVM", .confidential = "none", .xsave = true}},
		/* leaves that it does not have are not asked for: what is not in the table is all ones */
		{{{0, {0x16, INTEL}}, {1, {0, 0, XSAVE | GUEST | VMX, 0}}, {0x40000000, {0x40000000, 0, 0, 0}},
		  {0x80000000, {0x80000000, 0, 0, 0}}},
		 {.vendor = "GenuineIntel", .hypervisor = "unknown", .confidential = "none", .virt_flag = true,
		  .xsave = true}},
		{{{0, {0x23, INTEL}}, {1, {0, 0, XSAVE | GUEST, 0}}, {0x21, {0, TDX}},
		  {0x40000000, {0x40000001, KVM}}, {0x80000000, {0x80000001, 0, 0, 0}}, {0x80000001, {0}}},
		 {.vendor = "GenuineIntel", .hypervisor = "KVMKVMKVM", .confidential = "tdx", .xsave = true}},
		{{{0, {0x10, AMD}}, {1, {0, 0, XSAVE | GUEST, 0}}, {0x40000000, {0x4000000c, HYPERV}},
		  {0x40000003, {0, 1u << 22, 0, 0}}, {0x4000000c, {0, 2, 0, 0}}, {0x80000000, {0x80000001, 0, 0, 0}},
		  {0x80000001, {0}}},
		 {.vendor = "AuthenticAMD", .hypervisor = "Microsoft Hv", .confidential = "sev-snp", .xsave = true}},
		{{{0, {0x10, AMD}}, {1, {0, 0, XSAVE | GUEST, 0}}, {0x40000000, {0x4000000c, HYPERV}},
		  {0x40000003, {0}}, {0x80000000, {0x80000001, 0, 0, 0}}, {0x80000001, {0}}},
		 {.vendor = "AuthenticAMD", .hypervisor = "Microsoft Hv", .confidential = "none", .xsave = true}},
		{{{0, {0x10, AMD}}, {1, {0, 0, XSAVE | GUEST, 0}}, {0x40000000, {0x4000000b, HYPERV}},
		  {0x80000000, {0x80000001, 0, 0, 0}}, {0x80000001, {0}}},
		 {.vendor = "AuthenticAMD", .hypervisor = "Microsoft Hv", .confidential = "none", .xsave = true}},
		/* XSAVE that the kernel has switched off */
		{{{0, {0x10, INTEL}}, {1, {0, 0, 1u << 26, 0}}, {0x80000000, {0x80000000, 0, 0, 0}}},
		 {.vendor = "GenuineIntel", .confidential = "none"}},
		{{{0, {0, INTEL}}, {0x80000000, {0, 0, 0, 0}}}, {.vendor = "GenuineIntel", .confidential = "none"}},
	};
	/* clang-format on */

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct kt_cpu *want = &rows[i].cpu;
		struct kt_cpu cpu;

		cpu_leaves = rows[i].leaves;
		kt_cpu_decode(ask, &cpu);
		if (strcmp(cpu.vendor, want->vendor) != 0 || strcmp(cpu.model, want->model) != 0 ||
		    strcmp(cpu.hypervisor, want->hypervisor) != 0 ||
		    strcmp(cpu.confidential, want->confidential) != 0 || cpu.virt_flag != want->virt_flag ||
		    cpu.xsave != want->xsave)
			fail_msg("row %zu: %s, %s, %s, %s, virtualization %d, XSAVE %d", i, cpu.vendor, cpu.model,
				 cpu.hypervisor, cpu.confidential, cpu.virt_flag, cpu.xsave);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(kt_cpu_hypervisor_name("KVMKVMKVM"), "KVM");
	assert_string_equal(kt_cpu_hypervisor_name("Microsoft Hv"), "Hyper-V");
	assert_string_equal(kt_cpu_hypervisor_name("OwnHypervisr"), "OwnHypervisr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
