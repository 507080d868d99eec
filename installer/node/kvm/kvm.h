/* The checks of KVM, each needing the one before. */
#ifndef KT_NODE_KVM_H
#define KT_NODE_KVM_H

#include "kontain/node/node.h"

struct kt_kvm_checking {
	const struct kt_node_paths *paths;
	bool load_modules;
	struct kt_probe *probe;     /* filled: kvm is set, a row for each is added to checks */
	kt_node_announce *announce; /* may be NULL */
	void *context;
	bool has_loaded; /* set: it tried to load modules */
};

void kt_kvm_check(struct kt_kvm_checking *checking);

#endif
