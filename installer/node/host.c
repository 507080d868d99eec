/* What km needs of the host, as a table of rules over facts that were read once. The first rule that is broken is the
 * verdict; all facts are told whatever it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cpu.h"
#include "host.h"
#include "kontain/node.h"
#include "kontain/own.h"
#include "kontain/proc.h"
#include "modules.h"

/* km maps its payload from 2 MiB down to there; the kernel's own default is 65536. */
#define MMAP_MIN_ADDR_MOST 131072
/* km keeps a table of 1024 open files. */
#define FILE_LIMIT_LEAST 1024
/* openat2(2) is of 5.6; since 5.8 syncfs(2) tells of write-back errors, on which the store relies. km itself: 4.15. */
#define KERNEL_MAJOR_LEAST 5
#define KERNEL_MINOR_LEAST 8

bool kt_host_kernel_is_new_enough(const char *release)
{
	char *end;
	unsigned long major = strtoul(release, &end, 10), minor = 0;

	if (release[0] < '0' || release[0] > '9')
		return false;
	if (*end == '.')
		minor = strtoul(end + 1, NULL, 10);
	return major > KERNEL_MAJOR_LEAST || (major == KERNEL_MAJOR_LEAST && minor >= KERNEL_MINOR_LEAST);
}

static int rule_kernel(const struct kt_host_facts *facts, struct kt_error *err)
{
	if (kt_host_kernel_is_new_enough(facts->state->kernel))
		return 0;
	return kt_fail(err, ENOSYS, KT_REASON_KERNEL_TOO_OLD, "Linux %s runs here, and Linux %d.%d or later is needed",
		       facts->state->kernel, KERNEL_MAJOR_LEAST, KERNEL_MINOR_LEAST);
}

static int rule_xsave(const struct kt_host_facts *facts, struct kt_error *err)
{
	if (facts->state->xsave)
		return 0;
	return kt_fail(err, EOPNOTSUPP, KT_REASON_XSAVE_MISSING,
		       "the CPU (%s) has no XSAVE, or the kernel has it switched off: km would hang",
		       facts->state->cpu_model[0] != '\0' ? facts->state->cpu_model : "unknown");
}

static int rule_proc(const struct kt_host_facts *facts, struct kt_error *err)
{
	if (facts->proc_code == 0)
		return 0;
	return kt_fail(err, -facts->proc_code, KT_REASON_PROC_MISSING,
		       "%s/proc is not a proc file system, and km dies without", facts->host);
}

static int rule_mmap_min_addr(const struct kt_host_facts *facts, struct kt_error *err)
{
	if (facts->state->mmap_min_addr <= MMAP_MIN_ADDR_MOST)
		return 0;
	return kt_fail(err, EPERM, KT_REASON_MMAP_MIN_ADDR,
		       "vm.mmap_min_addr is %" PRIu64 ", and km needs it at %d or less", facts->state->mmap_min_addr,
		       MMAP_MIN_ADDR_MOST);
}

static int rule_file_limit(const struct kt_host_facts *facts, struct kt_error *err)
{
	if (facts->state->file_limit >= FILE_LIMIT_LEAST)
		return 0;
	return kt_fail(err, EMFILE, KT_REASON_FILE_LIMIT,
		       "a process may open %" PRIu64 " files here (ulimit -n), and km needs %d",
		       facts->state->file_limit, FILE_LIMIT_LEAST);
}

static int (*const rules[])(const struct kt_host_facts *facts, struct kt_error *err) = {
	rule_kernel, rule_xsave, rule_proc, rule_mmap_min_addr, rule_file_limit,
};

int kt_host_judge(const struct kt_host_facts *facts, struct kt_error *err)
{
	int r = 0;

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && r == 0; i++)
		r = rules[i](facts, err);
	return r;
}

static void read_cpu(const char *host, struct kt_state_host *state)
{
	struct kt_modules modules;
	struct kt_cpu cpu;

	kt_cpu_read(&cpu);
	(void)snprintf(state->cpu_vendor, sizeof(state->cpu_vendor), "%s", cpu.vendor);
	(void)snprintf(state->cpu_model, sizeof(state->cpu_model), "%s", cpu.model);
	(void)snprintf(state->hypervisor, sizeof(state->hypervisor), "%s", cpu.hypervisor);
	state->virt_flag = cpu.virt_flag;
	state->xsave = cpu.xsave;
	kt_modules_look(host, cpu.vendor, &modules);
	kt_modules_describe(&modules, state->modules, sizeof(state->modules));
}

/* The soft limit: it is what a pod's processes start with, and this process started with the same. */
static uint64_t file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 0;
	return limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
}

void kt_host_probe(const struct kt_node_paths *paths, struct kt_state_host *ret_host)
{
	struct kt_state_host state = {.probed = true, .file_limit = file_limit()};
	struct kt_host_facts facts = {.host = paths->host, .state = &state};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct utsname kernel;
	char number[32];

	if (uname(&kernel) == 0)
		(void)snprintf(state.kernel, sizeof(state.kernel), "%.*s", (int)sizeof(state.kernel) - 1,
			       kernel.release);
	read_cpu(paths->host, &state);
	facts.proc_code = kt_proc_read(paths->host, "sys/vm/mmap_min_addr", number, sizeof(number));
	if (facts.proc_code > 0) {
		state.mmap_min_addr = strtoull(number, NULL, 10);
		facts.proc_code = 0;
	}
	if (kt_host_judge(&facts, &err) == 0)
		kt_verdict_set(&state.verdict, true, KT_REASON_READY, "Linux %s on %s", state.kernel,
			       state.cpu_model[0] != '\0' ? state.cpu_model : state.cpu_vendor);
	else
		kt_verdict_fail(&state.verdict, &err);
	*ret_host = state;
}
