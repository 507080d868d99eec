/* Three processes, so that nothing stays behind whatever km does, and whoever is killed:
 *
 *   caller ─► keeper            leaves the namespaces, then waits
 *               └► init         PID 1 of the new PID namespace: builds the view, waits for km, says how it ended.
 *                   └► km       nobody
 *
 * The caller's deadline kills the keeper (kt_child_run); init dies with the keeper, and the kernel ends every process
 * of a namespace whose PID 1 is gone, also those that left the group or became daemons. km is not PID 1 itself: that
 * one is spared the signals by which a program ends, abort(3) among them.
 *
 * The end of a namespace waits for its last process. So a km that was killed and is held by the kernel shows in an init
 * that does not go, long after the keeper went; the caller inherits it, waits a moment, and says so.
 *
 * What went wrong before km ran, and how km ended, comes back through a pipe that km does not have. */
#include "kmrun.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kontain/base/own.h"
#include "nobody.h"

/* Of each stream: the payloads say a line, and km some. */
#define OUTPUT_MAX (16 * 1024)

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

static char *const km_environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

/* A namespace of a few processes ends in milliseconds. */
#define INIT_GRACE_MS 1000

/* Smaller than PIPE_BUF, so written as a whole. The first one that reports an end counts. */
struct report {
	pid_t init;              /* the keeper's word that init was started, and nothing else; 0 in all others */
	struct kt_error failure; /* reason NONE: km ran */
	int exit_status;
	int signal;
};

struct run {
	const struct kt_view *view;
	const char *const *argv;
	int report; /* write end */
};

static void report_send(int fd, const struct report *report)
{
	(void)!write(fd, report, sizeof(*report));
}

__attribute__((noreturn)) static void give_up(int fd, const struct kt_error *failure)
{
	struct report report = {.failure = *failure, .exit_status = -1};

	report_send(fd, &report);
	_exit(1);
}

/* The first folder of the way to a file that this process, which is nobody, may not enter; false when there is none. */
static bool folder_denied(const char *file, char *folder, size_t size)
{
	for (const char *end = strchr(file + 1, '/'); end; end = strchr(end + 1, '/')) {
		(void)snprintf(folder, size, "%.*s", (int)(end - file), file);
		if (access(folder, X_OK) < 0 && errno == EACCES)
			return true;
	}
	return false;
}

/* Nobody may not execute km. A landed km is executable, so it is a mode that was changed, the mount, or a policy. */
static int denied_explain(int code, struct kt_error *err)
{
	char file[PATH_MAX] = "", folder[PATH_MAX];
	struct statvfs mounted;
	struct stat info;

	/* where the links lead; glibc tells how far it came where it may not go on */
	if (!realpath(KT_VIEW_KM, file) && file[0] != '/')
		(void)snprintf(file, sizeof(file), KT_VIEW_KM);
	if (folder_denied(file, folder, sizeof(folder)) && stat(folder, &info) == 0)
		return kt_fail(err, code, KT_REASON_EXEC_DENIED,
			       "cannot execute " KT_VIEW_KM ": other users may not enter %.128s (mode %04o)", folder,
			       info.st_mode & 07777);
	if (statvfs(file, &mounted) == 0 && (mounted.f_flag & ST_NOEXEC))
		return kt_fail(err, code, KT_REASON_STORE_NOEXEC,
			       "cannot execute %.128s: it is on a filesystem that is mounted noexec", file);
	if (stat(file, &info) == 0 && (info.st_mode & S_IXOTH) == 0)
		return kt_fail(err, code, KT_REASON_EXEC_DENIED, "cannot execute %.128s: its mode is %04o", file,
			       info.st_mode & 07777);
	return kt_fail(err, code, KT_REASON_EXEC_DENIED,
		       "cannot execute %.128s: %s, although its mode allows it: a security policy denies it", file,
		       strerror(code));
}

static int exec_explain(int code, struct kt_error *err)
{
	struct stat info;

	if (code == EACCES || code == EPERM)
		return denied_explain(code, err);
	if (code == ETXTBSY)
		return kt_fail(err, code, KT_REASON_EXEC_DENIED,
			       "cannot execute " KT_VIEW_KM
			       ": a process has it open for writing (lsof or fuser names it)");
	if (code == ENOENT && stat(KT_VIEW_KM, &info) < 0)
		return kt_fail(err, code, KT_REASON_NO_VERSION, "there is no " KT_VIEW_KM);
	if (code == ENOENT)
		return kt_fail(err, code, KT_REASON_KM_FAILED, KT_VIEW_KM " needs an interpreter that is not there");
	if (code == ENOMEM || code == EAGAIN || code == ENFILE || code == EMFILE)
		return kt_fail_errno(err, code, KT_REASON_KM_OUT_OF_RESOURCES, "cannot execute " KT_VIEW_KM);
	return kt_fail_errno(err, code, KT_REASON_KM_FAILED, "cannot execute " KT_VIEW_KM);
}

__attribute__((noreturn)) static void km_main(const struct run *run)
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	/* all descriptors of ours close themselves; this is for those that somebody forgot, and harmless where the
	 * kernel is too old for it (5.11) */
	(void)syscall(SYS_close_range, 3U, ~0U, 1U << 2 /* CLOSE_RANGE_CLOEXEC */);
	if (kt_nobody_become(&err) == 0) {
		(void)execve(run->argv[0], (char *const *)run->argv, km_environment);
		(void)exec_explain(errno, &err);
	}
	give_up(run->report, &err);
}

/* PID 1 also inherits what km leaves; only km's own end matters. */
static int km_await(pid_t pid, struct report *ret_report)
{
	siginfo_t info;

	do {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info, WEXITED) < 0 && errno != EINTR)
			return kt_negative_errno();
	} while (info.si_pid != pid);
	ret_report->exit_status = info.si_code == CLD_EXITED ? info.si_status : -1;
	ret_report->signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
	return 0;
}

/* life is a pipe whose other end only the keeper has: the keeper may be dead before the death signal is asked for. */
static bool keeper_follow(int life)
{
	struct pollfd polled = {.fd = life};

	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && poll(&polled, 1, 0) == 0;
}

__attribute__((noreturn)) static void init_main(const struct run *run, int life)
{
	struct report report = {.exit_status = -1};

	if (!keeper_follow(life))
		_exit(1);
	/* away from a terminal that the caller may have */
	(void)setsid();
	if (kt_view_enter(run->view, &report.failure) < 0)
		give_up(run->report, &report.failure);

	pid_t pid = fork();

	if (pid == 0)
		km_main(run);
	if (pid < 0 || km_await(pid, &report) < 0) {
		(void)kt_fail_errno(&report.failure, errno, KT_REASON_PROCESS_LIMIT,
				    "cannot start a process for " KT_VIEW_KM);
		give_up(run->report, &report.failure);
	}
	report_send(run->report, &report);
	_exit(0);
}

/* The keeper. It never comes back to be executed: km is its grandchild. */
static int keeper_main(void *context)
{
	const struct run *run = context;
	struct kt_error err = {.reason = KT_REASON_NONE};
	int life[2];

	int failed = unshare(NAMESPACES) < 0 ? errno : 0;

	if (failed == ENOSPC) { /* of namespaces, not of a disk: unshare(2) */
		(void)kt_fail(&err, ENOSPC, KT_REASON_PROCESS_LIMIT,
			      "cannot make namespaces for the proof: the limit of namespaces is reached "
			      "(user.max_*_namespaces)");
		give_up(run->report, &err);
	}
	if (failed || pipe2(life, O_CLOEXEC) < 0) {
		(void)kt_fail_errno(&err, errno, KT_REASON_INTERNAL,
				    "cannot leave the host's namespaces for the proof (CAP_SYS_ADMIN is needed)");
		give_up(run->report, &err);
	}

	pid_t pid = fork();

	if (pid == 0) {
		(void)close(life[1]);
		init_main(run, life[0]);
	}
	if (pid < 0) {
		(void)kt_fail_errno(&err, errno, KT_REASON_PROCESS_LIMIT, "cannot start a process for the proof");
		give_up(run->report, &err);
	}
	report_send(run->report, &(struct report){.init = pid});
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	_exit(0);
}

/* Of an init that the keeper left to us: true when it is still there after a moment. */
static bool init_stays(pid_t init)
{
	KT_OWN(kt_close_fd) int pidfd = (int)syscall(SYS_pidfd_open, init, 0);
	struct pollfd polled = {.fd = pidfd, .events = POLLIN};
	siginfo_t info = {.si_pid = 0};

	if (waitid(P_PID, (id_t)init, &info, WEXITED | WNOHANG) < 0 || info.si_pid == init)
		return false; /* the keeper buried it, or we just did */
	(void)poll(&polled, 1, INIT_GRACE_MS);
	return waitid(P_PID, (id_t)init, &info, WEXITED | WNOHANG) == 0 && info.si_pid != init;
}

/* Takes all that was said; *ret_init is 0 when none was started. False when nobody told of an end. */
static bool reports_read(int fd, struct report *ret_end, pid_t *ret_init)
{
	struct report report;
	bool has_end = false;

	*ret_init = 0;
	while (read(fd, &report, sizeof(report)) == (ssize_t)sizeof(report)) {
		if (report.init != 0)
			*ret_init = report.init;
		else if (!has_end)
			*ret_end = report;
		has_end = has_end || report.init == 0;
	}
	return has_end;
}

static int report_take(int fd, const struct kt_child_result *child, struct kt_km_end *end, struct kt_error *err)
{
	struct report report = {.exit_status = -1};
	pid_t init;
	bool has_end = reports_read(fd, &report, &init);

	if (child->stuck || (init != 0 && init_stays(init)))
		return kt_fail(err, ETIMEDOUT, KT_REASON_STUCK_IN_KERNEL,
			       "km did not end within %u ms, was killed, and is still in the kernel, below process %d",
			       child->duration_ms, child->stuck ? (int)child->pid : (int)init);
	if (!has_end) {
		if (child->timed_out)
			return 0;
		return kt_fail(err, ECHILD, KT_REASON_JOB_KILLED,
			       "the processes of the proof were killed from outside");
	}
	end->exit_status = report.exit_status;
	end->signal = report.signal;
	/* what was said before the deadline was a whole answer */
	end->timed_out = false;
	if (report.failure.reason == KT_REASON_NONE)
		return 0;
	*err = report.failure;
	return -report.failure.code;
}

int kt_km_run(const struct kt_view *view, const char *const argv[], unsigned timeout_ms, struct kt_km_end *ret_end,
	      struct kt_error *err)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot prepare the proof");

	KT_OWN(kt_close_fd) int read_end = ends[0];
	/* above those that a child puts in order */
	KT_OWN(kt_close_fd) int write_end = fcntl(ends[1], F_DUPFD_CLOEXEC, 16);
	KT_OWN(kt_km_end_done) struct kt_km_end end = {.exit_status = -1};
	struct run run = {.view = view, .argv = argv, .report = write_end};
	const struct kt_child_spec spec = {.argv = argv,
					   .timeout_ms = timeout_ms,
					   .output_max = OUTPUT_MAX,
					   .prepare = keeper_main,
					   .context = &run};
	int r;

	(void)close(ends[1]);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (write_end < 0)
		return kt_fail(err, EMFILE, KT_REASON_FILE_LIMIT, "cannot prepare the proof: too many open files");
	r = kt_child_run(&spec, &end.child, err);
	if (r < 0)
		return r;
	end.timed_out = end.child.timed_out;
	r = report_take(read_end, &end.child, &end, err);
	if (r < 0)
		return r;
	*ret_end = end;
	end = (struct kt_km_end){.exit_status = -1};
	return 0;
}

void kt_km_end_done(struct kt_km_end *end)
{
	kt_child_result_done(&end->child);
}
