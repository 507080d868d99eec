/* The root that a payload of the proof sees: nothing of the host but the store. */
#ifndef KT_NODE_VIEW_H
#define KT_NODE_VIEW_H

#include <stddef.h>

#include "kontain/base/error.h"

#define KT_VIEW_STORE   "/opt/kontain"
#define KT_VIEW_KM      KT_VIEW_STORE "/bin/km"
#define KT_VIEW_PAYLOAD "/payload"
#define KT_VIEW_LIBC    KT_VIEW_STORE "/runtime/libc.so"

struct kt_view {
	const char *store_path; /* borrowed, as the caller reaches it */
	const char *version;    /* borrowed; NULL: the store as it is, through its live links */
	const char *dev;        /* borrowed; where the real device node is */
	const void *payload;    /* borrowed; NULL: none */
	size_t payload_size;
	const char *wanted; /* borrowed; a path in the view that must be there; NULL: none */
};

/* Builds the view and makes it this process's root. The caller has left its mount and PID namespaces. -ENOPKG when what
 * is wanted is not there. */
int kt_view_enter(const struct kt_view *view, struct kt_error *err);

#endif
