/* Two guests say whether KVM works. One counts in real mode, which needs no page tables and, on older Intel CPUs,
 * runs as virtual 8086. The other runs as km's payloads do, in long mode at ring 0, behind page tables and a GDT of
 * its own, and uses 64-bit registers, memory and stack. Both are integer code, as not every KVM runs more.
 *
 * Two more have an instruction each that compiled programs use and that the emulator of the kernel does not know:
 * where KVM emulates the guest, it stops there with an internal error.
 *
 * The interface is Documentation/virt/kvm/api.rst of the kernel; the bits are those of the Intel SDM vol. 3A, 2.5
 * (control registers), 3.4.5 (segment descriptors), 4.5 (4-level paging) and 13.1 (SSE: CR0.EM 0, CR4.OSFXSR 1). */
#include "guest.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "kontain/base/clock.h"
#include "kontain/base/own.h"

/* Guest-physical places, all below MEMORY_SIZE. */
#define MEMORY_SIZE 0x10000
#define PLACE_CODE  0x1000
#define PLACE_PML4  0x2000
#define PLACE_PDPT  0x3000
#define PLACE_PD    0x4000
#define PLACE_GDT   0x6000
#define PLACE_STACK 0x8000 /* grows down */

/* Three unused pages below 4 GiB that Intel CPUs need to run real mode (KVM_SET_TSS_ADDR). */
#define TSS_PLACE 0xfffbd000

#define CR0_PE             (1u << 0)
#define CR0_NE             (1u << 5)
#define CR0_PG             (1u << 31)
#define CR4_PAE            (1u << 5)
#define CR4_OSFXSR         (1u << 9)
#define CR4_OSXMMEXCPT     (1u << 10)
#define EFER_LME           (1u << 8)
#define EFER_LMA           (1u << 10)
#define PAGE_PRESENT_WRITE 0x3
#define PAGE_LARGE         0x80 /* 2 MiB in a page directory */
#define SELECTOR_CODE      0x08
#define SELECTOR_DATA      0x10
#define RFLAGS_FIXED       0x2

#define CPUID_ENTRIES_MAX 256 /* KVM_MAX_CPUID_ENTRIES of the kernel */
#define CPUID_EXTENDED    0x80000001
#define CPUID_EDX_RDTSCP  (1u << 27)
#define TIMER_REPEAT_US   10000

static const unsigned char real_code[] = {
	0xba, 0x4d, 0x4b, /* mov $0x4b4d, %dx */
	0xb8, 0x34, 0x12, /* mov $0x1234, %ax */
	0x05, 0x11, 0x11, /* add $0x1111, %ax */
	0xef,             /* out %ax, %dx */
	0xf4,             /* hlt */
};

static const unsigned char long_code[] = {
	0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* movabs $0x1122334455667788, %rax */
	0x49, 0xb8, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, /* movabs $0x0101010101010101, %r8 */
	0x4c, 0x01, 0xc0,                                           /* add %r8, %rax */
	0x50,                                                       /* push %rax */
	0x59,                                                       /* pop %rcx */
	0x48, 0x89, 0x0c, 0x25, 0x00, 0x50, 0x00, 0x00,             /* mov %rcx, 0x5000 */
	0x89, 0xc8,                                                 /* mov %ecx, %eax */
	0x66, 0xba, 0x4d, 0x4b,                                     /* mov $0x4b4d, %dx */
	0xef,                                                       /* out %eax, %dx */
	0xf4,                                                       /* hlt */
};

static const unsigned char sse2_code[] = {
	0x48, 0xb8, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, /* movabs $0x1122334455667788, %rax */
	0x66, 0x48, 0x0f, 0x6e, 0xc0,                               /* movq %rax, %xmm0 */
	0x66, 0x0f, 0xef, 0xc9,                                     /* pxor %xmm1, %xmm1 */
	0x66, 0x0f, 0x76, 0xc9,                                     /* pcmpeqd %xmm1, %xmm1 */
	0x66, 0x0f, 0xd4, 0xc1,                                     /* paddq %xmm1, %xmm0: one less */
	0x66, 0x48, 0x0f, 0x7e, 0xc1,                               /* movq %xmm0, %rcx */
	0x48, 0x89, 0x0c, 0x25, 0x00, 0x50, 0x00, 0x00,             /* mov %rcx, 0x5000 */
	0x89, 0xc8,                                                 /* mov %ecx, %eax */
	0x66, 0xba, 0x4d, 0x4b,                                     /* mov $0x4b4d, %dx */
	0xef,                                                       /* out %eax, %dx */
	0xf4,                                                       /* hlt */
};

static const unsigned char rdtscp_code[] = {
	0x0f, 0x01, 0xf9,             /* rdtscp */
	0xb8, 0x70, 0x63, 0x73, 0x74, /* mov $0x74736370, %eax */
	0x66, 0xba, 0x4d, 0x4b,       /* mov $0x4b4d, %dx */
	0xef,                         /* out %eax, %dx */
	0xf4,                         /* hlt */
};

const struct kt_guest_program kt_guest_real = {
	.name = "real mode",
	.code = real_code,
	.size = sizeof(real_code),
	.told = 0x2345,
	.told_size = 2,
};

const struct kt_guest_program kt_guest_long = {
	.name = "long mode",
	.is_long = true,
	.code = long_code,
	.size = sizeof(long_code),
	.told = 0x56677889,
	.told_size = 4,
	.stored = 0x1223344556677889,
};

const struct kt_guest_program kt_guest_sse2 = {
	.name = "long mode with SSE2",
	.is_long = true,
	.uses_vectors = true,
	.code = sse2_code,
	.size = sizeof(sse2_code),
	.told = 0x55667787,
	.told_size = 4,
	.stored = 0x1122334455667787,
};

const struct kt_guest_program kt_guest_rdtscp = {
	.name = "long mode with rdtscp",
	.is_long = true,
	.code = rdtscp_code,
	.size = sizeof(rdtscp_code),
	.told = 0x74736370,
	.told_size = 4,
};

/* Those that a guest of ours could meet (linux/kvm.h). */
static const struct {
	unsigned number;
	const char *name;
} exits[] = {
	{KVM_EXIT_UNKNOWN, "UNKNOWN"},
	{KVM_EXIT_EXCEPTION, "EXCEPTION"},
	{KVM_EXIT_IO, "IO"},
	{KVM_EXIT_HLT, "HLT"},
	{KVM_EXIT_MMIO, "MMIO"},
	{KVM_EXIT_SHUTDOWN, "SHUTDOWN"},
	{KVM_EXIT_FAIL_ENTRY, "FAIL_ENTRY"},
	{KVM_EXIT_INTR, "INTR"},
	{KVM_EXIT_INTERNAL_ERROR, "INTERNAL_ERROR"},
};

static void cpuid_drop(struct kvm_cpuid2 **cpuid)
{
	kt_free_mem(cpuid);
}

void kt_guest_done(struct kt_guest *guest)
{
	if (guest->run)
		(void)munmap(guest->run, guest->run_size);
	kt_close_fd(&guest->vcpu);
	kt_close_fd(&guest->vm);
	if (guest->memory)
		(void)munmap(guest->memory, MEMORY_SIZE);
	*guest = KT_GUEST_NONE;
}

/* Not kt_fail_errno: EIO and ENOSPC of KVM are no disk's. */
static int kvm_fail(struct kt_error *err, int code, enum kt_reason reason, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
static int kvm_fail(struct kt_error *err, int code, enum kt_reason reason, const char *format, ...)
{
	char what[128];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	return kt_fail(err, code, reason, "%s: %s", what, strerror(code));
}

/* Another hypervisor holds the CPU, a security module refuses, or it is KVM's own trouble. */
static enum kt_reason create_reason(int code)
{
	switch (code) {
	case EBUSY:
		return KT_REASON_BUSY;
	case EPERM:
	case EACCES:
		return KT_REASON_PERMISSION_DENIED;
	default:
		return KT_REASON_GUEST_FAILED;
	}
}

int kt_guest_create_vm(int kvm, struct kt_guest *guest, struct kt_error *err)
{
	guest->vm = ioctl(kvm, KVM_CREATE_VM, 0UL);
	if (guest->vm >= 0)
		return 0;
	return kvm_fail(err, errno, create_reason(errno), "KVM_CREATE_VM failed");
}

static int memory_give(struct kt_guest *guest)
{
	void *memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return kt_negative_errno();
	guest->memory = memory;

	struct kvm_userspace_memory_region region = {.memory_size = MEMORY_SIZE, .userspace_addr = (uintptr_t)memory};

	return ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? kt_negative_errno() : 0;
}

/* The guest's CPU is what KVM offers, as km does it. */
static int cpuid_give(int kvm, struct kt_guest *guest)
{
	KT_OWN(cpuid_drop)
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUID_ENTRIES_MAX * sizeof(cpuid->entries[0]));

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = CPUID_ENTRIES_MAX;
	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 || ioctl(guest->vcpu, KVM_SET_CPUID2, cpuid) < 0)
		return kt_negative_errno();
	for (unsigned i = 0; i < cpuid->nent && i < CPUID_ENTRIES_MAX; i++)
		if (cpuid->entries[i].function == CPUID_EXTENDED)
			guest->has_rdtscp = (cpuid->entries[i].edx & CPUID_EDX_RDTSCP) != 0;
	return 0;
}

static int run_map(int kvm, struct kt_guest *guest)
{
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0UL);

	if (size < 0)
		return kt_negative_errno();
	if ((size_t)size < sizeof(*guest->run))
		return -ERANGE;
	guest->run_size = (size_t)size;

	void *run = mmap(NULL, guest->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu, 0);

	if (run == MAP_FAILED)
		return kt_negative_errno();
	guest->run = run;
	return 0;
}

int kt_guest_create_vcpu(int kvm, struct kt_guest *guest, struct kt_error *err)
{
	int r;

	if (ioctl(guest->vm, KVM_SET_TSS_ADDR, (unsigned long)TSS_PLACE) < 0)
		return kvm_fail(err, errno, KT_REASON_GUEST_FAILED, "KVM_SET_TSS_ADDR failed");
	r = memory_give(guest);
	if (r < 0)
		return kvm_fail(err, -r, KT_REASON_GUEST_FAILED, "KVM_SET_USER_MEMORY_REGION failed");
	guest->vcpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0UL);
	if (guest->vcpu < 0)
		return kvm_fail(err, errno, create_reason(errno), "KVM_CREATE_VCPU failed");
	r = cpuid_give(kvm, guest);
	if (r < 0)
		return kvm_fail(err, -r, KT_REASON_GUEST_FAILED,
				"KVM refuses its own list of CPU features (KVM_SET_CPUID2)");
	r = run_map(kvm, guest);
	if (r < 0)
		return kvm_fail(err, -r, KT_REASON_GUEST_FAILED,
				"cannot map the virtual CPU (KVM_GET_VCPU_MMAP_SIZE, mmap)");
	return 0;
}

static void put64(struct kt_guest *guest, size_t place, uint64_t value)
{
	memcpy(guest->memory + place, &value, sizeof(value));
}

static void enter_real(struct kvm_sregs *sregs)
{
	sregs->cs.base = 0;
	sregs->cs.selector = 0;
}

/* The first 2 MiB are mapped to themselves by one large page. */
static void enter_long(struct kt_guest *guest, bool has_vectors, struct kvm_sregs *sregs)
{
	struct kvm_segment code = {.selector = SELECTOR_CODE,
				   .limit = 0xffffffff,
				   .type = 11 /* execute, read, accessed */,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.selector = SELECTOR_DATA,
				   .limit = 0xffffffff,
				   .type = 3 /* read, write, accessed */,
				   .present = 1,
				   .s = 1,
				   .db = 1,
				   .g = 1};

	put64(guest, PLACE_PML4, PLACE_PDPT | PAGE_PRESENT_WRITE);
	put64(guest, PLACE_PDPT, PLACE_PD | PAGE_PRESENT_WRITE);
	put64(guest, PLACE_PD, PAGE_LARGE | PAGE_PRESENT_WRITE);
	/* the same segments as descriptors, behind the empty one */
	put64(guest, PLACE_GDT + SELECTOR_CODE, 0x00af9b000000ffff);
	put64(guest, PLACE_GDT + SELECTOR_DATA, 0x00cf93000000ffff);
	sregs->gdt.base = PLACE_GDT;
	sregs->gdt.limit = 3 * 8 - 1;
	sregs->cs = code;
	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->cr3 = PLACE_PML4;
	sregs->cr4 = CR4_PAE | (has_vectors ? CR4_OSFXSR | CR4_OSXMMEXCPT : 0);
	sregs->cr0 = CR0_PE | CR0_NE | CR0_PG;
	sregs->efer = EFER_LME | EFER_LMA;
}

static int guest_load(struct kt_guest *guest, const struct kt_guest_program *program)
{
	struct kvm_regs regs = {.rip = PLACE_CODE, .rsp = PLACE_STACK, .rflags = RFLAGS_FIXED};
	struct kvm_sregs sregs;

	if (program->size > PLACE_PML4 - PLACE_CODE)
		return -E2BIG;
	memcpy(guest->memory + PLACE_CODE, program->code, program->size);
	put64(guest, KT_GUEST_DATA, 0); /* of another program before this one */
	if (ioctl(guest->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return kt_negative_errno();
	if (program->is_long)
		enter_long(guest, program->uses_vectors, &sregs);
	else
		enter_real(&sregs);
	if (ioctl(guest->vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(guest->vcpu, KVM_SET_REGS, &regs) < 0)
		return kt_negative_errno();
	return 0;
}

/* Only there so that the signal interrupts KVM_RUN instead of ending us. */
static void alarm_hear(int number)
{
	(void)number;
}

struct alarm {
	struct sigaction before;
	struct itimerval timer_before;
	sigset_t mask_before;
};

static void alarm_stop(struct alarm *alarm)
{
	(void)setitimer(ITIMER_REAL, &alarm->timer_before, NULL);
	(void)sigaction(SIGALRM, &alarm->before, NULL);
	(void)sigprocmask(SIG_SETMASK, &alarm->mask_before, NULL);
}

/* It rings again and again: the first ring may come just before KVM_RUN, where it interrupts nothing. */
static void alarm_start(unsigned timeout_ms, struct alarm *alarm)
{
	struct sigaction action = {.sa_handler = alarm_hear}; /* no SA_RESTART */
	struct itimerval timer = {.it_interval = {.tv_usec = TIMER_REPEAT_US},
				  .it_value = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 + 1}};
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGALRM);
	(void)sigaction(SIGALRM, &action, &alarm->before);
	(void)sigprocmask(SIG_UNBLOCK, &mask, &alarm->mask_before);
	(void)setitimer(ITIMER_REAL, &timer, &alarm->timer_before);
}

static int exit_explain(const struct kvm_run *run, const char *name, struct kt_error *err)
{
	const char *word = "unknown to us";
	char more[48] = "";

	for (size_t i = 0; i < sizeof(exits) / sizeof(exits[0]); i++)
		if (exits[i].number == run->exit_reason)
			word = exits[i].name;
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		(void)snprintf(more, sizeof(more), ", suberror %u", run->internal.suberror);
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		(void)snprintf(more, sizeof(more), ", hardware reason 0x%" PRIx64,
			       (uint64_t)run->fail_entry.hardware_entry_failure_reason);
	return kt_fail(err, EPROTO, KT_REASON_GUEST_FAILED, "the guest in %s ended with unexpected KVM exit %u (%s%s)",
		       name, run->exit_reason, word, more);
}

/* Runs until the next exit. */
static int guest_step(struct kt_guest *guest, const char *name, int64_t until_ms, unsigned timeout_ms,
		      struct kt_error *err)
{
	do {
		if (ioctl(guest->vcpu, KVM_RUN, 0UL) == 0)
			return 0;
		if (errno != EINTR && errno != EAGAIN)
			return kvm_fail(err, errno, KT_REASON_GUEST_FAILED, "the guest in %s does not run (KVM_RUN)",
					name);
	} while (kt_clock_ms() < until_ms);
	return kt_fail(err, ETIMEDOUT, KT_REASON_GUEST_HUNG, "the guest in %s did not end within %u ms", name,
		       timeout_ms);
}

static bool told_is_right(const struct kvm_run *run, size_t run_size, const struct kt_guest_program *program)
{
	uint32_t told = 0;

	if (run->exit_reason != KVM_EXIT_IO || run->io.direction != KVM_EXIT_IO_OUT || run->io.port != KT_GUEST_PORT ||
	    run->io.size != program->told_size || run->io.count != 1 || run->io.data_offset > run_size - sizeof(told))
		return false;
	memcpy(&told, (const unsigned char *)run + run->io.data_offset, program->told_size);
	return told == program->told;
}

static int guest_follow(struct kt_guest *guest, const struct kt_guest_program *program, unsigned timeout_ms,
			struct kt_error *err)
{
	int64_t until_ms = kt_clock_ms() + timeout_ms;
	uint64_t stored;
	int r = guest_step(guest, program->name, until_ms, timeout_ms, err);

	if (r < 0)
		return r;
	if (!told_is_right(guest->run, guest->run_size, program))
		return exit_explain(guest->run, program->name, err);
	r = guest_step(guest, program->name, until_ms, timeout_ms, err);
	if (r < 0)
		return r;
	if (guest->run->exit_reason != KVM_EXIT_HLT)
		return exit_explain(guest->run, program->name, err);
	memcpy(&stored, guest->memory + KT_GUEST_DATA, sizeof(stored));
	if (stored != program->stored)
		return kt_fail(err, EPROTO, KT_REASON_GUEST_FAILED,
			       "the guest in %s left 0x%" PRIx64 " in memory instead of 0x%" PRIx64, program->name,
			       stored, program->stored);
	return 0;
}

int kt_guest_run(struct kt_guest *guest, const struct kt_guest_program *program, unsigned timeout_ms,
		 struct kt_error *err)
{
	struct alarm alarm;
	int r = guest_load(guest, program);

	if (r < 0)
		return kvm_fail(err, -r, KT_REASON_GUEST_FAILED,
				"cannot set up the guest in %s (KVM_SET_SREGS, KVM_SET_REGS)", program->name);
	alarm_start(timeout_ms, &alarm);
	r = guest_follow(guest, program, timeout_ms, err);
	alarm_stop(&alarm);
	return r;
}

bool kt_guest_was_not_emulated(const struct kt_guest *guest)
{
	return guest->run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	       guest->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION;
}
