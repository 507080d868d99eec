/* Why the kernel loads no module, or not that one: what its EPERM does not say. */
#ifndef KT_NODE_REFUSAL_H
#define KT_NODE_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

#include "kontain/base/error.h"

struct kt_refusal {
	bool lacks_capability; /* this process has no CAP_SYS_MODULE */
	bool is_disabled;      /* kernel.modules_disabled */
	char blacklist[512];   /* module_blacklist= as the kernel took it; "" without */
	char lockdown[24];     /* none, integrity or confidentiality; "" where the kernel has no lockdown */
};

void kt_refusal_read(const char *host, struct kt_refusal *ret_refusal);

/* "[none] integrity confidentiality" is none; "" for any other text. Pure. */
void kt_refusal_lockdown_parse(const char *text, char *mode, size_t size);

/* Certain before loading is tried: 0, or ModuleBlocked. Pure. */
int kt_refusal_foresee(const struct kt_refusal *refusal, const char *module, struct kt_error *err);

/* The kernel did refuse it: always ModuleBlocked. Pure. */
int kt_refusal_explain(const struct kt_refusal *refusal, const char *module, struct kt_error *err);

#endif
