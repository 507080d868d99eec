/* What is so on this node: store, host, KVM, proof. The dangerous parts run in children. */
#ifndef KT_AGENT_OBSERVE_H
#define KT_AGENT_OBSERVE_H

#include "cli/options.h"
#include "plan.h"

/* Opens the first usable of the roots (--root, or the config's), as kt_store_open does. */
int kt_installer_open_store(const struct kt_installer *installer, enum kt_store_mode mode, struct kt_store *ret_store,
			    struct kt_error *err);

/* KVM and host, by the verb probe in a child. */
void kt_observe_node(const struct kt_installer *installer, struct kt_observed *observed);
/* The proof of a set (NULL: through the live links), by the verb selftest in a child. */
void kt_observe_proof(const struct kt_installer *installer, const char *version, struct kt_state_proof *ret_proof);
/* Store, its inventory, the memory of failures. ret_store is the store's description for the state. */
void kt_observe_store(const struct kt_installer *installer, const struct kt_desired *desired,
		      struct kt_observed *observed, struct kt_state_store *ret_store);

/* What the inventory says, in the state's words; `desired` is left alone. */
void kt_inventory_versions(const struct kt_inventory *inventory, struct kt_state_versions *ret_versions);
/* Boot id and time: when and in which boot this was seen. */
void kt_state_stamp(struct kt_state *state);

/* Runs this program again with a hidden verb and the same options; `extra` is one more "--to V" or NULL.
 * The answer is what it printed. */
struct kt_child_result;
/* Likewise, and goes on beside it: see kt_child_start. */
int kt_installer_start(const struct kt_installer *installer, const char *verb, pid_t *ret_pid, int *ret_pidfd,
		       struct kt_error *err);
int kt_installer_call(const struct kt_installer *installer, const char *verb, const char *to, unsigned timeout_ms,
		      struct kt_child_result *ret_result, struct kt_error *err);

#endif
