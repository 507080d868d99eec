/* The privileged half, and who of it may do what:
 *
 *              capabilities       filter                        files (Landlock)
 *   agent      DAC_READ_SEARCH    only what reading,            reads bundle, store's roots, /proc, /sys, device
 *              (user 65531)       waiting, writing takes        folder; writes the state's folder
 *   runner     those of all jobs  refused: sockets, setns,      all: a confined process cannot mount, nor can its
 *                                 ptrace, bpf, io_uring ...     children, and the proof's view is made of mounts
 *   a job      its row (jobs.h)   as the runner                 its row
 *
 * The agent sees what root sees of these places, whatever their modes (a bundle under a folder of root's, /opt at
 * 0750): else it would speak of a store that it cannot see, where the jobs see it. Where no Landlock says which places
 * these are it has no capability.
 *
 * What decides is what cannot act, and what can act reads nothing that was written by others but a manifest and what
 * lies in the store. All of them are in a network namespace with nothing in it, and none can enter another. */
#include "rights.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kontain/base/dir.h"
#include "kontain/base/filter.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

#define TABLE_SIZE(table) (sizeof(table) / sizeof((table)[0]))

/* ---- filters ---- */

/* What neither a job nor km has any use for. */
/* clang-format off */
static const struct kt_filter_rule refused[] = {
	/* back to the network, or to the socket of another program (containerd's lies below /host/run) */
	{.call = SYS_socket},		{.call = SYS_socketpair},	 {.call = SYS_connect},
	{.call = SYS_setns},
	/* into another process, or to what it has open */
	{.call = SYS_ptrace},		{.call = SYS_process_vm_readv},	 {.call = SYS_process_vm_writev},
	{.call = SYS_pidfd_getfd},	{.call = SYS_process_madvise},	 {.call = SYS_kcmp},
	{.call = SYS_open_by_handle_at}, {.call = SYS_perf_event_open}, {.call = SYS_userfaultfd},
	/* around the filter */
	{.call = SYS_io_uring_setup},	{.call = SYS_io_uring_enter},	 {.call = SYS_io_uring_register},
	{.call = SYS_bpf},
	/* the machine itself */
	{.call = SYS_kexec_load},	{.call = SYS_kexec_file_load},	 {.call = SYS_reboot},
	{.call = SYS_swapon},		{.call = SYS_swapoff},		 {.call = SYS_settimeofday},
	{.call = SYS_clock_settime},	{.call = SYS_adjtimex},		 {.call = SYS_clock_adjtime},
	{.call = SYS_delete_module},	{.call = SYS_iopl},		 {.call = SYS_ioperm},
	{.call = SYS_acct},		{.call = SYS_quotactl},		 {.call = SYS_syslog},
	{.call = SYS_fanotify_init},	{.call = SYS_add_key},		 {.call = SYS_request_key},
	{.call = SYS_keyctl},		{.call = SYS_lookup_dcookie},	 {.call = SYS_vhangup},
	/* a root with other libraries in it; the proof's is entered by pivot_root, with nothing of the host's in it */
	{.call = SYS_chroot},
};
/* clang-format on */

static const struct kt_filter_table refused_table = KT_FILTER_TABLE(refused);

/* The agent, beside what every program does. */
/* clang-format off */
static const struct kt_filter_rule agent[] = {
	/* the state file, replaced whole */
	{.call = SYS_mkdir},	 {.call = SYS_mkdirat},	 {.call = SYS_rename},	  {.call = SYS_renameat},
	{.call = SYS_renameat2}, {.call = SYS_unlink},	 {.call = SYS_unlinkat},  {.call = SYS_fsync},
	{.call = SYS_fdatasync}, {.call = SYS_ftruncate}, {.call = SYS_fchmod},	  {.call = SYS_flock},
	/* events of devices that come and go */
	{.call = SYS_socket, .when = {KT_FILTER_IS(0, AF_NETLINK), KT_FILTER_IS(2, NETLINK_KOBJECT_UEVENT)}},
	{.call = SYS_bind},	 {.call = SYS_recvmsg},	 {.call = SYS_recvfrom},  {.call = SYS_setsockopt},
	/* is it still there? */
	{.call = SYS_kill, .when = {KT_FILTER_IS(1, 0)}},
	{.call = SYS_pidfd_open},
};
/* clang-format on */

static const struct kt_filter_table agent_table = KT_FILTER_TABLE(agent);

/* ---- capabilities ---- */

/* One that the container was not given cannot be kept. */
static bool is_held(unsigned number)
{
	return prctl(PR_CAPBSET_READ, number) == 1 && capng_have_capability(CAPNG_PERMITTED, number);
}

static int keep_capabilities(uint64_t wanted, struct kt_error *err)
{
	bool has_bounds;

	if (capng_get_caps_process() != 0)
		return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot read this process's capabilities");
	has_bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	for (unsigned number = 0; number < 64; number++)
		if (wanted >> number & 1 && !is_held(number))
			wanted &= ~(UINT64_C(1) << number);
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned number = 0; number < 64; number++)
		if (wanted >> number & 1)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, number);
	/* The bounding set first: it takes CAP_SETPCAP. Without that, and without new privileges, it bounds nothing. */
	if ((has_bounds && capng_apply(CAPNG_SELECT_BOUNDS) != 0) || capng_apply(CAPNG_SELECT_CAPS) != 0)
		return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot drop capabilities: run as root");
	return 0;
}

/* ---- who gives up what ---- */

int kt_rights_network(struct kt_error *err)
{
	if (unshare(CLONE_NEWNET) != 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL,
				     "cannot leave the network namespace: run as root with CAP_SYS_ADMIN");
	return 0;
}

int kt_rights_runner(struct kt_error *err)
{
	const struct kt_filter_table *const tables[] = {&refused_table};
	int failed = keep_capabilities(kt_job_all_capabilities(), err);

	return failed ? failed : kt_filter_refuse(tables, TABLE_SIZE(tables), err);
}

/* ---- the agent's user ---- */

struct own {
	const char *state; /* its name in the folder */
	char other[NAME_MAX + 1];
};

static int other_visit(void *context, int dir, const char *name)
{
	struct own *own = context;

	(void)dir;
	if (strncmp(name, KT_FS_TEMPORARY, strlen(KT_FS_TEMPORARY)) == 0)
		name += strlen(KT_FS_TEMPORARY);
	if (strcmp(name, own->state) == 0)
		return 0;
	(void)snprintf(own->other, sizeof(own->other), "%s", name);
	return 1;
}

int kt_rights_state_folder(const char *state, struct kt_error *err)
{
	const char *slash = strrchr(state, '/');
	struct own own = {.state = slash ? slash + 1 : state};
	char folder[PATH_MAX];
	struct stat info;

	kt_fs_folder_of(state, folder);
	if (kt_state_make_folder(state, err) < 0)
		return -err->code;

	KT_OWN(kt_close_fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open the directory %s of the state file",
				     folder);
	if (info.st_uid == KT_AGENT_UID || info.st_mode & S_IWOTH)
		return 0;
	if (kt_each_entry(fd, ".", other_visit, &own) != 0)
		return kt_fail(
			err, EPERM, KT_REASON_ACCESS_DENIED,
			"the agent runs as user %d and cannot write to %s, which also holds %s: name a folder of "
			"its own with --state",
			KT_AGENT_UID, folder, own.other);
	if (fchown(fd, KT_AGENT_UID, KT_AGENT_UID) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot give %s to user %d", folder, KT_AGENT_UID);
	return 0;
}

/* The bounding set while we may: nothing of it can come back, whatever is executed. */
static int user_change(bool keeps_capabilities, struct kt_error *err)
{
	if (capng_get_caps_process() != 0)
		return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot read this process's capabilities");
	if (capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP)) {
		capng_clear(CAPNG_SELECT_BOUNDS);
		if (capng_apply(CAPNG_SELECT_BOUNDS) != 0)
			return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot drop capabilities: run as root");
	}
	if (keeps_capabilities && prctl(PR_SET_KEEPCAPS, 1) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL,
				     "cannot keep a capability beyond a change of user");
	if (setgroups(0, NULL) < 0 || setresgid(KT_AGENT_UID, KT_AGENT_UID, KT_AGENT_UID) < 0 ||
	    setresuid(KT_AGENT_UID, KT_AGENT_UID, KT_AGENT_UID) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL,
				     "cannot become user %d: run as root with CAP_SETUID and CAP_SETGID", KT_AGENT_UID);
	return 0;
}

/* The bounding set is empty by now. */
static int agent_capabilities(bool reads_all, struct kt_error *err)
{
	if (capng_get_caps_process() != 0)
		return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot read this process's capabilities");
	reads_all = reads_all && capng_have_capability(CAPNG_PERMITTED, CAP_DAC_READ_SEARCH);
	capng_clear(CAPNG_SELECT_CAPS);
	if (reads_all)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_DAC_READ_SEARCH);
	if (capng_apply(CAPNG_SELECT_CAPS) != 0)
		return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot drop capabilities: run as root");
	return 0;
}

int kt_rights_agent(pid_t runner, struct kt_error *err)
{
	const struct kt_filter_table *const tables[] = {&kt_filter_plain, &agent_table, &kt_filter_sanitizer};
	bool reads_all = kt_landlock_abi() >= 1;
	int failed = user_change(reads_all, err);

	/* behind it: whoever becomes another user gets no signal of its parent's end any more (prctl(2)) */
	if (failed == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != runner))
		failed = kt_fail(err, ECHILD, KT_REASON_INTERNAL, "lost connection to the runner process");
	if (failed == 0)
		failed = agent_capabilities(reads_all, err);
	return failed ? failed : kt_filter_allow_only(tables, TABLE_SIZE(tables), err);
}

/* The folder above a root, so that the root may be made, removed and mounted over. */
static int allow_root(struct kt_landlock *set, const struct kt_installer *installer, const char *root,
		      struct kt_error *err)
{
	char path[PATH_MAX], above[PATH_MAX];
	size_t size = (size_t)snprintf(path, sizeof(path), "%s%s", installer->options.host, root);

	if (size >= sizeof(path))
		return 0; /* the store refuses it, and says why */
	while (size > 1 && path[size - 1] == '/')
		path[--size] = '\0';
	kt_fs_folder_of(path, above);
	return kt_landlock_allow_or_above(set, above, KT_LANDLOCK_READ, err);
}

static int allow_roots(struct kt_landlock *set, const struct kt_installer *installer, struct kt_error *err)
{
	int failed = 0;

	if (installer->options.root != NULL)
		return allow_root(set, installer, installer->options.root, err);
	for (size_t i = 0; i < installer->config.root_count && failed == 0; i++)
		failed = allow_root(set, installer, installer->config.roots[i], err);
	return failed;
}

int kt_rights_agent_files(const struct kt_installer *installer, char ret_text[KT_LANDLOCK_TEXT_MAX],
			  struct kt_error *err)
{
	static const char proc[] = "/proc";
	const struct kt_options *options = &installer->options;
	KT_OWN(kt_landlock_done) struct kt_landlock set = {.ruleset = -1};
	char folder[PATH_MAX];
	const struct kt_landlock_place places[] = {
		{folder, KT_LANDLOCK_WRITE},
		{proc, KT_LANDLOCK_READ},
		{"/sys", KT_LANDLOCK_READ},
		{options->dev, KT_LANDLOCK_READ},
		{"/dev/null", KT_LANDLOCK_READ},
		{options->bundle != NULL ? options->bundle : "/dev/null", KT_LANDLOCK_READ},
	};
	int failed = kt_landlock_begin(KT_LANDLOCK_FILES | KT_LANDLOCK_TCP | KT_LANDLOCK_SIGNALS, &set, err);

	kt_fs_folder_of(options->state, folder);
	for (size_t i = 0; i < TABLE_SIZE(places) && failed == 0; i++)
		failed = kt_landlock_allow(&set, places[i].path, places[i].right, err);
	/* whether another agent lives is asked by the numbers of the host */
	if (failed == 0 && *options->host && snprintf(folder, sizeof(folder), "%s%s", options->host, proc) < PATH_MAX &&
	    access(folder, F_OK) == 0)
		failed = kt_landlock_allow(&set, folder, KT_LANDLOCK_READ, err);
	if (failed == 0)
		failed = allow_roots(&set, installer, err);
	if (failed == 0)
		failed = kt_landlock_enforce(&set, err);
	memcpy(ret_text, set.text, KT_LANDLOCK_TEXT_MAX);
	return failed;
}

/* It parses the host's module index, and asks a device for answers; it has nothing to write. */
static int only_read_files(const char *dev, struct kt_error *err)
{
	KT_OWN(kt_landlock_done) struct kt_landlock set = {.ruleset = -1};
	int failed = kt_landlock_begin(KT_LANDLOCK_FILES | KT_LANDLOCK_TCP | KT_LANDLOCK_SIGNALS, &set, err);

	if (failed == 0)
		failed = kt_landlock_allow(&set, "/", KT_LANDLOCK_READ, err);
	if (failed == 0)
		failed = kt_landlock_allow(&set, dev, KT_LANDLOCK_DEVICE, err);
	return failed ? failed : kt_landlock_enforce(&set, err);
}

int kt_rights_job(const struct kt_job *job, const char *dev, struct kt_error *err)
{
	/* Who is not root has nothing to give up, and the job itself says what that costs. */
	int failed = geteuid() == 0 ? keep_capabilities(job->capabilities, err) : 0;

	if (failed == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		failed = kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot set no_new_privs");
	if (failed == 0 && job->files == KT_JOB_FILES_READ)
		failed = only_read_files(dev, err);
	return failed;
}
