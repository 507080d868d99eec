/* Two pipes and fixed records: what the head can say is a verb of the table, a version and a deadline. Whoever took over
 * the head could have a verb run at the wrong time, and nothing else: bundle, root and folders are those of the command
 * line, which the hands read themselves. A head that asks for anything else is not believed any further.
 *
 * The hands are the process that was started, so that they are its PID 1 in a container: what a verb leaves behind comes
 * to them. Each dies with the other. */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rights.h"
#include "kontain/clock.h"
#include "kontain/fs.h"
#include "kontain/log.h"
#include "kontain/own.h"
#include "kontain/state.h"
#include "agent/observe.h"

#define HEAD_NAME     "kontain-head" /* in ps */
#define LONGEST_MS    (60 * 60 * 1000)
#define ANSWER_MAX    (1024 * 1024) /* of each stream; the hands keep less, see observe.c */
#define EXIT_BETRAYED 1

/* Not a verb: is a child stuck? */
#define LOOK "look"
/* Started and not waited for: timeout_ms says whether to start one. */
#define SCRUB "scrub"

static const char *const verbs[] = {"probe", "selftest", "land", "remove", SCRUB, LOOK};

struct request {
	char verb[16];
	char to[KT_VERSION_MAX]; /* "": none */
	unsigned timeout_ms;
};

/* Then output and errors, if the verb ran. */
struct reply {
	int r;
	struct kt_error err;
	struct kt_child_result result; /* its pointers mean nothing here */
	struct kt_stuck stuck;	       /* nor does its descriptor */
	int64_t cpu_us;
};

struct kt_runner {
	int ask; /* owned */
	int answer;
	int64_t cpu_us;
};

static pid_t head_pid;

/* ---- the pipes ---- */

static int read_full(int fd, void *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = read(fd, (char *)bytes + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EPIPE;
		done += (size_t)got;
	}
	return 0;
}

static int read_text(int fd, size_t size, char **ret_text)
{
	KT_OWN(kt_free_mem) char *text = size <= ANSWER_MAX ? malloc(size + 1) : NULL;
	int r = text ? read_full(fd, text, size) : -ENOMEM;

	if (r < 0)
		return r;
	text[size] = '\0';
	*ret_text = kt_take_ptr(&text);
	return 0;
}

/* ---- the head's side ---- */

static int exchange(struct kt_runner *hands, const struct request *request, struct reply *ret_reply, struct kt_error *err)
{
	int r = kt_fs_write_full(hands->ask, request, sizeof(*request));

	if (r == 0)
		r = read_full(hands->answer, ret_reply, sizeof(*ret_reply));
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_INTERNAL, "the process that runs the %s is gone", request->verb);
	return 0;
}

int kt_runner_call(struct kt_runner *hands, const char *verb, const char *to, unsigned timeout_ms,
		  struct kt_child_result *ret_result, struct kt_error *err)
{
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};
	struct request request = {.timeout_ms = timeout_ms};
	struct reply reply;
	int r;

	(void)snprintf(request.verb, sizeof(request.verb), "%s", verb);
	(void)snprintf(request.to, sizeof(request.to), "%s", to ? to : "");
	r = exchange(hands, &request, &reply, err);
	if (r < 0)
		return r;
	hands->cpu_us = reply.cpu_us;
	if (reply.r < 0) {
		*err = reply.err;
		return reply.r;
	}
	result = reply.result;
	result.output = NULL;
	result.errors = NULL;
	r = read_text(hands->answer, result.output_size, &result.output);
	if (r == 0)
		r = read_text(hands->answer, result.errors_size, &result.errors);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_INTERNAL, "cannot take the answer of the %s", verb);
	*ret_result = result;
	result = (struct kt_child_result){.exit_status = -1};
	return 0;
}

bool kt_runner_look(struct kt_runner *hands, struct kt_stuck *stuck, unsigned grace_ms)
{
	struct request request = {.verb = LOOK, .timeout_ms = grace_ms};
	struct reply reply;

	/* Gone: so are its children, and we with them. */
	if (exchange(hands, &request, &reply, NULL) < 0)
		return false;
	if (reply.r && reply.stuck.child == stuck->child)
		return true;
	kt_stuck_done(stuck);
	*stuck = reply.stuck;
	stuck->companion = NULL; /* theirs */
	stuck->pidfd = reply.r ? (int)syscall(SYS_pidfd_open, stuck->child, 0) : -1;
	return reply.r;
}

int kt_runner_scrub(struct kt_runner *hands, bool start, struct kt_error *err)
{
	struct request request = {.verb = SCRUB, .timeout_ms = start};
	struct reply reply;
	int r = exchange(hands, &request, &reply, err);

	if (r == 0 && reply.r < 0 && err)
		*err = reply.err;
	return r < 0 ? r : reply.r;
}

int64_t kt_runner_cpu_us(const struct kt_runner *hands)
{
	return hands->cpu_us;
}

/* ---- the hands' side ---- */

static bool is_believed(const struct request *request)
{
	bool is_verb = false;

	if (!memchr(request->verb, '\0', sizeof(request->verb)) || !memchr(request->to, '\0', sizeof(request->to)))
		return false;
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		is_verb = is_verb || strcmp(request->verb, verbs[i]) == 0;
	return is_verb && request->timeout_ms <= LONGEST_MS &&
	       (request->to[0] == '\0' || kt_version_is_valid(request->to));
}

struct desk {
	const struct kt_installer *installer;
	int ask, answer;
	struct kt_stuck stuck;
	pid_t scrub; /* 0: none runs */
	int scrub_fd; /* owned */
};

static int serve_look(struct desk *desk, const struct request *request, struct reply *reply)
{
	reply->r = kt_stuck_look(&desk->stuck, request->timeout_ms);
	reply->stuck = desk->stuck;
	return kt_fs_write_full(desk->answer, reply, sizeof(*reply));
}

static int serve_scrub(struct desk *desk, const struct request *request, struct reply *reply)
{
	struct pollfd polled = {.fd = desk->scrub_fd, .events = POLLIN};

	if (desk->scrub != 0 && poll(&polled, 1, 0) > 0) {
		(void)waitpid(desk->scrub, NULL, WNOHANG); /* the search for stuck processes may have buried it */
		kt_close_fd(&desk->scrub_fd);
		desk->scrub = 0;
	}
	reply->r = desk->scrub != 0;
	if (request->timeout_ms != 0 && desk->scrub == 0)
		reply->r = kt_installer_start(desk->installer, SCRUB, &desk->scrub, &desk->scrub_fd, &reply->err) < 0 ?
				   -reply->err.code :
				   1;
	return kt_fs_write_full(desk->answer, reply, sizeof(*reply));
}

static int serve_verb(struct desk *desk, const struct request *request, struct reply *reply)
{
	KT_OWN(kt_child_result_done) struct kt_child_result result = {.exit_status = -1};
	int r;

	reply->r = kt_installer_call(desk->installer, request->verb, request->to[0] ? request->to : NULL,
				     request->timeout_ms, &result, &reply->err);
	reply->result = result;
	reply->cpu_us = kt_clock_cpu_us(RUSAGE_SELF) + kt_clock_cpu_us(RUSAGE_CHILDREN);
	r = kt_fs_write_full(desk->answer, reply, sizeof(*reply));
	if (r == 0 && reply->r == 0)
		r = kt_fs_write_full(desk->answer, result.output, result.output_size);
	if (r == 0 && reply->r == 0)
		r = kt_fs_write_full(desk->answer, result.errors, result.errors_size);
	return r;
}

static int serve_one(struct desk *desk)
{
	struct request request;
	struct reply reply = {.r = 0};
	int r = read_full(desk->ask, &request, sizeof(request));

	if (r < 0)
		return r;
	if (!is_believed(&request)) {
		kt_log(KT_LOG_ERROR, "the agent asked its hands for what it never asks: ending", NULL);
		_exit(EXIT_BETRAYED);
	}
	if (strcmp(request.verb, LOOK) == 0)
		return serve_look(desk, &request, &reply);
	return strcmp(request.verb, SCRUB) == 0 ? serve_scrub(desk, &request, &reply) : serve_verb(desk, &request, &reply);
}

/* When the head ends, so do the hands, in the middle of a verb or not, with its status. Others are only reaped: what a
 * proof left behind; the verb at hand is waited for where it was started. */
static void child_ended(int number)
{
	int saved = errno;
	siginfo_t info = {.si_pid = 0};

	(void)number;
	if (waitid(P_PID, (id_t)head_pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == head_pid)
		_exit(info.si_code == CLD_EXITED ? info.si_status : EXIT_BETRAYED);
	errno = saved;
}

static void end_now(int number)
{
	(void)number;
	_exit(KT_EXIT_DONE);
}

__attribute__((noreturn)) static void hands_main(const struct kt_installer *installer, int ask, int answer)
{
	struct sigaction on_child = {.sa_handler = child_ended, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
	struct sigaction on_end = {.sa_handler = end_now};
	struct desk desk = {.installer = installer, .ask = ask, .answer = answer, .scrub_fd = -1};
	struct kt_error err = {.reason = KT_REASON_NONE};

	kt_stuck_init(&desk.stuck);
	desk.stuck.spared = head_pid;
	desk.stuck.companion = &desk.scrub;
	/* PID 1 of a container ignores a signal that it has no handler for. */
	if (sigaction(SIGCHLD, &on_child, NULL) != 0 || sigaction(SIGTERM, &on_end, NULL) != 0 ||
	    sigaction(SIGINT, &on_end, NULL) != 0 || kt_rights_runner(&err) != 0) {
		kt_log(KT_LOG_ERROR, "cannot start", "reason", kt_reason_name(err.reason), "err", err.text, NULL);
		_exit(KT_EXIT_FAILED);
	}
	kt_stuck_inherit();
	child_ended(SIGCHLD); /* before there was a handler */
	while (serve_one(&desk) == 0)
		continue;
	/* The head is going; SIGCHLD brings its status. */
	(void)waitpid(head_pid, NULL, 0);
	_exit(EXIT_BETRAYED);
}

/* ---- making two of one ---- */

/* Of the three that main left us: stdin is nobody's, and a socket of another network would be a way back to it. One of
 * this machine's own (the journal's) is fine. */
static int refuse_sockets(struct kt_error *err)
{
	KT_OWN(kt_close_fd) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot open /dev/null for stdin");
	for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
		int domain = AF_UNIX;
		socklen_t size = sizeof(domain);

		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain != AF_UNIX)
			return kt_fail(err, EINVAL, KT_REASON_INTERNAL,
				       "descriptor %d is a network socket: the agent takes none, give it a file or a pipe",
				       fd);
	}
	return 0;
}

static int head_begin(struct kt_installer *installer, pid_t hands_pid, int ask, int answer, struct kt_error *err)
{
	struct kt_runner *hands = malloc(sizeof(*hands));

	if (!hands)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	*hands = (struct kt_runner){.ask = ask, .answer = answer};
	installer->runner = hands; /* for as long as the process lives */
	(void)prctl(PR_SET_NAME, HEAD_NAME);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != hands_pid)
		return kt_fail(err, ECHILD, KT_REASON_INTERNAL, "the process that runs the verbs is gone");
	return kt_rights_agent(err);
}

int kt_runner_start(struct kt_installer *installer, struct kt_error *err)
{
	pid_t hands_pid = getpid();
	int ask[2], answer[2], failed = refuse_sockets(err);

	if (failed == 0)
		failed = kt_rights_network(err);
	if (failed)
		return failed;
	if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot make a pipe");
	head_pid = fork();
	if (head_pid < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot start a second process");
	if (head_pid > 0) {
		(void)close(ask[1]);
		(void)close(answer[0]);
		hands_main(installer, ask[0], answer[1]);
	}
	(void)close(ask[0]);
	(void)close(answer[1]);
	return head_begin(installer, hands_pid, ask[1], answer[0], err);
}
