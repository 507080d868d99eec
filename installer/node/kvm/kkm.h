/* Kontain's own kernel module, which lets km run where the CPU's virtualization is not to be had. */
#ifndef KT_NODE_KKM_H
#define KT_NODE_KKM_H

#include <sys/types.h>

#include "kontain/base/error.h"

struct kt_kkm {
	char node[16]; /* in the device folder; "" while none was seen */
	dev_t number;
	mode_t mode;
	int api_version;
};

/* The first of dev/kontain and dev/kkm that is a device, as km looks for them, and whether the module answers there.
 * host is the prefix of host paths, for messages. -ENOENT with DeviceMissing: there is none; else KkmFailed or
 * PermissionDenied, with *ret_kkm saying where. */
int kt_kkm_find(const char *host, const char *dev, struct kt_kkm *ret_kkm, struct kt_error *err);

#endif
