/* A guest of a few instructions on KVM: made, run to its exit, taken away. */
#ifndef KT_NODE_GUEST_H
#define KT_NODE_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"

struct kvm_run;

struct kt_guest {
	int vm;                /* owned */
	int vcpu;              /* owned */
	unsigned char *memory; /* owned mapping */
	struct kvm_run *run;   /* owned mapping */
	size_t run_size;
	bool has_rdtscp; /* KVM offers it to its guests */
};
#define KT_GUEST_NONE ((struct kt_guest){.vm = -1, .vcpu = -1})

/* Code that writes `told` to KT_GUEST_PORT and halts. */
struct kt_guest_program {
	const char *name;
	bool is_long;      /* long mode, or real mode */
	bool uses_vectors; /* vector registers are switched on; long mode only */
	const unsigned char *code;
	size_t size;
	uint32_t told;
	size_t told_size; /* 1, 2 or 4: of the OUT */
	uint64_t stored;  /* expected at KT_GUEST_DATA when it ends; long mode only */
};
#define KT_GUEST_PORT 0x4b4d
#define KT_GUEST_DATA 0x5000

extern const struct kt_guest_program kt_guest_real, kt_guest_long;
/* What compiled programs have beside integer code, and a KVM that emulates may lack. */
extern const struct kt_guest_program kt_guest_sse2, kt_guest_rdtscp;

/* Each step on its own, as each has its reason: Busy, GuestFailed. */
int kt_guest_create_vm(int kvm, struct kt_guest *guest, struct kt_error *err);
int kt_guest_create_vcpu(int kvm, struct kt_guest *guest, struct kt_error *err);
/* GuestFailed, or GuestHung when it did not end in timeout_ms: SIGALRM and its timer are used for that and put back. */
int kt_guest_run(struct kt_guest *guest, const struct kt_guest_program *program, unsigned timeout_ms,
		 struct kt_error *err);
/* Of a guest that failed to run: KVM could not emulate its instruction. */
bool kt_guest_was_not_emulated(const struct kt_guest *guest);
void kt_guest_done(struct kt_guest *guest); /* for KT_OWN */

#endif
