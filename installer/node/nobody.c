/* A pod of the least rights, and less. What must hold afterwards is looked at, not believed. */
#include "nobody.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY           65534
#define FILE_LIMIT_LEAST 1024 /* km's own; see host.c for what the node says of it */

static int step_failed(const char *step, struct kt_error *err)
{
	return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot become nobody for the proof: %s", step);
}

static int limits_set(struct kt_error *err)
{
	const struct rlimit no_core = {0, 0};
	struct rlimit files;

	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return step_failed("limits", err);
	if (files.rlim_cur < FILE_LIMIT_LEAST) {
		files.rlim_cur = files.rlim_max < FILE_LIMIT_LEAST ? files.rlim_max : FILE_LIMIT_LEAST;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			return step_failed("open files", err);
	}
	return 0;
}

/* Until the kernel knows no further capability. */
static int bounds_drop(struct kt_error *err)
{
	for (unsigned long number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; number++)
		if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0) < 0)
			return step_failed("bounding set", err);
	return 0;
}

static int capabilities_drop(struct kt_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	memset(sets, 0, sizeof(sets));
	if (syscall(SYS_capset, &header, sets) < 0)
		return step_failed("capabilities", err);
	return 0;
}

static int rights_check(struct kt_error *err)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	uid_t real, effective, saved;

	if (getresuid(&real, &effective, &saved) < 0 || syscall(SYS_capget, &header, sets) < 0)
		return step_failed("look at the result", err);
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		if (sets[i].effective | sets[i].permitted | sets[i].inheritable)
			return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot become nobody: a capability stays");
	if (real != NOBODY || effective != NOBODY || saved != NOBODY || getgroups(0, NULL) != 0 ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot become nobody: some of root stays");
	return 0;
}

int kt_nobody_become(struct kt_error *err)
{
	int r = limits_set(err);

	if (r == 0)
		r = bounds_drop(err);
	if (r < 0)
		return r;
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		return step_failed("identity", err);
	r = capabilities_drop(err);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return step_failed("no_new_privs", err);
	return rights_check(err);
}
