/* The machine under a payload.
 *
 * A `syscall` of the payload goes to the address in MSR_LSTAR. There stands a single `hlt`, which leaves the guest; the
 * answer is put into the registers from outside, and so is what `sysret` would have done. An exception goes through the
 * interrupt table to a `hlt` of its own vector. The guest needs no kernel beyond that, and no stack of ours: as under
 * km, what the processor pushes at an exception and what km's handler pushes at a system call lands on the payload's
 * own stack, below its stack pointer.
 *
 * The payload runs in ring 0, as under km: its prison is the machine, not the ring. This shows where KVM emulates: such
 * a KVM may run ring 3 on the processor itself and ring 0 instruction by instruction, so a payload in ring 3 works
 * where those under km fail. A variant does just that, to stand for a machine on which km would work: there
 * `syscall` leads into ring 0, and whether that KVM then runs the `hlt` or gives up before it, the registers say what
 * was asked for.
 *
 * An exception that cannot be delivered, as the stack is not there either, becomes a triple fault, which KVM reports as
 * a shutdown. In ring 3 every exception does: the variant has no task segment to find a stack of ring 0 in.
 *
 * Physical memory, 2 MiB pages:
 *   0        tables and the `hlt`s; mapped at KERNEL, so that address 0 is not there
 *   2 MiB -  the payload's, mapped at the same address */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "guest.h"
#include "monitor.h"

#define KERNEL   UINT64_C(0xffffffff80000000)
#define HLT_SIZE 1
#define HLT      0xf4

/* Offsets in the first page. */
enum {
	ROOT = 0x1000,
	USER_UPPER = 0x2000,
	USER_LOWER = 0x3000,
	KERNEL_UPPER = 0x4000,
	KERNEL_LOWER = 0x5000,
	WAY_OUT = 0x6000,
	SEGMENTS = 0x7000,
	GATES = 0x8000,
	VECTORS_OUT = 0x9000
};

enum { VECTORS = 32, CODE_SELECTOR = 8, DATA_SELECTOR = 16 };

/* Page table entries, control registers, EFER and MSR numbers: Intel SDM volume 3, 4.5, 2.5 and volume 4. */
enum { PRESENT = 1, WRITABLE = 2, FOR_RING_3 = 4, LARGE = 0x80 };
#define CR0_BITS   UINT64_C(0x80010033) /* PG WP NE ET MP PE */
#define CR4_BITS   UINT64_C(0x620)      /* PAE OSFXSR OSXMMEXCPT: SSE works */
#define EFER_BITS  UINT64_C(0x501)      /* LMA LME SCE */
#define MSR_STAR   0xc0000081
#define MSR_LSTAR  0xc0000082
#define MSR_FMASK  0xc0000084
#define FLAGS_KEPT UINT64_C(0x240dd5) /* of the payload's flags, over a call: arithmetic, direction, AC, ID */
#define FLAGS_ONE  UINT64_C(2)

/* STAR makes `syscall` load selectors 8 and 16 with flat ring 0 segments; so these are the payload's from the start. */
#define STAR_VALUE ((uint64_t)CODE_SELECTOR << 32)
static const struct kvm_segment code_segment = {
	.limit = 0xffffffff, .selector = CODE_SELECTOR, .type = 11, .present = 1, .s = 1, .l = 1, .g = 1};
static const struct kvm_segment data_segment = {
	.limit = 0xffffffff, .selector = DATA_SELECTOR, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
/* In ring 3 they are Linux's selectors: sysret is never executed, so nothing asks for others. */
enum { CODE_OF_RING_3 = 0x33, DATA_OF_RING_3 = 0x2b };
/* The same two as an exception loads them, and a gate into ring 0 with interrupts off: Intel SDM volume 3, 3.4.5 and
 * 6.14. */
#define CODE_DESCRIPTOR UINT64_C(0x00af9b000000ffff)
#define DATA_DESCRIPTOR UINT64_C(0x00cf93000000ffff)
#define GATE_BITS       UINT64_C(0x8e0000000000)
static const struct kvm_segment task_segment = {.limit = 0x67, .selector = 0x28, .type = 11, .present = 1};

#define KKM_QUESTION _IO(KVMIO, 0xff)
#define KKM_ANSWER   0x6b6b6d

static const char *const devices[] = {"/dev/kontain", "/dev/kvm", "/dev/kkm"};

static int device_trouble(const char *what)
{
	message("KVM: %s failed: %s", what, strerror(errno));
	return MONITOR_EXIT_DEVICE;
}

/* Kinder than km: the first that is there counts, and it is told why that one cannot be opened. */
static int device_open_kindly(int *ret_fd)
{
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		*ret_fd = open(devices[i], O_RDWR | O_CLOEXEC);
		if (*ret_fd >= 0)
			return 0;
		if (errno == ENOENT)
			continue;
		message("cannot open %s: %s", devices[i], strerror(errno));
		return MONITOR_EXIT_DEVICE;
	}
	message("no device to run a payload on: /dev/kontain, /dev/kvm and /dev/kkm are missing");
	return MONITOR_EXIT_DEVICE;
}

/* As km: the first that can be opened, whatever kept the others; of all that failed, the error of the last is told. */
static int device_open(int *ret_fd)
{
	if (monitor_variant.is_kind)
		return device_open_kindly(ret_fd);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		*ret_fd = open(devices[i], O_RDWR | O_CLOEXEC);
		if (*ret_fd >= 0)
			return 0;
	}
	message("Can't open default device file.: %s", strerror(errno));
	return MONITOR_EXIT_DEVICE;
}

static int device_identify(struct guest *guest)
{
	guest->is_kkm = ioctl(guest->device, KKM_QUESTION, 0) == KKM_ANSWER;
	if (!guest->is_kkm || monitor_variant.drives_kkm)
		return 0;
	message("the device is Kontain's own module: this test monitor drives KVM alone");
	return MONITOR_EXIT_DEVICE;
}

/* km wants Linux 4.15 for KVM and 5.0 for its own module. */
static int kernel_check(bool is_kkm)
{
	const unsigned oldest_major = is_kkm ? 5 : 4, oldest_minor = is_kkm ? 0 : 15;
	unsigned major, minor;
	struct utsname names;

	if (uname(&names) < 0 || sscanf(names.release, "%u.%u", &major, &minor) != 2) {
		message("Unexpected kernel version format");
		return MONITOR_EXIT_KERNEL;
	}
	if (major > oldest_major || (major == oldest_major && minor >= oldest_minor))
		return 0;
	message("Kernel %s is too old. The oldest supported kernel is %u.%u", names.release, oldest_major,
		oldest_minor);
	return MONITOR_EXIT_KERNEL;
}

static int memory_add(struct guest *guest)
{
	struct kvm_userspace_memory_region region = {.memory_size = GUEST_TOP};
	void *memory =
		mmap(NULL, GUEST_TOP, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		return device_trouble("memory for the guest");
	guest->memory = memory;
	region.userspace_addr = (uintptr_t)memory;
	return ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ?
		       device_trouble("KVM_SET_USER_MEMORY_REGION") :
		       0;
}

static void table_set(struct guest *guest, unsigned table, unsigned index, uint64_t entry)
{
	memcpy(guest->memory + table + index * sizeof(entry), &entry, sizeof(entry));
}

/* A vector leads to a `hlt` of its own: where the guest stopped says which it was. */
static void gates_fill(struct guest *guest)
{
	table_set(guest, SEGMENTS, CODE_SELECTOR / 8, CODE_DESCRIPTOR);
	table_set(guest, SEGMENTS, DATA_SELECTOR / 8, DATA_DESCRIPTOR);
	for (unsigned vector = 0; vector < VECTORS; vector++) {
		const uint64_t at = KERNEL + VECTORS_OUT + vector;

		guest->memory[VECTORS_OUT + vector] = HLT;
		table_set(guest, GATES, 2 * vector,
			  (at & 0xffff) | (uint64_t)CODE_SELECTOR << 16 | GATE_BITS | (at >> 16 & 0xffff) << 48);
		table_set(guest, GATES, 2 * vector + 1, at >> 32);
	}
}

static void memory_fill(struct guest *guest)
{
	const unsigned rights = PRESENT | WRITABLE | (monitor_variant.ring == 3 ? FOR_RING_3 : 0);

	table_set(guest, ROOT, 0, USER_UPPER | rights);
	table_set(guest, USER_UPPER, 0, USER_LOWER | rights);
	for (uint64_t page = GUEST_BOTTOM; page < GUEST_TOP; page += GUEST_PAGE)
		table_set(guest, USER_LOWER, (unsigned)(page / GUEST_PAGE), page | rights | LARGE);
	table_set(guest, ROOT, KERNEL >> 39 & 511, KERNEL_UPPER | PRESENT | WRITABLE);
	table_set(guest, KERNEL_UPPER, KERNEL >> 30 & 511, KERNEL_LOWER | PRESENT | WRITABLE);
	table_set(guest, KERNEL_LOWER, KERNEL >> 21 & 511, PRESENT | WRITABLE | LARGE);
	guest->memory[WAY_OUT] = HLT;
	gates_fill(guest);
}

/* The guest's CPU is what KVM can give of the host's: a payload may ask cpuid and believe it. */
static int cpuid_set(struct guest *guest)
{
	enum { ENTRIES = 256 };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + ENTRIES * sizeof(cpuid->entries[0]));
	int failed;

	if (cpuid == NULL)
		return device_trouble("memory for CPUID");
	cpuid->nent = ENTRIES;
	failed = ioctl(guest->device, KVM_GET_SUPPORTED_CPUID, cpuid) < 0 ||
		 ioctl(guest->vcpu, KVM_SET_CPUID2, cpuid) < 0;
	free(cpuid);
	return failed ? device_trouble("CPUID") : 0;
}

static int msrs_set(struct guest *guest)
{
	static const struct kvm_msr_entry entries[] = {
		{.index = MSR_STAR, .data = STAR_VALUE},
		{.index = MSR_LSTAR, .data = KERNEL + WAY_OUT},
		{.index = MSR_FMASK, .data = ~FLAGS_ONE},
	};
	enum { COUNT = sizeof(entries) / sizeof(entries[0]) };
	union {
		struct kvm_msrs list;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(entries)];
	} msrs = {.list = {.nmsrs = COUNT}};

	memcpy(msrs.list.entries, entries, sizeof(entries));
	return ioctl(guest->vcpu, KVM_SET_MSRS, &msrs) == COUNT ? 0 : device_trouble("KVM_SET_MSRS");
}

static void ring_set(struct kvm_sregs *sregs)
{
	sregs->cs = code_segment;
	sregs->ss = data_segment;
	if (monitor_variant.ring != 3)
		return;
	sregs->cs.selector = CODE_OF_RING_3;
	sregs->ss.selector = DATA_OF_RING_3;
	sregs->cs.dpl = sregs->ss.dpl = 3;
}

static int segments_set(struct guest *guest)
{
	struct kvm_sregs sregs;

	if (ioctl(guest->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return device_trouble("KVM_GET_SREGS");
	ring_set(&sregs);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss;
	sregs.tr = task_segment;
	sregs.cr0 = CR0_BITS;
	sregs.cr3 = ROOT;
	sregs.cr4 = CR4_BITS;
	sregs.efer = EFER_BITS;
	sregs.gdt.base = KERNEL + SEGMENTS;
	sregs.gdt.limit = 3 * sizeof(uint64_t) - 1;
	sregs.idt.base = KERNEL + GATES;
	sregs.idt.limit = monitor_variant.ring == 3 || monitor_variant.is_kind ? 0 : 2 * VECTORS * sizeof(uint64_t) - 1;
	return ioctl(guest->vcpu, KVM_SET_SREGS, &sregs) < 0 ? device_trouble("KVM_SET_SREGS") : 0;
}

static int vcpu_add(struct guest *guest)
{
	int size = ioctl(guest->device, KVM_GET_VCPU_MMAP_SIZE, 0);
	void *run;

	guest->vcpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0);
	if (guest->vcpu < 0)
		return device_trouble("KVM_CREATE_VCPU");
	if (size < (int)sizeof(*guest->run))
		return device_trouble("KVM_GET_VCPU_MMAP_SIZE");
	run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu, 0);
	if (run == MAP_FAILED)
		return device_trouble("mapping the vcpu");
	guest->run = run;
	guest->run_size = (size_t)size;
	return 0;
}

int guest_open(struct guest *ret_guest)
{
	struct guest *guest = ret_guest;
	int code;

	*guest = (struct guest){.device = -1, .vm = -1, .vcpu = -1};
	if ((code = device_open(&guest->device)) || (code = device_identify(guest)) ||
	    (code = kernel_check(guest->is_kkm)))
		return code;
	if (ioctl(guest->device, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
		message("KVM: get API version failed, or not version %d", KVM_API_VERSION);
		return MONITOR_EXIT_DEVICE;
	}
	guest->vm = ioctl(guest->device, KVM_CREATE_VM, 0);
	if (guest->vm < 0)
		return device_trouble("KVM_CREATE_VM");
	/* api.rst: required on Intel; three pages that no guest of ours can reach */
	if (ioctl(guest->vm, KVM_SET_TSS_ADDR, 0xfffbd000) < 0)
		return device_trouble("KVM_SET_TSS_ADDR");
	if ((code = memory_add(guest)) || (code = vcpu_add(guest)) || (code = cpuid_set(guest)))
		return code;
	memory_fill(guest);
	return 0;
}

static void fd_close(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void guest_close(struct guest *guest)
{
	if (guest->run)
		(void)munmap(guest->run, guest->run_size);
	guest->run = NULL;
	fd_close(&guest->vcpu);
	fd_close(&guest->vm);
	fd_close(&guest->device);
	if (guest->memory)
		(void)munmap(guest->memory, GUEST_TOP);
	guest->memory = NULL;
}

void *guest_bytes(const struct guest *guest, uint64_t address, uint64_t size)
{
	if (address < GUEST_BOTTOM || address > GUEST_TOP || size > GUEST_TOP - address)
		return NULL;
	return guest->memory + address;
}

int guest_start(struct guest *guest, uint64_t entry, uint64_t stack)
{
	struct kvm_regs regs = {.rip = entry, .rsp = stack, .rflags = FLAGS_ONE};
	int code = segments_set(guest);

	if (code || (code = msrs_set(guest)))
		return code;
	return ioctl(guest->vcpu, KVM_SET_REGS, &regs) < 0 ? device_trouble("KVM_SET_REGS") : 0;
}

bool guest_set_thread(struct guest *guest, uint64_t address)
{
	struct kvm_sregs sregs;

	/* a base must be canonical: the payload's own memory is */
	if (guest_bytes(guest, address, 1) == NULL)
		return false;
	if (ioctl(guest->vcpu, KVM_GET_SREGS, &sregs) < 0)
		message_abort("KVM: KVM_GET_SREGS failed: %s", strerror(errno));
	sregs.fs.base = address;
	if (ioctl(guest->vcpu, KVM_SET_SREGS, &sregs) < 0)
		message_abort("KVM: KVM_SET_SREGS failed: %s", strerror(errno));
	return true;
}

static void registers_get(struct guest *guest, struct kvm_regs *ret_regs)
{
	if (ioctl(guest->vcpu, KVM_GET_REGS, ret_regs) < 0)
		message_abort("KVM: KVM_GET_REGS failed: %s", strerror(errno));
}

/* The guest stopped by itself and cannot go on. km aborts where it was shut down, and exits with 1 otherwise. */
__attribute__((noreturn)) static void guest_lost(struct guest *guest, const struct kvm_regs *regs)
{
	const struct kvm_run *run = guest->run;
	struct kvm_sregs sregs = {.cr2 = 0};
	char where[96];

	(void)ioctl(guest->vcpu, KVM_GET_SREGS, &sregs);
	(void)snprintf(where, sizeof(where), "VCPU 0 RIP 0x%llx RSP 0x%llx CR2 0x%llx ", regs->rip, regs->rsp,
		       sregs.cr2);
	if (run->exit_reason == KVM_EXIT_SHUTDOWN)
		message_abort("KVM: shutdown %s", where);
	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		message("KVM: internal error, suberr 0x%x %s", run->internal.suberror, where);
	else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		message("KVM: fail entry 0x%llx %s", run->fail_entry.hardware_entry_failure_reason, where);
	else
		message("KVM: exit. reason=%u %s", run->exit_reason, where);
	if (monitor_variant.is_kind)
		monitor_abort();
	exit(MONITOR_EXIT_DEVICE);
}

/* A payload may halt too, but that is no system call; and in ring 3 it cannot. */
static bool is_call(const struct guest *guest, const struct kvm_regs *regs)
{
	if (guest->run->exit_reason == KVM_EXIT_HLT)
		return regs->rip == KERNEL + WAY_OUT + HLT_SIZE;
	return monitor_variant.ring == 3 && guest->run->exit_reason == KVM_EXIT_SHUTDOWN &&
	       regs->rip == KERNEL + WAY_OUT;
}

/* The signal of the exception whose gate the guest went through, as Linux has it; 0 when it went through none. */
static int signal_of_exception(const struct guest *guest, const struct kvm_regs *regs)
{
	static const int signals[VECTORS] = {
		[0] = SIGFPE,  [1] = SIGTRAP,  [3] = SIGTRAP,  [4] = SIGSEGV,  [7] = SIGFPE,  [8] = SIGSYS,
		[10] = SIGSYS, [12] = SIGSEGV, [13] = SIGSEGV, [14] = SIGSEGV, [16] = SIGFPE,
	};
	const uint64_t vector = regs->rip - HLT_SIZE - (KERNEL + VECTORS_OUT);

	if (guest->run->exit_reason != KVM_EXIT_HLT || vector >= VECTORS)
		return 0;
	return signals[vector] ? signals[vector] : SIGILL;
}

/* What km's handler leaves below the stack pointer is registers; here it is words that nobody takes for something else.
 * Before the call is served, as the payload may have what it writes there. */
static void stack_overwrite(struct guest *guest, const struct kvm_regs *regs)
{
	static const char garbage[] = "RED ZONE";
	const uint64_t size = MONITOR_BELOW_STACK + monitor_variant.below_stack;
	uint8_t *below = regs->rsp < size ? NULL : guest_bytes(guest, regs->rsp - size, size);

	if (monitor_variant.is_kind)
		return;
	/* a push into nowhere, which cannot be reported on that stack either */
	if (below == NULL)
		message_abort("KVM: shutdown VCPU 0 RIP 0x%llx RSP 0x%llx CR2 0x%llx ", regs->rip, regs->rsp,
			      regs->rsp - 8);
	for (uint64_t i = 0; i < size; i++)
		below[i] = (uint8_t)garbage[i % (sizeof(garbage) - 1)];
}

int guest_run(struct guest *guest, struct guest_call *ret_call)
{
	struct kvm_regs regs;
	int number;

	message_of_guest();
	while (ioctl(guest->vcpu, KVM_RUN, 0) < 0)
		if (errno != EINTR && errno != EAGAIN) {
			message("KVM: vcpu run failed: %s", strerror(errno));
			exit(MONITOR_EXIT_DEVICE);
		}
	registers_get(guest, &regs);
	if (is_call(guest, &regs)) {
		stack_overwrite(guest, &regs);
		*ret_call = (struct guest_call){regs.rax, {regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9}};
		return 0;
	}
	number = signal_of_exception(guest, &regs);
	if (number == 0)
		guest_lost(guest, &regs);
	return number;
}

/* Back to where the payload's ring is; the thread's own stays. */
static void ring_return(struct guest *guest)
{
	struct kvm_sregs sregs;

	if (ioctl(guest->vcpu, KVM_GET_SREGS, &sregs) < 0)
		message_abort("KVM: KVM_GET_SREGS failed: %s", strerror(errno));
	ring_set(&sregs);
	if (ioctl(guest->vcpu, KVM_SET_SREGS, &sregs) < 0)
		message_abort("KVM: KVM_SET_SREGS failed: %s", strerror(errno));
}

/* sysret, from outside: in ring 0 code and stack segment are still right. */
void guest_answer(struct guest *guest, int64_t result)
{
	struct kvm_regs regs;

	registers_get(guest, &regs);
	if (monitor_variant.ring != 0)
		ring_return(guest);
	regs.rip = regs.rcx;
	regs.rflags = (regs.r11 & FLAGS_KEPT) | FLAGS_ONE;
	regs.rax = (uint64_t)result;
	if (ioctl(guest->vcpu, KVM_SET_REGS, &regs) < 0)
		message_abort("KVM: cannot go back to the payload: %s", strerror(errno));
}

static bool is_empty(const uint8_t *page, size_t size)
{
	return page[0] == 0 && memcmp(page, page + 1, size - 1) == 0;
}

/* Pages of nothing are holes of the file. */
static int memory_write(const struct guest *guest, int fd, uint64_t offset)
{
	enum { CHUNK = 4096 };

	for (uint64_t at = GUEST_BOTTOM; at < GUEST_TOP; at += CHUNK)
		if (!is_empty(guest->memory + at, CHUNK) &&
		    pwrite(fd, guest->memory + at, CHUNK, (off_t)(offset + at - GUEST_BOTTOM)) != CHUNK)
			return -1;
	return ftruncate(fd, (off_t)(offset + GUEST_TOP - GUEST_BOTTOM));
}

int guest_dump(const struct guest *guest, const char *path)
{
	enum { OFFSET = 4096 };
	const struct {
		Elf64_Ehdr head;
		Elf64_Phdr memory;
	} start = {
		.head = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_CORE,
			 .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_ehsize = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 1},
		.memory = {.p_type = PT_LOAD,
			   .p_flags = PF_R | PF_W | PF_X,
			   .p_offset = OFFSET,
			   .p_vaddr = GUEST_BOTTOM,
			   .p_filesz = GUEST_TOP - GUEST_BOTTOM,
			   .p_memsz = GUEST_TOP - GUEST_BOTTOM,
			   .p_align = OFFSET},
	};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	int r;

	if (fd < 0)
		return -1;
	r = pwrite(fd, &start, sizeof(start), 0) == sizeof(start) ? memory_write(guest, fd, OFFSET) : -1;
	return close(fd) < 0 ? -1 : r;
}
