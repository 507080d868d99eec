/* A job as a process: this program again, with its order on stdin. */
#ifndef KT_JOBS_SPAWN_H
#define KT_JOBS_SPAWN_H

#include <sys/types.h>

#include "installer.h"
#include "kontain/base/child.h"
#include "kontain/contract/message.h"

/* The word behind a job's name that says: the order is on stdin. */
#define KT_ORDER_OPTION "--order"

/* Runs it and waits. ret_result's output is the last whole line that it wrote, which is its answer. */
int kt_spawn_run(const struct kt_installer *installer, const struct kt_request *request,
		 struct kt_child_result *ret_result, struct kt_error *err);
/* Starts it, see kt_child_start. */
int kt_spawn_start(const struct kt_installer *installer, const struct kt_request *request, pid_t *ret_pid,
		   int *ret_pidfd, struct kt_error *err);

/* In the job: takes the order from stdin. *ret_order must live as long as *ret_installer, which borrows its texts. */
int kt_spawn_take_order(struct kt_order *ret_order, struct kt_installer *ret_installer, struct kt_error *err);

#endif
