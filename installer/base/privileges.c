#include "kontain/base/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int kt_privileges_keep(uint64_t capabilities, struct kt_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot give up new privileges");
	if (syscall(SYS_capget, &header, sets) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot read capabilities");
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].permitted &= (uint32_t)(capabilities >> 32 * i);
		sets[i].effective = sets[i].permitted;
		sets[i].inheritable = 0;
	}
	/* The bounding set takes CAP_SETPCAP; without it, and without new privileges, the set has nothing to bound. */
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		prctl(PR_CAPBSET_DROP, capability);
	if (syscall(SYS_capset, &header, sets) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot drop capabilities");
	return 0;
}
