/* A virtual machine with one vcpu in long mode, its memory and nothing else: no firmware, no device, no interrupt.
 * A payload's virtual addresses are its physical ones. */
#ifndef GUEST_H
#define GUEST_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUEST_PAGE   UINT64_C(0x200000)  /* of the page tables: the large one */
#define GUEST_BOTTOM GUEST_PAGE          /* below is ours: page tables and the way out */
#define GUEST_TOP    UINT64_C(0x4000000) /* 64 MiB; the stack grows down from it */
#define GUEST_STACK  UINT64_C(0x100000)  /* kept free of segments below GUEST_TOP */

struct guest {
	int device;          /* owned */
	bool is_kkm;         /* the device answered as Kontain's own module */
	int vm;              /* owned */
	int vcpu;            /* owned */
	struct kvm_run *run; /* owned mapping */
	size_t run_size;
	uint8_t *memory; /* owned mapping of GUEST_TOP bytes */
	/* What the payload may ask for: by brk between the ends of a heap, by mmap from `map` up to the stack. */
	uint64_t heap, heap_start, heap_end, map;
};

/* A system call of the payload: number and arguments in the registers of the x86-64 ABI. */
struct guest_call {
	uint64_t number;
	uint64_t arguments[6];
};

/* 0, or the exit code that the message given belongs to. guest_close is safe on what failed. */
int guest_open(struct guest *ret_guest);
void guest_close(struct guest *guest);

/* Borrowed bytes of the payload's own memory; NULL when one of them is not there. */
void *guest_bytes(const struct guest *guest, uint64_t address, uint64_t size);

int guest_start(struct guest *guest, uint64_t entry, uint64_t stack);
/* Where the payload's thread keeps what is its own (FS). False: the address is none. */
bool guest_set_thread(struct guest *guest, uint64_t address);
/* Runs to the next system call: 0. Or to an exception: the signal that a payload dies by. A guest that ends in any
 * other way ends this program, as km: by exit(1), or by abort() where it was shut down. */
int guest_run(struct guest *guest, struct guest_call *ret_call);
/* Lets the payload go on behind its system call. */
void guest_answer(struct guest *guest, int64_t result);
/* The payload's memory as an ELF core file, without its registers; -1 with errno. */
int guest_dump(const struct guest *guest, const char *path);

#endif
