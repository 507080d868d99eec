/* What the end of a run under km says. Pure: no clock, no disk. */
#ifndef KT_NODE_JUDGE_H
#define KT_NODE_JUDGE_H

#include <stdbool.h>

#include "kmrun.h"
#include "kontain/base/error.h"

/* Of km's output that is quoted, NUL included. */
#define KT_JUDGE_WORDS_MAX 257

/* True when km ended because KVM could not emulate an instruction of the guest's; the line that says so is in words. It
 * means that this KVM emulates where integer code ran before. */
bool kt_judge_is_emulation(const struct kt_km_end *end, char words[KT_JUDGE_WORDS_MAX]);

/* A built-in payload: its status, its line, and km's suffix behind the release of this host. *hypervisor is "kvm" or
 * "kkm", or "" where the release leaves no room for that part of the suffix; *release what the payload was given.
 * Both are filled as far as known. KmHung, KmAborted, KmCrashed, KmKilled, KmExitWrong, KmSilent, KmGarbled,
 * KmPretends; by km's words KmDeviceFailed, KmKernelTooOld, Busy, KmOutOfResources, and KmFailed where they say
 * nothing that we know. */
int kt_judge_payload(const struct kt_km_end *end, const char *payload, const char *host_release, char hypervisor[8],
		     char release[96], struct kt_error *err);

/* False for an end that says nothing against a bundle whose km ran a payload before: what passes, and trouble with
 * KVM. */
bool kt_judge_blames_bundle(enum kt_reason reason);

/* The set's own self-test: exit 0, and the first line is `expect` where that is not empty. SelfTestFailed, or a reason
 * that is not the bundle's fault: KmKilled, KmHung, or by km's words KmDeviceFailed, Busy, KmOutOfResources. */
int kt_judge_own(const struct kt_km_end *end, const char *program, const char *expect, struct kt_error *err);

#endif
