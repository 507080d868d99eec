/* What the end of a run under km says. Pure: no clock, no disk. */
#ifndef KT_NODE_JUDGE_H
#define KT_NODE_JUDGE_H

#include <stdbool.h>

#include "kmrun.h"
#include "kontain/error.h"

/* A built-in payload: its status, its line, and km's suffix behind the release of this host. *hypervisor is "kvm" or
 * "kkm", *release what the payload was told; both are filled as far as known. KmHung, KmAborted, KmCrashed, KmKilled,
 * KmDeviceFailed, KmFailed, KmKernelTooOld, KmExitWrong, KmSilent, KmGarbled, KmPretends. */
int kt_judge_payload(const struct kt_km_end *end, const char *payload, const char *host_release, char hypervisor[8],
		     char release[96], struct kt_error *err);

/* The set's own self-test: exit 0, and the first line is `expect` where that is not empty. SelfTestFailed, or KmKilled:
 * that is not the bundle's fault. */
int kt_judge_own(const struct kt_km_end *end, const char *program, const char *expect, struct kt_error *err);

#endif
