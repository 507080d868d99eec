/* In the pod the container's security context has done all of this already; on a host, and in a manifest that somebody
 * changed, nobody has. By system calls alone: this process keeps its libraries few. */
#include "confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int kt_daemon_confine(struct kt_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot give up new privileges");
	/* The bounding set takes CAP_SETPCAP; without it, and without new privileges, the set has nothing to bound. */
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		prctl(PR_CAPBSET_DROP, capability);
	if (syscall(SYS_capset, &header, none) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot drop capabilities");
	return 0;
}
