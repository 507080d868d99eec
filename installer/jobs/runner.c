/* Two pipes, a line each way (kontain/contract/message.h): what the agent can say is a job of the table, a version
 * and a deadline. Whoever took over the agent could have a job run at the wrong time, and nothing else: bundle,
 * places and config are those of the command line and of the config as it was read once, before the two were made;
 * the root is the runner's choice. A request is at most 256 printable bytes without nesting before any parser sees
 * it, and an agent that asks for anything else is not believed any further.
 *
 * The runner is the process that was started, so that it is PID 1 in a container: what a job leaves behind comes to it.
 * If either process exits, the other is killed (PDEATHSIG, SIGCHLD). */
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

#include "jobs.h"
#include "kontain/base/clock.h"
#include "kontain/base/fs.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"
#include "rights.h"
#include "root.h"
#include "spawn.h"

#define AGENT_NAME    "kontain-agent" /* in ps */
#define REPLY_MAX     (192 * 1024)
#define EXIT_BETRAYED 1

struct kt_runner {
	int ask; /* owned */
	int answer;
	int64_t cpu_us;
	bool is_verifying;
};

static pid_t agent_pid;

/* ---- the pipes ---- */

/* Owned, with its newline; -EMSGSIZE when none ends within size. Nobody says a second thing before he has his answer,
 * so there is nothing behind it. */
static int read_line(int fd, size_t size, char **ret_line, size_t *ret_size)
{
	KT_OWN(kt_free_mem) char *line = malloc(size);
	size_t done = 0;

	while (line && done < size) {
		ssize_t got = read(fd, line + done, size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? kt_negative_errno() : -EPIPE;
		done += (size_t)got;
		if (line[done - 1] == '\n') {
			*ret_line = kt_take_ptr(&line);
			*ret_size = done;
			return 0;
		}
	}
	return line ? -EMSGSIZE : -ENOMEM;
}

static int write_line(int fd, const char *line)
{
	return line ? kt_fs_write_full(fd, line, strlen(line)) : -ENOMEM;
}

/* ---- the agent's side ---- */

static int exchange(struct kt_runner *runner, const struct kt_request *request, struct kt_reply *ret_reply,
		    struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *question = kt_request_print(request);
	KT_OWN(kt_free_mem) char *line = NULL;
	size_t size = 0;
	int r = write_line(runner->ask, question);

	if (r == 0)
		r = read_line(runner->answer, REPLY_MAX, &line, &size);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_INTERNAL, "lost connection to the runner process (job %s)",
				     request->job);
	r = kt_reply_parse(line, size, ret_reply, err);
	if (r < 0)
		return kt_fail_prefix(err, "cannot read the runner's reply to %s", request->job);
	runner->cpu_us = ret_reply->cpu_us;
	runner->is_verifying = ret_reply->is_verifying;
	return 0;
}

/* Of a question that the runner answers itself. */
static int ask(struct kt_runner *runner, const char *job, unsigned timeout_ms, struct kt_reply *ret_reply,
	       struct kt_error *err)
{
	struct kt_request request = {.timeout_ms = timeout_ms};

	(void)snprintf(request.job, sizeof(request.job), "%s", job);
	return exchange(runner, &request, ret_reply, err);
}

int kt_runner_call(struct kt_runner *runner, const struct kt_request *request, struct kt_child_result *ret_result,
		   struct kt_error *err)
{
	KT_OWN(kt_reply_done) struct kt_reply reply = {.error.reason = KT_REASON_NONE};
	int r = exchange(runner, request, &reply, err);

	if (r < 0)
		return r;
	if (reply.error.reason != KT_REASON_NONE) {
		*err = reply.error;
		return -reply.error.code;
	}
	*ret_result = reply.ended;
	reply.ended = (struct kt_child_result){.exit_status = -1};
	return 0;
}

bool kt_runner_look(struct kt_runner *runner, struct kt_stuck *stuck, unsigned grace_ms)
{
	KT_OWN(kt_reply_done) struct kt_reply reply = {.error.reason = KT_REASON_NONE};
	struct kt_error ignored;

	/* Gone: so are its children, and we with them. */
	if (ask(runner, "stuck", grace_ms, &reply, &ignored) < 0)
		return false;
	if (reply.stuck.child != 0 && reply.stuck.child == stuck->child)
		return true;
	kt_stuck_done(stuck);
	kt_stuck_init(stuck);
	if (reply.stuck.child == 0)
		return false;
	stuck->child = reply.stuck.child;
	stuck->pid = reply.stuck.pid;
	stuck->since = reply.stuck.since;
	memcpy(stuck->program, reply.stuck.program, sizeof(stuck->program));
	stuck->pidfd = (int)syscall(SYS_pidfd_open, stuck->child, 0);
	return true;
}

void kt_runner_root(struct kt_runner *runner, char ret_root[KT_CONFIG_PATH_MAX])
{
	KT_OWN(kt_reply_done) struct kt_reply reply = {.error.reason = KT_REASON_NONE};
	struct kt_error ignored;

	if (ask(runner, "root", 0, &reply, &ignored) == 0)
		(void)snprintf(ret_root, KT_CONFIG_PATH_MAX, "%s", reply.root);
}

int kt_runner_verify(struct kt_runner *runner, struct kt_error *err)
{
	KT_OWN(kt_reply_done) struct kt_reply reply = {.error.reason = KT_REASON_NONE};
	int r = ask(runner, "scrub", 0, &reply, err);

	if (r == 0 && reply.error.reason != KT_REASON_NONE) {
		*err = reply.error;
		r = -reply.error.code;
	}
	return r;
}

bool kt_runner_is_verifying(const struct kt_runner *runner)
{
	return runner->is_verifying;
}

int64_t kt_runner_cpu_us(const struct kt_runner *runner)
{
	return runner->cpu_us;
}

/* ---- the runner's side ---- */

/* The job of a request that an honest agent makes; NULL for any other. */
static const struct kt_job *believe(const struct kt_request *request)
{
	const struct kt_job *job = kt_job_find(request->job);

	if (!job || request->timeout_ms > job->timeout_max_ms || (request->version[0] != '\0' && !job->takes_version))
		return NULL;
	return job;
}

struct desk {
	struct kt_installer *installer;
	int ask, answer;
	struct kt_stuck stuck;
	pid_t background;  /* of the verification; 0: none runs */
	int background_fd; /* owned */
};

static void bury_background(struct desk *desk)
{
	struct pollfd polled = {.fd = desk->background_fd, .events = POLLIN};

	if (desk->background == 0 || poll(&polled, 1, 0) <= 0)
		return;
	(void)waitpid(desk->background, NULL, WNOHANG); /* the search for stuck processes may have buried it */
	kt_close_fd(&desk->background_fd);
	desk->background = 0;
}

static void answer_question(struct desk *desk, const struct kt_request *request)
{
	if (strcmp(request->job, "root") == 0)
		kt_root_choose(desk->installer);
	else
		(void)kt_stuck_look(&desk->stuck, request->timeout_ms);
}

static void fill_reply(const struct desk *desk, struct kt_reply *reply)
{
	const struct kt_stuck *stuck = &desk->stuck;

	reply->cpu_us = kt_clock_cpu_us(RUSAGE_SELF) + kt_clock_cpu_us(RUSAGE_CHILDREN);
	reply->is_verifying = desk->background != 0;
	reply->stuck = (struct kt_stuck_child){.child = stuck->child, .pid = stuck->pid, .since = stuck->since};
	memcpy(reply->stuck.program, stuck->program, sizeof(reply->stuck.program));
	(void)snprintf(reply->root, sizeof(reply->root), "%s", desk->installer->root);
}

static int serve(struct desk *desk, const struct kt_job *job, const struct kt_request *request)
{
	KT_OWN(kt_reply_done) struct kt_reply reply = {.error.reason = KT_REASON_NONE};
	KT_OWN(kt_free_mem) char *line = NULL;

	bury_background(desk);
	if (job->kind == KT_JOB_RUNNER)
		answer_question(desk, request);
	else if (job->kind == KT_JOB_CHILD)
		(void)kt_spawn_run(desk->installer, request, &reply.ended, &reply.error);
	else if (desk->background == 0)
		(void)kt_spawn_start(desk->installer, request, &desk->background, &desk->background_fd, &reply.error);
	fill_reply(desk, &reply);
	line = kt_reply_print(&reply);
	return write_line(desk->answer, line);
}

static int serve_one(struct desk *desk)
{
	KT_OWN(kt_free_mem) char *line = NULL;
	const struct kt_job *job = NULL;
	struct kt_request request;
	struct kt_error err = {.reason = KT_REASON_NONE};
	size_t size = 0;
	int r = read_line(desk->ask, KT_REQUEST_BYTES_MAX, &line, &size);

	if (r < 0 && r != -EMSGSIZE)
		return r;
	if (r == 0 && kt_request_parse(line, size, &request, &err) == 0)
		job = believe(&request);
	if (!job) {
		kt_log(KT_LOG_ERROR, "invalid request from the agent process; exiting", NULL);
		_exit(EXIT_BETRAYED);
	}
	return serve(desk, job, &request);
}

/* When the agent ends, so does the runner, in the middle of a job or not, with its status. Others are only reaped:
 * what a proof left behind; the job at hand is waited for where it was started. */
static void child_ended(int number)
{
	int saved = errno;
	siginfo_t info = {.si_pid = 0};

	(void)number;
	if (waitid(P_PID, (id_t)agent_pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == agent_pid)
		_exit(info.si_code == CLD_EXITED ? info.si_status : EXIT_BETRAYED);
	errno = saved;
}

static void end_now(int number)
{
	(void)number;
	_exit(KT_EXIT_DONE);
}

/* The config's bytes were read once, before there were two: both take the same of them, each behind its own filter. */
static int take_config(struct kt_installer *installer, const struct kt_config_sources *config, struct kt_error *err)
{
	return kt_config_take(config, &installer->config, err);
}

__attribute__((noreturn)) static void runner_main(struct desk *desk, const struct kt_config_sources *config)
{
	struct sigaction on_child = {.sa_handler = child_ended, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
	struct sigaction on_end = {.sa_handler = end_now};
	struct kt_error err = {.reason = KT_REASON_NONE};

	kt_stuck_init(&desk->stuck);
	desk->stuck.spared = agent_pid;
	desk->stuck.background = &desk->background;
	/* PID 1 of a container ignores a signal that it has no handler for. */
	if (sigaction(SIGCHLD, &on_child, NULL) != 0 || sigaction(SIGTERM, &on_end, NULL) != 0 ||
	    sigaction(SIGINT, &on_end, NULL) != 0 || kt_rights_runner(&err) != 0) {
		kt_log(KT_LOG_ERROR, "cannot start", "reason", kt_reason_name(err.reason), "err", err.text, NULL);
		_exit(KT_EXIT_FAILED);
	}
	kt_stuck_inherit();
	child_ended(SIGCHLD); /* before there was a handler */
	/* a config that cannot be used ends the agent, which says why */
	if (take_config(desk->installer, config, &err) == 0)
		while (serve_one(desk) == 0)
			continue;
	/* The agent is going; SIGCHLD brings its status. */
	(void)waitpid(agent_pid, NULL, 0);
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
				       "descriptor %d is a network socket; use a file or a pipe instead", fd);
	}
	return 0;
}

static int agent_begin(pid_t runner_pid, struct kt_error *err)
{
	(void)prctl(PR_SET_NAME, AGENT_NAME);
	return kt_rights_agent(runner_pid, err);
}

/* Comes back in the agent alone. */
static int split(struct kt_installer *installer, struct kt_runner *runner, const struct kt_config_sources *config,
		 struct kt_error *err)
{
	pid_t runner_pid = getpid();
	int ask[2], answer[2], failed;

	if (pipe2(ask, O_CLOEXEC) < 0 || pipe2(answer, O_CLOEXEC) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot create a pipe");
	agent_pid = fork();
	if (agent_pid < 0)
		return kt_fail_errno(err, errno, KT_REASON_PROCESS_LIMIT, "cannot start the agent process");
	if (agent_pid > 0) {
		struct desk desk = {.installer = installer, .ask = ask[0], .answer = answer[1], .background_fd = -1};

		(void)close(ask[1]);
		(void)close(answer[0]);
		runner_main(&desk, config);
	}
	(void)close(ask[0]);
	(void)close(answer[1]);
	*runner = (struct kt_runner){.ask = ask[1], .answer = answer[0]};
	failed = agent_begin(runner_pid, err);
	return failed ? failed : take_config(installer, config, err);
}

int kt_runner_start(struct kt_installer *installer, struct kt_error *err)
{
	static struct kt_runner runner; /* the agent has one, for as long as it lives */
	KT_OWN(kt_config_sources_done) struct kt_config_sources config = {.count = 0};
	int failed = refuse_sockets(err);

	if (failed == 0)
		failed = kt_rights_state_folder(installer->options.state, err);
	if (failed == 0)
		failed = kt_rights_network(err);
	if (failed == 0 && installer->options.config != NULL)
		failed = kt_config_read(installer->options.config, &config, err);
	if (failed == 0)
		failed = split(installer, &runner, &config, err);
	if (failed == 0)
		installer->runner = &runner;
	return failed;
}
