/* What is known of the trees that lie here: .seen-<part>-<version> in the root, one for each component's version, and
 * ("set") one for each set, which says no more than its manifest's digest. Written by a landing, which knows what it
 * wrote and read back, and by a verification. */
#ifndef KT_STORE_SEEN_H
#define KT_STORE_SEEN_H

#include "kontain/bundle/treecheck.h"
#include "layout.h"

#define KT_STORE_SEEN ".seen-"
#define KT_SEEN_SET   "set"

/* -ENOENT when there is none, or none that can be read. */
int kt_seen_read(const struct kt_store *store, const char *part, const char *version, struct kt_seen *ret_seen);
/* Lock held. */
int kt_seen_write(const struct kt_store *store, const char *part, const char *version, const struct kt_seen *head,
		  const char *body, size_t body_size, struct kt_error *err);
/* Removes the caches of what is there no more. Lock held. */
int kt_seen_sweep(const struct kt_store *store);

#endif
