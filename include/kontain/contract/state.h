/* What the privileged half says of the node: kt_state <-> state.json (kontain.app/v1, NodeState).
 * One writer (kontain-installer), readers only beside it. deploy/state.schema.json describes the document. */
#ifndef KONTAIN_STATE_H
#define KONTAIN_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/digest.h"
#include "kontain/base/error.h"
#include "kontain/contract/checks.h"

#define KT_VERSION_MAX     64 /* [A-Za-z0-9][A-Za-z0-9._-]{0,62} and NUL: also a label value */
#define KT_STATE_LIST_MAX  16
#define KT_STATE_BYTES_MAX (256 * 1024)

/* A verdict: is it so, why (not), in a word and in a sentence. */
struct kt_verdict {
	bool ok;
	enum kt_reason reason;
	char message[512];
};

struct kt_state_versions {
	char desired[KT_VERSION_MAX]; /* "" when none is asked for */
	char current[KT_VERSION_MAX]; /* "" when none is landed */
	char previous[KT_VERSION_MAX];
	size_t list_count;
	char list[KT_STATE_LIST_MAX][KT_VERSION_MAX];
	char km_version[KT_VERSION_MAX]; /* component version of km in the current set */
	char km_digest[KT_DIGEST_HEX];   /* SHA-256 of bin/km of the current set */
};

/* To a question that was perhaps not asked. */
enum kt_answer {
	KT_ANSWER_NONE,
	KT_ANSWER_NO,
	KT_ANSWER_YES,
};

struct kt_state_kvm {
	bool probed;
	struct kt_verdict verdict;
	char device[64]; /* as the host names it: /dev/kvm, or that of Kontain's own module */
	int api_version; /* KVM_GET_API_VERSION; -1 when not asked */
	bool real_mode;  /* a guest ran to its exit */
	bool long_mode;
	enum kt_answer compiled_code; /* a guest ran SSE2 and rdtscp; NO: KVM emulates, and cannot. A fact */
	bool nonroot_access;          /* the host's own node is open to others: a fact, not a condition */
	unsigned duration_us;
};

struct kt_state_host {
	bool probed;
	struct kt_verdict verdict;
	char kernel[65];
	char cpu_vendor[16];
	char cpu_model[64];
	char hypervisor[16]; /* CPUID leaf 0x40000000's signature, "" on bare metal */
	bool virt_flag;      /* svm or vmx: a hint, never a condition */
	bool xsave;
	uint64_t mmap_min_addr;
	uint64_t file_limit; /* without a limit JSON says 2^53-1, the largest integer that all readers keep */
	char modules[128];   /* "kvm builtin, kvm_amd missing": what libkmod knows */
	/* facts, on which no verdict depends */
	char confidential[16]; /* "none", or the kind of confidential guest that this machine is: sev, tdx ... */
	char selinux[16];      /* enforcing, permissive, disabled, absent, unknown */
	char lockdown[16];     /* none, integrity, confidentiality, absent, unknown */
};

struct kt_state_proof {
	bool ran;
	struct kt_verdict verdict;
	bool integer_ok;
	bool sse_ok;
	enum kt_answer
		dynamic_ok; /* through runtime/libc.so; NONE: the set has none, or nothing can be said of it here */
	bool emulated;      /* integer code ran, and KVM could not emulate an instruction of another program */
	char hypervisor[8]; /* "kvm" or "kkm", from the release suffix; "" where that has no room for it */
	char release[96];   /* what uname said under km */
	unsigned duration_ms;
	int64_t at; /* Unix seconds */
};

/* What was replaced or removed while somebody used it: its bytes stay until nobody does. */
#define KT_STATE_KEPT_MAX 8
#define KT_KEPT_OBSTACLE  "cannot be removed: " /* and why */
struct kt_state_kept_tree {
	char name[128]; /* in the root: ".kept-1-versions-km-0.10.3" */
	/* "process 123 (km) runs from it"; KT_KEPT_OBSTACLE "..." when nobody does; "" when nobody was asked yet */
	char user[128];
};
struct kt_state_kept {
	size_t count; /* of all; the list has the first of them */
	struct kt_state_kept_tree list[KT_STATE_KEPT_MAX];
};

/* How far the node is with the version asked for. As a text: "none", "done", "failed:<version>", "held:<version>". */
enum kt_upgrade_state {
	KT_UPGRADE_NONE,
	KT_UPGRADE_DONE,
	KT_UPGRADE_FAILED,
	KT_UPGRADE_HELD, /* a person rolled back from it */
	KT_UPGRADE_COUNT
};

struct kt_upgrade {
	enum kt_upgrade_state state;
	char version[KT_VERSION_MAX]; /* of FAILED and HELD, "" else */
};

#define KT_UPGRADE_TEXT_MAX (sizeof("failed:") + KT_VERSION_MAX)
void kt_upgrade_print(const struct kt_upgrade *upgrade, char ret_text[KT_UPGRADE_TEXT_MAX]);
bool kt_upgrade_parse(const char *text, struct kt_upgrade *ret_upgrade);

struct kt_state_store {
	bool found;
	struct kt_verdict verdict;
	char root[256]; /* as the host names it */
	char filesystem[16];
	bool journalling;
	uint64_t installs_ok; /* since this agent's start */
	uint64_t installs_failed;
	struct kt_upgrade upgrade;
	int64_t verified_at; /* Unix s: every byte of the current set was read then; 0: not since it was landed */
	unsigned verify_interval_s;
	uint64_t mismatches;     /* files found lost or changed, since this agent's start */
	char last_mismatch[320]; /* the last of them: "<Reason>: <place and what>", "" for none */
	struct kt_state_kept kept;
};

/* What the agent's loop does. All of it is 0 where there is none. */
struct kt_state_reconciles {
	uint64_t count;         /* since this agent's start */
	char cause[16];         /* of the last: "schedule", "device" ... see README */
	unsigned duration_ms;   /* of the last */
	unsigned cpu_us;        /* of the last, its children's included */
	uint64_t ready_changes; /* of node.ready, since this agent's start */
	uint64_t held_back;     /* returns to ready that had to wait */
	int64_t held_until;     /* Unix seconds; 0: nothing is held back */
	unsigned stuck_pid;     /* a process that was killed and does not go; 0: none */
	int64_t stuck_since;
};

struct kt_state {
	char boot_id[37];
	/* For people, in Unix seconds: a wall clock may jump by hours. */
	int64_t observed_at;
	int64_t next_update_by;
	/* The same for readers, in seconds of CLOCK_BOOTTIME of the boot named above, which goes on in a suspended machine. */
	uint64_t observed_boot_s;
	uint64_t next_update_boot_s;
	struct kt_verdict node;    /* can this node run payloads? */
	struct kt_verdict rollout; /* ok = settled: is it done with the version asked for? */
	struct kt_state_versions versions;
	struct kt_state_kvm kvm;
	struct kt_state_host host;
	struct kt_state_proof proof;
	struct kt_state_store store;
	struct kt_checks checks; /* how kvm and host came to their verdicts, check by check */
	struct kt_state_reconciles reconciles;
};

/* Was the version asked for refused: does another serve for a cause that is the version's, its source's or the store's?
 * A node that is settled all the same refused nothing. */
bool kt_state_is_refused(const struct kt_state *state);

/* What is asked of the node itself. */
struct kt_probe {
	struct kt_state_kvm kvm;
	struct kt_state_host host;
	struct kt_checks checks;
};

void kt_state_init(struct kt_state *state);
void kt_state_set_probe(struct kt_state *state, const struct kt_probe *probe);

/* An owned JSON document with a newline behind it. NULL when memory is gone. */
char *kt_state_print(const struct kt_state *state);
/* Bytes from a file that may be hostile: caps, types and ranges checked. */
int kt_state_parse(const char *bytes, size_t size, struct kt_state *ret_state, struct kt_error *err);

/* The folder that the state lies in, 0755, when it is not there. */
int kt_state_make_folder(const char *path, struct kt_error *err);
/* Whole or not at all, 0644. */
int kt_state_write(const char *path, const struct kt_state *state, struct kt_error *err);
int kt_state_read(const char *path, struct kt_state *ret_state, struct kt_error *err);

/* Promises another word within so many seconds of what was seen, by both clocks. */
void kt_state_promise(struct kt_state *state, unsigned within_s);

/* May a reader believe it now? 0, or StateOverdue / StateOfOtherBoot / StateInvalid (from the future). now_boot_s as in
 * kt_clock_boot_ms. Pure: no wall clock has a say. */
int kt_state_believable(const struct kt_state *state, const char *boot_id, uint64_t now_boot_s, struct kt_error *err);

/* Sets a verdict; ok for Ready, else false. */
void kt_verdict_set(struct kt_verdict *verdict, bool ok, enum kt_reason reason, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* From an error. */
void kt_verdict_fail(struct kt_verdict *verdict, const struct kt_error *err);

/* [A-Za-z0-9][A-Za-z0-9._-]{0,62} */
bool kt_version_is_valid(const char *version);

#endif
