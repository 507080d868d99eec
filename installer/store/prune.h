#ifndef KT_STORE_PRUNE_H
#define KT_STORE_PRUNE_H

#include "layout.h"

/* Removes each version of a component that no set names. */
int kt_store_drop_orphans(const struct kt_store *store, size_t *ret_removed, struct kt_error *err);

#endif
