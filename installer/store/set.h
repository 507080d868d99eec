/* A set: sets/<version>/, links into versions/, the bundle's extras, and the bundle's manifest, written last. */
#ifndef KT_STORE_SET_H
#define KT_STORE_SET_H

#include "copy.h"

#define KT_SET_EXTRAS "extras"

enum kt_set_state {
	KT_SET_MISSING,  /* nothing there, or nothing that counts: no manifest */
	KT_SET_SAME,     /* this bundle's manifest, links and extras as they must be */
	KT_SET_DAMAGED,  /* this version's, but not whole */
	KT_SET_OTHER,    /* another bundle of the same version */
};
int kt_set_look(const struct kt_store *store, const struct kt_bundle *bundle, enum kt_set_state *ret_state,
		struct kt_error *err);

/* Writes the whole set below `partial`, a name in the root; not synced. */
int kt_set_write(const struct kt_store *store, const struct kt_bundle *bundle, const char *partial, struct kt_copy *copy,
		 struct kt_error *err);

/* Is `version` there: a directory with a manifest? 1, 0, or -errno: on a disk that cannot be read it may be. */
int kt_set_exists(const struct kt_store *store, const char *version);

/* Calls use for each version of a component that a set's links name. Returns -errno or use's first non-zero. */
typedef int kt_set_use(void *context, const char *component, const char *version);
int kt_set_each_link(const struct kt_store *store, const char *version, kt_set_use *use, void *context);

/* Calls visit(context, root, version) for each set that is there, newest first. */
int kt_set_list(const struct kt_store *store, kt_visit *visit, void *context);

#endif
