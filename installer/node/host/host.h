/* The host's rules, apart from reading its facts. */
#ifndef KT_NODE_HOST_H
#define KT_NODE_HOST_H

#include <stdbool.h>

#include "kontain/base/error.h"
#include "kontain/contract/checks.h"
#include "kontain/contract/state.h"

struct kt_host_facts {
	const char *host;                  /* borrowed: prefix of the host's paths */
	const struct kt_state_host *state; /* borrowed */
	int proc_code;                     /* 0, or the -errno of reading HOST/proc */
};

/* "6.1.0-18-amd64" is 6.1. */
bool kt_host_kernel_is_new_enough(const char *release);

/* KernelTooOld, XsaveMissing, ProcMissing, MmapMinAddr or FileLimit: the first rule that is broken. Pure. */
int kt_host_judge(const struct kt_host_facts *facts, struct kt_error *err);

/* Each rule as a row, all of them judged, and then the facts that no rule is about. Pure. */
void kt_host_check(const struct kt_host_facts *facts, struct kt_checks *checks);

/* Reads the facts, judges them, and adds the rows to ret_checks (NULL: none). */
void kt_host_look(const char *host, struct kt_state_host *ret_host, struct kt_checks *ret_checks);

#endif
