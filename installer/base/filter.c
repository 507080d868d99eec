/* The only file that knows libseccomp. Refusals go to the kernel's audit log where the kernel keeps one. */
#include "kontain/base/filter.h"

#include <errno.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#define CONDITIONS (sizeof(((struct kt_filter_rule *)0)->when) / sizeof(struct kt_filter_condition))

/* clang-format off */
static const struct kt_filter_rule plain[] = {
	/* files that are there, for reading; a descriptor is good for what it was opened for */
	{.call = SYS_open},	     {.call = SYS_openat},	    {.call = SYS_openat2},
	{.call = SYS_read},	     {.call = SYS_readv},	    {.call = SYS_pread64},
	{.call = SYS_write},	     {.call = SYS_writev},	    {.call = SYS_lseek},
	{.call = SYS_close},	     {.call = SYS_close_range},     {.call = SYS_fcntl},
	{.call = SYS_dup},	     {.call = SYS_dup2},	    {.call = SYS_dup3},
	{.call = SYS_stat},	     {.call = SYS_fstat},	    {.call = SYS_lstat},
	{.call = SYS_newfstatat},    {.call = SYS_statx},	    {.call = SYS_statfs},
	{.call = SYS_fstatfs},	     {.call = SYS_access},	    {.call = SYS_faccessat},
	{.call = SYS_faccessat2},    {.call = SYS_readlink},	    {.call = SYS_readlinkat},
	{.call = SYS_getdents64},    {.call = SYS_fadvise64},	    {.call = SYS_getcwd},
	{.call = SYS_fgetxattr},
	{.call = SYS_ioctl, .when = {KT_FILTER_IS(1, TCGETS)}}, /* isatty(3) */
	{.call = SYS_ioctl, .when = {KT_FILTER_IS(1, FIONREAD)}},
	{.call = SYS_ioctl, .when = {KT_FILTER_IS(1, FIONBIO)}},
	/* memory */
	{.call = SYS_mmap},	     {.call = SYS_munmap},	    {.call = SYS_mremap},
	{.call = SYS_mprotect},	     {.call = SYS_madvise},	    {.call = SYS_brk},
	/* waiting */
	{.call = SYS_poll},	     {.call = SYS_ppoll},	    {.call = SYS_select},
	{.call = SYS_pselect6},	     {.call = SYS_epoll_create1},   {.call = SYS_epoll_ctl},
	{.call = SYS_epoll_wait},    {.call = SYS_epoll_pwait},	    {.call = SYS_epoll_pwait2},
	{.call = SYS_eventfd2},	     {.call = SYS_pipe2},	    {.call = SYS_inotify_init1},
	{.call = SYS_inotify_add_watch}, {.call = SYS_inotify_rm_watch}, {.call = SYS_signalfd4},
	{.call = SYS_timerfd_create}, {.call = SYS_timerfd_settime}, {.call = SYS_timerfd_gettime},
	{.call = SYS_nanosleep},     {.call = SYS_clock_nanosleep}, {.call = SYS_futex},
	{.call = SYS_sched_yield},   {.call = SYS_restart_syscall},
	/* the time, and itself */
	{.call = SYS_clock_gettime}, {.call = SYS_clock_getres},    {.call = SYS_gettimeofday},
	{.call = SYS_time},	     {.call = SYS_getrandom},	    {.call = SYS_uname},
	{.call = SYS_sysinfo},	     {.call = SYS_getpid},	    {.call = SYS_getppid},
	{.call = SYS_gettid},	     {.call = SYS_getuid},	    {.call = SYS_geteuid},
	{.call = SYS_getgid},	     {.call = SYS_getegid},	    {.call = SYS_getrusage},
	{.call = SYS_times},	     {.call = SYS_sched_getaffinity}, {.call = SYS_getcpu},
	{.call = SYS_prlimit64, .when = {{KT_FILTER_MASK, 2, 0, UINT64_MAX}}}, /* as getrlimit */
	{.call = SYS_rt_sigaction},  {.call = SYS_rt_sigprocmask},  {.call = SYS_rt_sigreturn},
	{.call = SYS_sigaltstack},   {.call = SYS_exit},	    {.call = SYS_exit_group},
	{.call = SYS_tgkill}, /* abort(3); another process is not reached without its permission */
	/* to give up still more */
	{.call = SYS_landlock_create_ruleset}, {.call = SYS_landlock_add_rule}, {.call = SYS_landlock_restrict_self},
};
/* clang-format on */

const struct kt_filter_table kt_filter_plain = KT_FILTER_TABLE(plain);

static struct scmp_arg_cmp condition(const struct kt_filter_condition *when)
{
	static const enum scmp_compare compare[] = {
		[KT_FILTER_MASK] = SCMP_CMP_MASKED_EQ,
		[KT_FILTER_OTHER] = SCMP_CMP_NE,
		[KT_FILTER_ABOVE] = SCMP_CMP_GT,
	};
	struct scmp_arg_cmp arg = {.arg = when->argument, .op = compare[when->test], .datum_a = when->value};

	if (when->test == KT_FILTER_MASK)
		arg = (struct scmp_arg_cmp){
			.arg = when->argument, .op = SCMP_CMP_MASKED_EQ, .datum_a = when->mask, .datum_b = when->value};
	return arg;
}

static int rule_add(scmp_filter_ctx filter, uint32_t action, const struct kt_filter_rule *rule)
{
	struct scmp_arg_cmp args[CONDITIONS];
	unsigned count = 0;

	for (size_t i = 0; i < CONDITIONS; i++)
		if (rule->when[i].test != KT_FILTER_ANY)
			args[count++] = condition(&rule->when[i]);
	return seccomp_rule_add_array(filter, action, rule->call, count, args);
}

static int filter_load(uint32_t otherwise, uint32_t action, const struct kt_filter_table *const tables[], size_t count,
		       struct kt_error *err)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);
	int failed = 0;

	if (!filter)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot make the seccomp filter");
	(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); /* since Linux 4.14 */
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < tables[i]->count && failed == 0; j++)
			failed = rule_add(filter, action, &tables[i]->rules[j]);
	if (failed == 0)
		failed = seccomp_load(filter); /* sets NoNewPrivs first */
	seccomp_release(filter);
	if (failed)
		return kt_fail_errno(err, -failed, KT_REASON_INTERNAL, "cannot load the seccomp filter");
	return 0;
}

int kt_filter_allow_only(const struct kt_filter_table *const tables[], size_t count, struct kt_error *err)
{
	return filter_load(SCMP_ACT_ERRNO(ENOSYS), SCMP_ACT_ALLOW, tables, count, err);
}

int kt_filter_refuse(const struct kt_filter_table *const tables[], size_t count, struct kt_error *err)
{
	return filter_load(SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM), tables, count, err);
}
