/* What is so on this node: store, host, KVM, proof. What is dangerous to ask runs as a job. */
#ifndef KT_AGENT_OBSERVE_H
#define KT_AGENT_OBSERVE_H

#include "jobs/installer.h"
#include "plan.h"

/* KVM and host, by the job probe. */
void kt_observe_node(const struct kt_installer *installer, struct kt_observed *observed);
/* Store, its inventory, the memory of failures. ret_store is the store's description for the state. */
void kt_observe_store(const struct kt_installer *installer, const struct kt_desired *desired,
		      struct kt_observed *observed, struct kt_state_store *ret_store);

/* Was what we did (this bundle activated, or all of it removed) undone by another agent that still lives? Then who. */
void kt_observe_contender(const struct kt_installer *installer, const struct kt_desired *desired,
			  struct kt_observed *observed);

/* What the inventory says, in the state's words; `desired` is left alone. */
void kt_inventory_versions(const struct kt_inventory *inventory, struct kt_state_versions *ret_versions);
/* Boot id and time: when and in which boot this was seen. */
void kt_state_stamp(struct kt_state *state);

#endif
