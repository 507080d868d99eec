/* What km needs of the host, as a table of rules over facts that were read once. The first rule that is broken is the
 * verdict; all facts are reported whatever it is. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../kvm/cpu.h"
#include "../kvm/modules.h"
#include "host.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"
#include "kontain/node/node.h"
#include "security.h"

/* km maps its payload from 2 MiB down to there; the kernel's own default is 65536. */
#define MMAP_MIN_ADDR_MOST 131072
/* km keeps a table of 1024 open files. */
#define FILE_LIMIT_LEAST 1024
/* openat2(2) is of 5.6; since 5.8 syncfs(2) reports write-back errors, on which the store relies. km itself: 4.15. */
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

static void show_kernel(const struct kt_host_facts *facts, char *value, size_t size)
{
	(void)snprintf(value, size, "Linux %s", facts->state->kernel);
}

static void show_xsave(const struct kt_host_facts *facts, char *value, size_t size)
{
	(void)snprintf(value, size, "%s", facts->state->xsave ? "yes" : "no");
}

static void show_proc(const struct kt_host_facts *facts, char *value, size_t size)
{
	(void)snprintf(value, size, "%s", facts->proc_code == 0 ? "mounted" : strerror(-facts->proc_code));
}

static void show_mmap_min_addr(const struct kt_host_facts *facts, char *value, size_t size)
{
	if (facts->proc_code == 0)
		(void)snprintf(value, size, "%" PRIu64, facts->state->mmap_min_addr);
	else
		(void)snprintf(value, size, "unknown without /proc");
}

static void show_file_limit(const struct kt_host_facts *facts, char *value, size_t size)
{
	if (facts->state->file_limit == UINT64_MAX)
		(void)snprintf(value, size, "no limit");
	else
		(void)snprintf(value, size, "%" PRIu64, facts->state->file_limit);
}

static const struct {
	const char *name;
	int (*judge)(const struct kt_host_facts *facts, struct kt_error *err);
	void (*show)(const struct kt_host_facts *facts, char *value, size_t size);
} rules[] = {
	{"kernel", rule_kernel, show_kernel},
	{"XSAVE", rule_xsave, show_xsave},
	{"proc", rule_proc, show_proc},
	{"vm.mmap_min_addr", rule_mmap_min_addr, show_mmap_min_addr},
	{"open files", rule_file_limit, show_file_limit},
};
#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

int kt_host_judge(const struct kt_host_facts *facts, struct kt_error *err)
{
	int r = 0;

	for (size_t i = 0; i < RULE_COUNT && r == 0; i++)
		r = rules[i].judge(facts, err);
	return r;
}

static void note(struct kt_checks *checks, const char *name, const char *value, const char *more)
{
	struct kt_check *check = kt_checks_add(checks, name);

	check->result = KT_CHECK_NOTE;
	(void)snprintf(check->value, sizeof(check->value), "%s%s", value, more);
}

void kt_host_check(const struct kt_host_facts *facts, struct kt_checks *checks)
{
	const struct kt_state_host *state = facts->state;

	for (size_t i = 0; i < RULE_COUNT; i++) {
		struct kt_check *check = kt_checks_add(checks, rules[i].name);
		struct kt_error err = {.reason = KT_REASON_NONE};

		rules[i].show(facts, check->value, sizeof(check->value));
		if (rules[i].judge(facts, &err) == 0)
			check->result = KT_CHECK_OK;
		else
			kt_check_fail(check, &err);
	}
	note(checks, "CPU", state->cpu_model[0] != '\0' ? state->cpu_model : state->cpu_vendor,
	     state->virt_flag ? ", with svm or vmx" : ", without svm or vmx");
	note(checks, "hypervisor",
	     state->hypervisor[0] != '\0' ? kt_cpu_hypervisor_name(state->hypervisor) : "none: bare metal", "");
	note(checks, "confidential guest", state->confidential, "");
	note(checks, "SELinux", state->selinux, "");
	note(checks, "lockdown", state->lockdown, "");
	note(checks, "modules", state->modules, "");
}

static void read_cpu(const char *host, struct kt_state_host *state)
{
	struct kt_modules modules;
	struct kt_cpu cpu;

	kt_cpu_read(&cpu);
	(void)snprintf(state->cpu_vendor, sizeof(state->cpu_vendor), "%s", cpu.vendor);
	(void)snprintf(state->cpu_model, sizeof(state->cpu_model), "%s", cpu.model);
	(void)snprintf(state->hypervisor, sizeof(state->hypervisor), "%s", cpu.hypervisor);
	(void)snprintf(state->confidential, sizeof(state->confidential), "%s", cpu.confidential);
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

void kt_host_look(const char *host, struct kt_state_host *ret_host, struct kt_checks *ret_checks)
{
	struct kt_state_host state = {.probed = true, .file_limit = file_limit()};
	struct kt_host_facts facts = {.host = host, .state = &state};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct utsname kernel;
	char number[32];

	if (uname(&kernel) == 0)
		(void)snprintf(state.kernel, sizeof(state.kernel), "%.*s", (int)sizeof(state.kernel) - 1,
			       kernel.release);
	read_cpu(host, &state);
	kt_selinux_read(host, state.selinux);
	kt_lockdown_read(host, state.lockdown);
	facts.proc_code = kt_proc_read(host, "sys/vm/mmap_min_addr", number, sizeof(number));
	if (facts.proc_code > 0) {
		state.mmap_min_addr = strtoull(number, NULL, 10);
		facts.proc_code = 0;
	}
	if (kt_host_judge(&facts, &err) == 0)
		kt_verdict_set(&state.verdict, true, KT_REASON_READY, "Linux %s on %s", state.kernel,
			       state.cpu_model[0] != '\0' ? state.cpu_model : state.cpu_vendor);
	else
		kt_verdict_fail(&state.verdict, &err);
	if (ret_checks)
		kt_host_check(&facts, ret_checks);
	*ret_host = state;
}

void kt_host_probe(const struct kt_node_paths *paths, struct kt_state_host *ret_host)
{
	kt_host_look(paths->host, ret_host, NULL);
}
