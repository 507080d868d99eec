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

#define NOBODY 65534

/* What km starts with, whatever the agent's own limits are. It reserves far more memory than it uses, and asks for 1024
 * open files; a stack of the default size keeps the usual layout of its memory. */
static const struct {
	int resource;
	rlim_t soft;
	const char *name;
} limits[] = {
	{RLIMIT_CORE, 0, "core file"},
	{RLIMIT_NOFILE, 65536, "open files"},
	{RLIMIT_STACK, 8 << 20, "stack"},
	{RLIMIT_AS, RLIM_INFINITY, "address space"},
	{RLIMIT_DATA, RLIM_INFINITY, "data"},
	{RLIMIT_FSIZE, RLIM_INFINITY, "file size"},
	{RLIMIT_NPROC, RLIM_INFINITY, "processes"},
	{RLIMIT_CPU, RLIM_INFINITY, "processor time"}, /* the deadline is ours */
};

static int step_failed(const char *step, struct kt_error *err)
{
	return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot become nobody for the proof: %s", step);
}

/* The hard limit is raised where we may (CAP_SYS_RESOURCE), else the soft one goes as far as it lets. */
static int limit_set(int resource, rlim_t soft)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -1;
	if (soft > limit.rlim_max) {
		const struct rlimit raised = {soft, soft};

		if (setrlimit(resource, &raised) == 0)
			return 0;
	}
	limit.rlim_cur = soft < limit.rlim_max ? soft : limit.rlim_max;
	/* no program of nobody's can make its own core larger again */
	if (resource == RLIMIT_CORE)
		limit.rlim_max = soft;
	return setrlimit(resource, &limit);
}

static int limits_set(struct kt_error *err)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		if (limit_set(limits[i].resource, limits[i].soft) < 0)
			return step_failed(limits[i].name, err);
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
