/* A child with a deadline.
 *
 * The promise: this call comes back. What we run here talks to hardware and to programs we did not write, so nothing
 * waits on the child's goodwill: a pidfd says that it ended (a grandchild that holds the pipes does not matter), the
 * deadline is of the monotonic clock, SIGKILL goes to the whole group, and a child that even then stays is reported
 * as stuck and left behind. It dies with us (PR_SET_PDEATHSIG).
 *
 * fork and not vfork: spec->prepare makes mounts and changes identities before exec. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kontain/base/child.h"
#include "kontain/base/clock.h"
#include "kontain/base/descriptors.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

#define KILL_GRACE_MS 1000
#define STATUS_FD     3 /* in the child: tells why exec failed, closed by exec */
#define EXIT_PREPARE  127
#define SCRAP_BYTES   4096
#define PIPE_BYTES    65536 /* pipe(7): what one holds unless asked for more */

static char *const child_environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

struct pipe_pair {
	int read_end;
	int write_end;
};

struct stream {
	int fd;      /* owned; -1 at its end */
	char *bytes; /* owned */
	size_t size;
	size_t max;
	bool is_passed; /* to our own stderr */
};

static void pipe_close(struct pipe_pair *pair)
{
	kt_close_fd(&pair->read_end);
	kt_close_fd(&pair->write_end);
}

static void streams_close(struct stream (*streams)[2])
{
	for (int i = 0; i < 2; i++) {
		kt_close_fd(&(*streams)[i].fd);
		kt_free_mem(&(*streams)[i].bytes);
	}
}

/* Moves a descriptor above those that the child puts in order (0 to STATUS_FD), as ours may be closed. */
static int fd_raise(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, STATUS_FD + 1);

	if (high < 0)
		return kt_negative_errno();
	kt_close_fd(fd);
	*fd = high;
	return 0;
}

static int pipe_open(struct pipe_pair *ret_pair)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		return kt_negative_errno();
	ret_pair->read_end = ends[0];
	ret_pair->write_end = ends[1];

	int r = fd_raise(&ret_pair->write_end);

	if (r < 0)
		return r;
	/* only our end: the child may expect a pipe that waits */
	return fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? kt_negative_errno() : 0;
}

/* All that the child is to read lies in the descriptor before it starts: no pipe that could fill up, and its end is
 * seen. */
static int stdin_open(const struct kt_child_spec *spec)
{
	KT_OWN(kt_close_fd)
	int fd = spec->input ? memfd_create("input", MFD_CLOEXEC) : open("/dev/null", O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return kt_negative_errno();
	r = spec->input ? kt_fs_write_full(fd, spec->input, spec->input_size) : 0;
	if (r == 0 && spec->input && lseek(fd, 0, SEEK_SET) < 0)
		r = kt_negative_errno();
	if (r == 0)
		r = fd_raise(&fd);
	return r < 0 ? r : kt_take_fd(&fd);
}

static void signals_reset(void)
{
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &standard, NULL); /* KILL, STOP and libc's own refuse: so be it */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static int standard_fds_set(int input, int output, int errors, int status)
{
	if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0 || dup3(status, STATUS_FD, O_CLOEXEC) < 0)
		return kt_negative_errno();
	return 0;
}

/* Dies with the parent, even when the parent died before we could ask for it. */
static bool parent_follow(pid_t parent)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

__attribute__((noreturn)) static void child_main(const struct kt_child_spec *spec, pid_t parent, int input, int output,
						 int errors, int status)
{
	int code;

	(void)setpgid(0, 0);
	if (!parent_follow(parent))
		_exit(EXIT_PREPARE);
	if (standard_fds_set(input, output, errors, status) < 0)
		_exit(EXIT_PREPARE);
	signals_reset();
	if (spec->prepare && spec->prepare(spec->context) != 0)
		_exit(EXIT_PREPARE);
	/* a change of identity in prepare takes the death signal away (prctl(2)) */
	if (!parent_follow(parent))
		_exit(EXIT_PREPARE);
	kt_descriptors_close(STATUS_FD + 1);
	(void)execve(spec->argv[0], (char *const *)spec->argv, child_environment);
	code = errno;
	(void)!write(STATUS_FD, &code, sizeof(code));
	_exit(EXIT_PREPARE);
}

/* All signals are blocked around fork: a handler of ours must not run in the child. */
static pid_t child_fork(const struct kt_child_spec *spec, int input, int output, int errors, int status)
{
	pid_t parent = getpid(), pid;
	sigset_t all, before;
	int saved;

	sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child_main(spec, parent, input, output, errors, status);
	saved = errno;
	if (pid > 0)
		(void)setpgid(pid, pid); /* both do it: whoever is first */
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return pid < 0 ? -saved : pid;
}

/* Without a pidfd there is no deadline, so no child either: it has hardly begun. */
static int pidfd_open_or_kill(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	int code = errno;

	if (pidfd >= 0)
		return pidfd;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return -code;
}

/* Takes what is there; the pipe is closed at its end or on an error. What does not fit is dropped, or the child
 * would wait for room for ever. */
static void stream_drain(struct stream *stream)
{
	char scrap[SCRAP_BYTES];

	while (stream->fd >= 0) {
		size_t room = stream->max - stream->size;
		char *into = room ? stream->bytes + stream->size : scrap;
		ssize_t got = read(stream->fd, into, room ? room : sizeof(scrap));

		if (got > 0 && stream->is_passed)
			(void)kt_fs_write_full(STDERR_FILENO, into, (size_t)got);
		if (got > 0)
			stream->size += room ? (size_t)got : 0;
		else if (got < 0 && errno == EINTR)
			continue;
		else if (got < 0 && errno == EAGAIN)
			return;
		else
			kt_close_fd(&stream->fd);
		if (got > 0 && !room)
			return; /* one mouthful a turn: a child that floods us must not keep us from the clock */
	}
}

/* What the pipe of a child that ended still holds, and not more, should another go on writing. */
static void stream_finish(struct stream *stream)
{
	for (int i = 0; i <= PIPE_BYTES / SCRAP_BYTES && stream->fd >= 0; i++)
		stream_drain(stream);
}

/* Reads both streams until the child ended (true) or the time came (false). */
static bool child_follow(int pidfd, struct stream streams[2], int64_t until_ms)
{
	for (;;) {
		struct pollfd polled[3] = {
			{.fd = pidfd, .events = POLLIN},
			{.fd = streams[0].fd, .events = POLLIN},
			{.fd = streams[1].fd, .events = POLLIN},
		};
		int64_t left = until_ms - kt_clock_ms();

		if (poll(polled, 3, left > 0 ? (int)left : 0) < 0 && errno != EINTR)
			polled[0].revents = 0; /* no memory in the kernel: the clock still runs */
		for (int i = 0; i < 2; i++)
			if (polled[i + 1].revents)
				stream_drain(&streams[i]);
		if (polled[0].revents)
			return true;
		if (left <= 0)
			return false;
	}
}

static void status_take(const siginfo_t *info, struct kt_child_result *result)
{
	result->exit_status = info->si_code == CLD_EXITED ? info->si_status : -1;
	result->signal = info->si_code == CLD_EXITED ? 0 : info->si_status;
}

/* From fork to the end. The group is killed while the child is still unreaped, as its number is ours only until then:
 * nothing that the child started may outlive the call. */
static void child_attend(int pidfd, unsigned timeout_ms, struct stream streams[2], struct kt_child_result *result)
{
	int64_t start = kt_clock_ms();
	bool has_ended = child_follow(pidfd, streams, start + timeout_ms);
	siginfo_t info = {.si_pid = 0};

	result->timed_out = !has_ended;
	(void)kill(-result->pid, SIGKILL);
	(void)kill(result->pid, SIGKILL); /* it may have left the group */
	if (!has_ended)
		has_ended = child_follow(pidfd, streams, kt_clock_ms() + KILL_GRACE_MS);
	for (int i = 0; i < 2; i++)
		stream_finish(&streams[i]);
	if (has_ended && waitid(P_PID, (id_t)result->pid, &info, WEXITED) == 0)
		status_take(&info, result);
	result->stuck = !has_ended;
	result->duration_ms = (unsigned)(kt_clock_ms() - start);
}

static int stream_open(struct stream *stream, size_t max)
{
	stream->bytes = malloc(max + 1);
	stream->max = max;
	return stream->bytes ? 0 : -ENOMEM;
}

static void stream_take(struct stream *stream, char **ret_bytes, size_t *ret_size)
{
	stream->bytes[stream->size] = '\0';
	*ret_bytes = kt_take_ptr(&stream->bytes);
	*ret_size = stream->size;
}

int kt_child_run(const struct kt_child_spec *spec, struct kt_child_result *ret_result, struct kt_error *err)
{
	KT_OWN(pipe_close) struct pipe_pair output = {-1, -1};
	KT_OWN(pipe_close) struct pipe_pair errors = {-1, -1};
	KT_OWN(pipe_close) struct pipe_pair status = {-1, -1};
	KT_OWN(streams_close) struct stream streams[2] = {{.fd = -1}, {.fd = -1}};
	KT_OWN(kt_close_fd) int input = stdin_open(spec);
	KT_OWN(kt_close_fd) int pidfd = -1;
	struct kt_child_result result = {.exit_status = -1};
	const char *path = spec->argv[0];
	int exec_code = 0, r = input < 0 ? input : 0;

	if (r < 0 || (r = pipe_open(&output)) < 0 || (r = pipe_open(&errors)) < 0 || (r = pipe_open(&status)) < 0 ||
	    (r = stream_open(&streams[0], spec->output_max)) < 0 ||
	    (r = stream_open(&streams[1], spec->output_max)) < 0)
		return kt_fail_errno(err, -r, KT_REASON_INTERNAL, "cannot prepare to run %s", path);
	r = child_fork(spec, input, output.write_end, errors.write_end, status.write_end);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_PROCESS_LIMIT, "cannot start a process for %s", path);
	result.pid = r;
	kt_close_fd(&input);
	kt_close_fd(&output.write_end);
	kt_close_fd(&errors.write_end);
	kt_close_fd(&status.write_end);
	pidfd = pidfd_open_or_kill(result.pid);
	if (pidfd < 0)
		return kt_fail_errno(err, -pidfd, KT_REASON_INTERNAL, "cannot watch the process of %s", path);
	streams[0].fd = kt_take_fd(&output.read_end);
	streams[1].fd = kt_take_fd(&errors.read_end);
	streams[1].is_passed = spec->passes_errors;
	child_attend(pidfd, spec->timeout_ms, streams, &result);
	if (read(status.read_end, &exec_code, sizeof(exec_code)) == (ssize_t)sizeof(exec_code))
		return kt_fail_errno(err, exec_code, KT_REASON_INTERNAL, "cannot run %s", path);
	stream_take(&streams[0], &result.output, &result.output_size);
	stream_take(&streams[1], &result.errors, &result.errors_size);
	*ret_result = result;
	return 0;
}

int kt_child_start(const struct kt_child_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct kt_error *err)
{
	KT_OWN(pipe_close) struct pipe_pair status = {-1, -1};
	KT_OWN(kt_close_fd) int input = stdin_open(spec);
	KT_OWN(kt_close_fd) int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	KT_OWN(kt_close_fd) int errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STATUS_FD + 1);
	const char *path = spec->argv[0];
	int exec_code = 0, r = null_fd < 0 || errors < 0 ? kt_negative_errno() : input < 0 ? input : fd_raise(&null_fd);
	pid_t pid;

	if (r == 0)
		r = pipe_open(&status);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_INTERNAL, "cannot prepare to run %s", path);
	pid = child_fork(spec, input, null_fd, errors, status.write_end);
	if (pid < 0)
		return kt_fail_errno(err, -pid, KT_REASON_PROCESS_LIMIT, "cannot start a process for %s", path);
	kt_close_fd(&status.write_end);

	KT_OWN(kt_close_fd) int pidfd = pidfd_open_or_kill(pid);

	if (pidfd < 0)
		return kt_fail_errno(err, -pidfd, KT_REASON_INTERNAL, "cannot watch the process of %s", path);

	struct pollfd polled = {.fd = status.read_end, .events = POLLIN};

	/* closed by its exec, so this is a matter of moments; killed, it closes it too */
	while (poll(&polled, 1, -1) < 0 && errno == EINTR)
		continue;
	if (read(status.read_end, &exec_code, sizeof(exec_code)) == (ssize_t)sizeof(exec_code)) {
		(void)waitpid(pid, NULL, 0);
		return kt_fail_errno(err, exec_code, KT_REASON_INTERNAL, "cannot run %s", path);
	}
	*ret_pid = pid;
	*ret_pidfd = kt_take_fd(&pidfd);
	return 0;
}

void kt_child_result_done(struct kt_child_result *result)
{
	kt_free_mem(&result->output);
	kt_free_mem(&result->errors);
}
