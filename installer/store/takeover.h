/* Taking over what kontain-installer of November 2026 landed. */
#ifndef KT_STORE_TAKEOVER_H
#define KT_STORE_TAKEOVER_H

#include "layout.h"

/* Makes lists of records, and of each set one of today's. Lock held; each step can be run again. What is current stays
 * so at every instant. */
int kt_store_take_over(const struct kt_store *store, struct kt_error *err);
/* The same where this set is an old one, with a lock of its own where none is held. */
int kt_store_take_over_if_old(const struct kt_store *store, const char *version, struct kt_error *err);
/* Is the current set an old one? Then the inventory says so: whole as far as names tell, never read, to be landed. */
bool kt_old_set_look(const struct kt_store *store, struct kt_inventory *inventory);

#endif
