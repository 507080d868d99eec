/* finit_module(2) has one answer for four causes. They are distinguished by asking for each, in the kernel's own
 * order but for the last two: a name on the list is the surer sign, as a kernel in lockdown still loads what is
 * signed well. */
#include "refusal.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kontain/base/proc.h"

/* A parameter of the kernel that nobody gave. */
#define NOT_GIVEN "(null)"

void kt_refusal_lockdown_parse(const char *text, char *mode, size_t size)
{
	const char *start = strchr(text, '[');
	size_t length = start ? strcspn(start + 1, "] \n") : 0;

	mode[0] = '\0';
	if (length > 0 && length < size && start[1 + length] == ']')
		(void)snprintf(mode, size, "%.*s", (int)length, start + 1);
}

static bool is_capable(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{.effective = 0}};

	return syscall(SYS_capget, &header, data) == 0 && (data[0].effective & (1u << CAP_SYS_MODULE));
}

/* A container's root may lack the host's /sys; its own is the same kernel's. */
static int sys_read(const char *host, const char *path, char *text, size_t size)
{
	int r = kt_sys_read(host, path, text, size);

	return r < 0 && host[0] != '\0' ? kt_sys_read("", path, text, size) : r;
}

void kt_refusal_read(const char *host, struct kt_refusal *ret_refusal)
{
	struct kt_refusal refusal = {.lacks_capability = !is_capable()};
	char text[128];

	refusal.is_disabled =
		kt_proc_read(host, "sys/kernel/modules_disabled", text, sizeof(text)) > 0 && strcmp(text, "1") == 0;
	if (sys_read(host, "module/kernel/parameters/module_blacklist", refusal.blacklist, sizeof(refusal.blacklist)) <
		    0 ||
	    strcmp(refusal.blacklist, NOT_GIVEN) == 0)
		refusal.blacklist[0] = '\0';
	if (sys_read(host, "kernel/security/lockdown", text, sizeof(text)) > 0)
		kt_refusal_lockdown_parse(text, refusal.lockdown, sizeof(refusal.lockdown));
	*ret_refusal = refusal;
}

static bool is_incapable(const struct kt_refusal *refusal, const char *module)
{
	(void)module;
	return refusal->lacks_capability;
}

static bool is_disabled(const struct kt_refusal *refusal, const char *module)
{
	(void)module;
	return refusal->is_disabled;
}

/* As the kernel compares: whole words between commas, a dash is not an underscore (blacklisted() of kernel/module). */
static bool is_listed(const struct kt_refusal *refusal, const char *module)
{
	const char *word = refusal->blacklist;

	while (*word) {
		size_t length = strcspn(word, ",");

		if (length == strlen(module) && strncmp(word, module, length) == 0)
			return true;
		word += length;
		word += *word == ',';
	}
	return false;
}

static bool is_locked_down(const struct kt_refusal *refusal, const char *module)
{
	(void)module;
	return refusal->lockdown[0] != '\0' && strcmp(refusal->lockdown, "none") != 0;
}

static bool is_so(const struct kt_refusal *refusal, const char *module)
{
	(void)refusal, (void)module;
	return true;
}

/* The first that applies is the cause; the last applies always. */
static const struct {
	bool (*applies)(const struct kt_refusal *refusal, const char *module);
	bool is_certain;  /* whoever asks, and whatever the module's file is like */
	const char *text; /* behind the module's name */
} causes[] = {
	{is_incapable, false,
	 "cannot be loaded without CAP_SYS_MODULE: give the container that capability, or load it on the host"},
	{is_disabled, true,
	 "cannot be loaded any more: kernel.modules_disabled is 1 until the next boot; load it before that is set"},
	{is_listed, true, "is named by module_blacklist= on the kernel command line"},
	{is_locked_down, false,
	 "has no signature, and the kernel is in lockdown: use the distribution's signed modules"},
	{is_so, false,
	 "is refused by the kernel, which does not say why: a user namespace or a seccomp filter may do it"},
};

#define CAUSE_COUNT (sizeof(causes) / sizeof(causes[0]))

static int cause_tell(size_t i, const char *module, struct kt_error *err)
{
	return kt_fail(err, EPERM, KT_REASON_MODULE_BLOCKED, "the module %s %s", module, causes[i].text);
}

int kt_refusal_foresee(const struct kt_refusal *refusal, const char *module, struct kt_error *err)
{
	for (size_t i = 0; i < CAUSE_COUNT; i++)
		if (causes[i].is_certain && causes[i].applies(refusal, module))
			return cause_tell(i, module, err);
	return 0;
}

int kt_refusal_explain(const struct kt_refusal *refusal, const char *module, struct kt_error *err)
{
	size_t i = 0;

	while (!causes[i].applies(refusal, module))
		i++;
	return cause_tell(i, module, err);
}
