/* The one door: whatever leaves the store, or gives its place to another, goes through here.
 *
 * It leaves its place by one rename to .kept-<n>-<place> in the root, synced, so that it is there whole or not at all.
 * Only then is asked who uses it, as nobody can come to it by name any more; who has it keeps all of it, bytes, modes
 * and inodes, until a later reconcile finds that nobody does. What nobody uses is removed at once. */
#ifndef KT_STORE_DOOR_H
#define KT_STORE_DOOR_H

#include "layout.h"

/* Takes a path out of its place; a missing one is 0. It is removed by the next kt_store_clear. Where the filesystem
 * cannot rename it (EXDEV: the lower layer of an overlay), it is removed where it lies, what makes it be there first:
 * then InUse while anybody uses it, unless is_forced. */
int kt_store_retire(const struct kt_store *store, const char *path, bool is_forced, struct kt_error *err);

/* Puts a synced partial into its place and syncs both directories. What lies there already is exchanged, and kept or
 * removed by the next kt_store_clear. 1 when there was something, 0 when there was nothing. */
int kt_store_publish(const struct kt_store *store, const char *partial, const char *place, struct kt_error *err);
/* Will kt_store_publish be able to? Asked before anything is copied. StoreUnsupported when something lies there that
 * serves now and that this filesystem cannot exchange. */
int kt_store_can_publish(const struct kt_store *store, const char *place, struct kt_error *err);

/* Exchanges what lies at `name` in the root, which serves, for a link to target; the old is kept as above. */
int kt_store_exchange_link(const struct kt_store *store, const char *name, const char *target, struct kt_error *err);
int kt_store_can_exchange(const struct kt_store *store, const char *name, struct kt_error *err);

/* Removes what was taken out of its place and is used by nobody. What stays, and by whom, is reported (ret_kept may be
 * NULL); so is what cannot be removed, and that is no failure. Lock held. */
int kt_store_clear(const struct kt_store *store, struct kt_state_kept *ret_kept, struct kt_error *err);
/* The same by users that were found just now; NULL: whoever uses it. */
int kt_store_clear_unused(const struct kt_store *store, const struct kt_users *users, struct kt_state_kept *ret_kept,
			  struct kt_error *err);

bool kt_store_is_kept(const char *name);

#endif
