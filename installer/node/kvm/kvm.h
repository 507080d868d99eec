/* The ladder of KVM, rung by rung. */
#ifndef KT_NODE_KVM_H
#define KT_NODE_KVM_H

#include "kontain/node/node.h"

struct kt_climb {
	const struct kt_node_paths *paths;
	bool load_modules;
	struct kt_probe *probe;     /* filled: kvm is set, the rungs are added to checks */
	kt_node_announce *announce; /* may be NULL */
	void *context;
	bool has_loaded; /* set: it tried to load modules */
};

void kt_kvm_climb(struct kt_climb *climb);

#endif
