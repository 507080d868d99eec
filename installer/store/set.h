/* A set: sets/<version>/, one link into versions/ a component, and the bundle's manifest, written last. */
#ifndef KT_STORE_SET_H
#define KT_STORE_SET_H

#include "kontain/bundle/treecheck.h"
#include "layout.h"

struct kt_set {
	int dir; /* owned */
	struct kt_manifest manifest;
	char *bytes; /* owned: the manifest's */
	size_t size;
	char sha256[KT_DIGEST_HEX]; /* of its bytes */
};
/* NoVersion when it is not there, StoreDamaged when its manifest cannot be read as one. */
int kt_set_load(const struct kt_store *store, const char *version, struct kt_set *ret_set, struct kt_error *err);
void kt_set_done(struct kt_set *set); /* for KT_OWN */

/* A set as kt_tree_check takes it. */
struct kt_set_tree {
	struct kt_tree tree;
	struct kt_file own[KT_COMPONENT_MAX + 1];
	char targets[KT_COMPONENT_MAX][KT_PLACE_MAX + 8];
};
void kt_set_tree(const struct kt_set *set, struct kt_set_tree *ret_tree);

enum kt_set_state {
	KT_SET_MISSING, /* nothing there, or nothing that counts: no manifest */
	KT_SET_SAME,    /* this bundle's manifest and links as they must be */
	KT_SET_DAMAGED, /* this version's, but not whole */
	KT_SET_OTHER,   /* another bundle of the same version */
};
/* Lock held: what can be put right in place is. */
int kt_set_look(const struct kt_store *store, const struct kt_bundle *bundle, enum kt_set_state *ret_state,
		struct kt_error *err);

/* Writes the whole set below `partial`, a name in the root; bytes are the manifest's. Not synced. */
int kt_set_write(const struct kt_store *store, const struct kt_manifest *manifest, const char *bytes, size_t size,
		 const char *partial, struct kt_error *err);

/* Is `version` there: a directory with a manifest? 1, 0, or -errno: on a disk that cannot be read it may be. */
int kt_set_exists(const struct kt_store *store, const char *version);

/* Calls use for each version of a component that a set's links name. Returns -errno or use's first non-zero. */
typedef int kt_set_use(void *context, const char *component, const char *version);
int kt_set_each_link(const struct kt_store *store, const char *version, kt_set_use *use, void *context);

/* Calls visit(context, root, version) for each set that is there, newest first. */
int kt_set_list(const struct kt_store *store, kt_visit *visit, void *context);

#endif
