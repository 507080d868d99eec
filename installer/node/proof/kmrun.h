/* One run of km in the proof's view. */
#ifndef KT_NODE_KMRUN_H
#define KT_NODE_KMRUN_H

#include <stdbool.h>

#include "kontain/base/child.h"
#include "kontain/base/error.h"
#include "view.h"

/* How it ended. output and errors are in child. */
struct kt_km_end {
	bool timed_out;
	int exit_status; /* -1 when ended by a signal */
	int signal;
	struct kt_child_result child; /* owned; its own exit status says nothing here */
};

/* Runs km with argv (argv[0] is KT_VIEW_KM) as nobody. 0 when km was started, however it ended; else why it was not:
 * KmFailed when it cannot be executed, NoVersion when it is not there, and what is wrong with device or store.
 * StuckInKernel when it was killed and does not go. This process inherits what its children leave from then on. */
int kt_km_run(const struct kt_view *view, const char *const argv[], unsigned timeout_ms, struct kt_km_end *ret_end,
	      struct kt_error *err);
void kt_km_end_done(struct kt_km_end *end); /* for KT_OWN */

#endif
