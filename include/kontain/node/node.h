/* The node itself: KVM, the host's limits, and the proof under km. These calls may hang or die with the
 * hardware they ask: run them as jobs (probe and selftest). */
#ifndef KONTAIN_NODE_H
#define KONTAIN_NODE_H

#include "kontain/base/error.h"
#include "kontain/contract/state.h"

struct kt_node_paths {
	const char *host; /* prefix of host paths: "" or "/host" */
	const char *dev;  /* device folder: "/dev" or "/host/dev" */
};

/* What payloads run on, as the device folder names it: KVM, then Kontain's own module in km's order. */
#define KT_DEVICE_COUNT 3
extern const char *const kt_device_names[KT_DEVICE_COUNT];

/* The checks of KVM: fills ret_kvm whatever happens; verdict.ok when a guest ran in real and in long mode. Tries to
 * load modules first when the device is missing and load_modules. */
void kt_kvm_probe(const struct kt_node_paths *paths, bool load_modules, struct kt_state_kvm *ret_kvm);

/* What km needs of the host: fills ret_host; verdict.ok when all of it is there. */
void kt_host_probe(const struct kt_node_paths *paths, struct kt_state_host *ret_host);

/* Told before each step that may never come back: what is known so far, with the verdict that holds if it does not. */
typedef void kt_node_announce(void *context, const struct kt_probe *so_far);

/* Both of the above, with their checks as rows. announce may be NULL. */
void kt_node_probe(const struct kt_node_paths *paths, bool load_modules, kt_node_announce *announce, void *context,
		   struct kt_probe *ret_probe);

struct kt_selftest {
	const char *store_path; /* the store as this process reaches it: /host/opt/kontain */
	const char *version;    /* set to prove; NULL: through the live links, as pods see it */
	const char *dev;        /* folder of the real device node */
	unsigned timeout_ms;    /* for each payload */
	bool allow_emulated;
	/* The set's own selfTest, from its manifest; NULL when it has none. Borrowed. own_argv is NULL-terminated and its
	 * first word is a path in the bundle. */
	const char *const *own_argv;
	const char *own_expect; /* first line of its output; NULL or "" for any */
};

/* Runs the built-in payloads, the third only where the set has a runtime/libc.so, then the set's own selfTest, under
 * bin/km of that set in a private mount view as nobody. Fills ret_proof whatever happens. With allow_emulated, an
 * integer-only KVM is ok with message "emulated: integer code only". */
void kt_selftest_run(const struct kt_selftest *test, struct kt_state_proof *ret_proof);

#endif
