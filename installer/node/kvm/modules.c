/* The only file that knows libkmod.
 *
 * Everything is read below the host's root: modules and their index in /lib/modules/RELEASE, rules in modprobe.d. Rules
 * are data to us: an `install` line is a command for a shell, written for the host's root and not for ours, so it is
 * never run; a module that has one is reported as blocked.
 *
 * What is loaded is sysfs' word, not libkmod's: without an index (images without /lib/modules) libkmod takes a built-in
 * module for one that is just coming. */
#include "modules.h"

#include <errno.h>
#include <libkmod.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kontain/base/own.h"
#include "kontain/base/proc.h"

/* Ours: the kernel says none of them. */
#define INSTALL_REFUSED (-ECANCELED) /* from install_refuse */
#define RENAMED         (-ELIBBAD)   /* an alias leads to another name */
#define SYMBOL_LACKING  (-ENOLINK)   /* ENOENT although the file is there */

static const char *const module_places[] = {"lib/modules", "usr/lib/modules"};

/* modprobe.d(5); of two files of one name the first counts */
static const char *const rule_places[] = {"etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d",
					  "usr/lib/modprobe.d", "lib/modprobe.d"};

#define RULE_PLACES (sizeof(rule_places) / sizeof(rule_places[0]))

static const struct {
	const char *cpu_vendor;
	const char *module;
} vendors[] = {
	{"AuthenticAMD", "kvm_amd"},   {"HygonGenuine", "kvm_amd"}, {"GenuineIntel", "kvm_intel"},
	{"CentaurHauls", "kvm_intel"}, {"Shanghai", "kvm_intel"},
};

static const char *const state_names[] = {
	[KT_MODULE_MISSING] = "missing", [KT_MODULE_BLOCKED] = "blocked", [KT_MODULE_AVAILABLE] = "not loaded",
	[KT_MODULE_LOADING] = "loading", [KT_MODULE_LOADED] = "loaded",   [KT_MODULE_BUILTIN] = "builtin",
};

/* Each answer was seen on a real kernel (tests/vm), but for those marked; the first row that fits counts, and the last
 * fits always. EPERM is refusal.c's. */
static const struct {
	int code;
	enum kt_reason reason;
	int error;
	const char *text; /* behind the module's name */
} answers[] = {
	{KMOD_PROBE_APPLY_BLACKLIST, KT_REASON_MODULE_BLOCKED, EPERM,
	 "is blacklisted in modprobe.d or by modprobe.blacklist= on the kernel command line"},
	{INSTALL_REFUSED, KT_REASON_MODULE_BLOCKED, EPERM,
	 "has an install command in modprobe.d, which is not run from here: take it out, or load it on the host"},
	{RENAMED, KT_REASON_MODULE_BLOCKED, EPERM, "is turned into another one by an alias line in modprobe.d"},
	{-EACCES, KT_REASON_MODULE_BLOCKED, EACCES, /* not seen: it takes SELinux or LoadPin */
	 "is refused by a security module of the kernel: look at its log"},
	{-EOPNOTSUPP, KT_REASON_VIRTUALIZATION_DISABLED, EOPNOTSUPP,
	 "finds no hardware virtualization that it may use on this CPU"},
	{-EIO, KT_REASON_VIRTUALIZATION_DISABLED,
	 EIO, /* not seen: kvm_intel under a hypervisor that offers too little */
	 "finds hardware virtualization on this CPU, but lacks features of it"},
	{-ENOENT, KT_REASON_MODULE_MISSING, ENOENT,
	 "is in the index of /lib/modules, but its file is not there: install the kernel's package anew"},
	{SYMBOL_LACKING, KT_REASON_MODULE_MISSING, ENOENT,
	 "wants symbols that nothing loaded has: a module that it needs is not there, or it was built for another "
	 "kernel"},
	{-ENOEXEC, KT_REASON_MODULE_MISSING, ENOEXEC, "is damaged, or was built for another kernel"},
	{-EKEYREJECTED, KT_REASON_MODULE_BLOCKED, EKEYREJECTED,
	 "has no signature that this kernel accepts: it was altered, or is not the distribution's"},
	{-ENOKEY, KT_REASON_MODULE_BLOCKED, ENOKEY, "is signed by a key that this kernel does not know"},
	{-EINVAL, KT_REASON_MODULE_BLOCKED, EINVAL,
	 "refuses an option that modprobe.d or the kernel command line gives it"},
	{0, KT_REASON_MODULE_BLOCKED, EIO, "cannot be loaded"},
};

static void context_drop(struct kmod_ctx **context)
{
	int saved = errno;

	if (*context)
		(void)kmod_unref(*context);
	errno = saved;
}

static void list_drop(struct kmod_list **list)
{
	(void)kmod_module_unref_list(*list);
}

static void module_drop(struct kmod_module **module)
{
	if (*module)
		(void)kmod_module_unref(*module);
}

/* libkmod speaks on stderr by default. */
static void log_nothing(void *data, int priority, const char *file, int line, const char *function, const char *format,
			va_list args)
{
	(void)data, (void)priority, (void)file, (void)line, (void)function, (void)format, (void)args;
}

static int install_refuse(struct kmod_module *module, const char *command, void *data)
{
	(void)module, (void)command, (void)data;
	return INSTALL_REFUSED;
}

/* NULL when memory is gone. A folder that is not there is an empty index. */
static struct kmod_ctx *context_open(const char *host)
{
	char modules[PATH_MAX], rules[RULE_PLACES][PATH_MAX];
	const char *paths[RULE_PLACES + 1] = {NULL};
	struct utsname kernel;

	if (uname(&kernel) < 0)
		return NULL;
	for (size_t i = 0; i < sizeof(module_places) / sizeof(module_places[0]); i++) {
		(void)snprintf(modules, sizeof(modules), "%s/%s/%s", host, module_places[i], kernel.release);
		if (access(modules, F_OK) == 0)
			break;
	}
	for (size_t i = 0; i < RULE_PLACES; i++) {
		(void)snprintf(rules[i], sizeof(rules[i]), "%s/%s", host, rule_places[i]);
		paths[i] = rules[i];
	}

	struct kmod_ctx *context = kmod_new(modules, paths);

	if (context)
		kmod_set_log_fn(context, log_nothing, NULL);
	return context;
}

/* The module of that name: owned, or NULL where there is none. *ret_code is what libkmod said. */
static struct kmod_module *module_find(struct kmod_ctx *context, const char *name, int *ret_code)
{
	KT_OWN(list_drop) struct kmod_list *list = NULL;

	*ret_code = kmod_module_new_from_lookup(context, name, &list);
	return *ret_code < 0 || !list ? NULL : kmod_module_get_module(list);
}

/* -1: sysfs does not know it. */
static int state_in_sysfs(const char *host, const char *name)
{
	KT_OWN(kt_close_fd) int sys = kt_sys_open(host);
	char path[96], word[16];
	int r;

	(void)snprintf(path, sizeof(path), "module/%.64s", name);
	if (sys < 0 || faccessat(sys, path, F_OK, 0) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "module/%.64s/initstate", name);
	r = kt_sys_read(host, path, word, sizeof(word));
	if (r == -ENOENT) /* modules that were loaded have this file, what is linked into the kernel has not */
		return KT_MODULE_BUILTIN;
	if (r < 0)
		return KT_MODULE_LOADING;
	return strncmp(word, "live", 4) == 0 ? KT_MODULE_LOADED : KT_MODULE_LOADING;
}

static int state_in_kernel(const char *host, const char *name)
{
	int state = state_in_sysfs(host, name);

	/* in a container the host's /sys may not be below its root; ours is the same kernel's */
	return state < 0 && host[0] != '\0' ? state_in_sysfs("", name) : state;
}

static bool is_in_kernel(const char *host, const char *name)
{
	return state_in_kernel(host, name) >= KT_MODULE_LOADED;
}

static bool has_file(const struct kmod_module *module)
{
	const char *path = kmod_module_get_path(module);

	return path && access(path, F_OK) == 0;
}

static bool is_blacklisted(struct kmod_ctx *context, struct kmod_module *module)
{
	KT_OWN(list_drop) struct kmod_list *left = NULL;
	KT_OWN(list_drop) struct kmod_list *one = NULL;

	/* a list of one is had by asking for its name again */
	return kmod_module_new_from_lookup(context, kmod_module_get_name(module), &one) == 0 && one &&
	       kmod_module_apply_filter(context, KMOD_FILTER_BLACKLIST, one, &left) == 0 && !left;
}

/* What libkmod will answer, as far as the host's rules and files tell it: 0 for nothing that stands against it. */
static int module_foresee(struct kmod_ctx *context, struct kmod_module *module, const char *name)
{
	if (strcmp(kmod_module_get_name(module), name) != 0)
		return RENAMED;
	if (is_blacklisted(context, module))
		return KMOD_PROBE_APPLY_BLACKLIST;
	if (kmod_module_get_install_commands(module))
		return INSTALL_REFUSED;
	return has_file(module) ? 0 : -ENOENT;
}

static enum kt_module_state module_state(const char *host, struct kmod_ctx *context, const struct kt_refusal *refusal,
					 const char *name)
{
	int state = state_in_kernel(host, name), code;

	if (state >= 0 || !context)
		return state < 0 ? KT_MODULE_MISSING : (enum kt_module_state)state;

	KT_OWN(module_drop) struct kmod_module *module = module_find(context, name, &code);

	if (!module)
		return KT_MODULE_MISSING;
	code = module_foresee(context, module, name);
	if (code != RENAMED &&
	    !kmod_module_get_path(module)) /* one that is built in without parameters is not in sysfs */
		return kmod_module_get_initstate(module) == KMOD_MODULE_BUILTIN ? KT_MODULE_BUILTIN : KT_MODULE_MISSING;
	if (code == -ENOENT)
		return KT_MODULE_MISSING;
	return code != 0 || kt_refusal_foresee(refusal, name, KT_ERROR_IGNORED) < 0 ? KT_MODULE_BLOCKED :
										      KT_MODULE_AVAILABLE;
}

const char *kt_modules_vendor_name(const char *cpu_vendor)
{
	for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++)
		if (strcmp(vendors[i].cpu_vendor, cpu_vendor) == 0)
			return vendors[i].module;
	return NULL;
}

void kt_modules_look(const char *host, const char *cpu_vendor, struct kt_modules *ret_modules)
{
	KT_OWN(context_drop) struct kmod_ctx *context = context_open(host);
	struct kt_modules modules = {.vendor_name = kt_modules_vendor_name(cpu_vendor)};
	struct kt_refusal refusal;

	kt_refusal_read(host, &refusal);
	modules.kvm = module_state(host, context, &refusal, "kvm");
	modules.irqbypass = module_state(host, context, &refusal, "irqbypass");
	if (modules.vendor_name)
		modules.vendor = module_state(host, context, &refusal, modules.vendor_name);
	*ret_modules = modules;
}

void kt_modules_describe(const struct kt_modules *modules, char *text, size_t size)
{
	int used = snprintf(text, size, "kvm %s", state_names[modules->kvm]);

	if (modules->vendor_name && used >= 0 && (size_t)used < size)
		used += snprintf(text + used, size - (size_t)used, ", %s %s", modules->vendor_name,
				 state_names[modules->vendor]);
	if (used >= 0 && (size_t)used < size)
		(void)snprintf(text + used, size - (size_t)used, ", irqbypass %s", state_names[modules->irqbypass]);
}

int kt_modules_explain(const struct kt_modules_answer *answer, struct kt_error *err)
{
	const size_t last = sizeof(answers) / sizeof(answers[0]) - 1;
	int code = answer->code == -ENOENT && answer->has_file ? SYMBOL_LACKING : answer->code;
	size_t i = 0;

	if (code == 0)
		return 0;
	if (code == -EPERM)
		return kt_refusal_explain(answer->refusal, answer->module, err);
	while (i < last && answers[i].code != code)
		i++;
	if (i == last)
		return kt_fail_errno(err, code, answers[i].reason, "the module %s %s", answer->module, answers[i].text);
	return kt_fail(err, answers[i].error, answers[i].reason, "the module %s %s", answer->module, answers[i].text);
}

struct attempt {
	const char *host;         /* borrowed */
	struct kmod_ctx *context; /* borrowed */
	struct kt_refusal refusal;
};

/* The module that a failure is about: what a module needs goes first, so the first of those that is still not there, or
 * itself; which it is where nothing can be loaded at all, and for the blacklist, which is asked for no other. Owned. */
static struct kmod_module *module_blame(const struct attempt *attempt, int code, struct kmod_module *module)
{
	bool is_general = code == -EPERM && (attempt->refusal.lacks_capability || attempt->refusal.is_disabled);
	KT_OWN(list_drop) struct kmod_list *needed = kmod_module_get_dependencies(module);
	struct kmod_list *one;

	if (code >= 0 || is_general)
		return kmod_module_ref(module);
	kmod_list_foreach(one, needed)
	{
		KT_OWN(module_drop) struct kmod_module *other = kmod_module_get_module(one);

		if (!is_in_kernel(attempt->host, kmod_module_get_name(other)))
			return kmod_module_ref(other);
	}
	return kmod_module_ref(module);
}

static int answer_explain(const struct attempt *attempt, int code, struct kmod_module *module, struct kt_error *err)
{
	const struct kt_modules_answer answer = {.code = code,
						 .module = kmod_module_get_name(module),
						 .has_file = has_file(module),
						 .refusal = &attempt->refusal};

	return kt_modules_explain(&answer, err);
}

static int module_load(const struct attempt *attempt, struct kmod_module *module, struct kt_error *err)
{
	int code =
		kmod_module_probe_insert_module(module, KMOD_PROBE_APPLY_BLACKLIST, NULL, install_refuse, NULL, NULL);
	KT_OWN(module_drop) struct kmod_module *about = module_blame(attempt, code, module);

	return answer_explain(attempt, code, about, err);
}

static int module_only_foresee(const struct attempt *attempt, struct kmod_module *module, struct kt_error *err)
{
	int r = kt_refusal_foresee(&attempt->refusal, kmod_module_get_name(module), err);
	int code = module_foresee(attempt->context, module, kmod_module_get_name(module));

	return r < 0 ? r : answer_explain(attempt, code, module, err);
}

typedef int step_fn(const struct attempt *attempt, struct kmod_module *module, struct kt_error *err);

static int module_step(const struct attempt *attempt, const char *name, step_fn *step, struct kt_error *err)
{
	struct kt_modules_answer answer = {.module = name, .refusal = &attempt->refusal};
	KT_OWN(module_drop) struct kmod_module *module = module_find(attempt->context, name, &answer.code);

	if (answer.code < 0 && answer.code != -ENOENT && answer.code != -ENOSYS)
		return kt_modules_explain(&answer, err);
	if (!module)
		return kt_fail(err, ENOENT, KT_REASON_MODULE_MISSING,
			       "the running kernel has no module %s below /lib/modules (or no index there: run depmod)",
			       name);
	answer.code = strcmp(kmod_module_get_name(module), name) == 0 ? 0 : RENAMED;
	return answer.code != 0 ? kt_modules_explain(&answer, err) : step(attempt, module, err);
}

static int modules_step(const char *host, const char *cpu_vendor, step_fn *step, struct kt_error *err)
{
	KT_OWN(context_drop) struct kmod_ctx *context = context_open(host);
	struct attempt attempt = {.host = host, .context = context};
	/* kvm by itself first: the blacklist is asked for the module that is named, not for those that it needs */
	const char *const names[] = {"kvm", kt_modules_vendor_name(cpu_vendor)};
	int r = 0;

	if (!context)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot ask libkmod: out of memory");
	if (!names[1])
		return kt_fail(err, EOPNOTSUPP, KT_REASON_MODULE_MISSING,
			       "KVM has no module for CPUs of the vendor \"%s\"", cpu_vendor);
	kt_refusal_read(host, &attempt.refusal);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && r == 0; i++)
		if (!is_in_kernel(host, names[i]))
			r = module_step(&attempt, names[i], step, err);
	return r;
}

int kt_modules_load(const char *host, const char *cpu_vendor, struct kt_error *err)
{
	return modules_step(host, cpu_vendor, module_load, err);
}

int kt_modules_foresee(const char *host, const char *cpu_vendor, struct kt_error *err)
{
	return modules_step(host, cpu_vendor, module_only_foresee, err);
}
