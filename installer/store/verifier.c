/* What is verified is what was written: not the source's bytes on their way, but the landed file, opened anew by its
 * name and read back. A source that changes while it is copied, or after, is thereby noticed or harmless.
 *
 * It runs in a child so that digest and copy overlap: on two cores the digest costs next to no time, on one it costs
 * what it would anyway. The parent sends indices of written files and closes its end; the child answers with one
 * kt_error. The child reads only, shares nothing but the stamps that it takes, and goes when its parent goes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy.h"
#include "kontain/base/descriptors.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

enum { CHILD_TREE = 3, CHILD_LINK, CHILD_FDS_END }; /* behind 0 to 2 */

struct check {
	struct kt_way way;
	const struct kt_filelist *list;
	uint64_t *stamps;
	struct kt_reader reader;
};

/* A stamp counts only when nothing could have changed within its tick since (kt_stamp_await_tick). The wait is one for
 * many files: they come faster than ticks do. */
static int file_check(struct check *check, size_t index, struct kt_error *err)
{
	const struct kt_file *file = &check->list->files[index];
	const char *name = NULL;
	int parent = kt_way_enter(&check->way, file->path, false, &name);
	struct kt_reading reading;
	struct stat info;
	bool is_settled = false;
	int r = parent < 0 ? parent : fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;

	if (r == 0) {
		is_settled = kt_stamp_await_tick(&info);
		r = kt_reader_read(&check->reader, parent, name, &reading);
	}
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read back %s", file->path);
	if (reading.size_bytes != file->size_bytes || strcmp(reading.sha256, file->sha256) != 0)
		return kt_fail(err, EBADMSG, KT_REASON_DIGEST_MISMATCH,
			       "%s is not what its list says: digest %.12s..., not %.12s...", file->path,
			       reading.sha256, file->sha256);
	if ((reading.info.st_mode & 07777) != file->mode)
		return kt_fail(err, EBADMSG, KT_REASON_IO_ERROR, "%s was written with mode %o, not %o", file->path,
			       reading.info.st_mode & 07777, file->mode);
	if (check->stamps && is_settled && reading.is_steady && kt_stamp(&info) == kt_stamp(&reading.info))
		check->stamps[index] = kt_stamp(&info);
	return 0;
}

/* Answers after the last index; a failure is kept and the rest is drained, so that the parent never blocks. */
static void serve(struct check *check, int link)
{
	struct kt_error err = {.code = 0};
	uint32_t index;
	ssize_t got;

	while ((got = recv(link, &index, sizeof(index), MSG_WAITALL)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got != sizeof(index))
			break;
		if (err.code == 0 && index < check->list->count)
			(void)file_check(check, index, &err);
	}
	while (send(link, &err, sizeof(err), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

/* Keeps two descriptors and none of its maker's others: not the store's lock, which a child that outlives a killed parent
 * for a moment would hold. */
static bool descriptors_keep(int *tree, int *link)
{
	int trees = fcntl(*tree, F_DUPFD_CLOEXEC, CHILD_FDS_END), links = fcntl(*link, F_DUPFD_CLOEXEC, CHILD_FDS_END);

	if (trees < 0 || links < 0 || dup2(trees, CHILD_TREE) < 0 || dup2(links, CHILD_LINK) < 0)
		return false;
	kt_descriptors_close(CHILD_FDS_END);
	*tree = CHILD_TREE;
	*link = CHILD_LINK;
	return true;
}

static _Noreturn void child_run(int tree, const struct kt_filelist *list, uint64_t *stamps, int link, pid_t parent)
{
	struct check check = {.list = list, .stamps = stamps};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || !descriptors_keep(&tree, &link) || kt_reader_init(&check.reader) < 0)
		_exit(1);
	kt_way_init(&check.way, tree);
	serve(&check, link);
	_exit(0);
}

int kt_verifier_start(int tree, const struct kt_filelist *list, uint64_t *stamps, struct kt_verifier *ret_verifier,
		      struct kt_error *err)
{
	KT_OWN(kt_close_fd) int ours = -1;
	KT_OWN(kt_close_fd) int theirs = -1;
	pid_t self = getpid();
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot make a socket pair");
	ours = pair[0];
	theirs = pair[1];

	pid_t pid = fork();

	if (pid < 0)
		return kt_fail_errno(err, errno, KT_REASON_PROCESS_LIMIT,
				     "cannot start a process that reads back what is written");
	if (pid == 0) {
		kt_close_fd(&ours);
		child_run(tree, list, stamps, theirs, self);
	}
	*ret_verifier = (struct kt_verifier){.pid = pid, .link = kt_take_fd(&ours)};
	return 0;
}

void kt_verifier_offer(struct kt_verifier *verifier, uint32_t index)
{
	while (send(verifier->link, &index, sizeof(index), MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void child_reap(struct kt_verifier *verifier)
{
	while (waitpid(verifier->pid, NULL, 0) < 0 && errno == EINTR)
		;
	verifier->pid = -1;
}

int kt_verifier_finish(struct kt_verifier *verifier, struct kt_error *err)
{
	struct kt_error answer = {.code = 0};
	ssize_t got;

	(void)shutdown(verifier->link, SHUT_WR);
	do
		got = recv(verifier->link, &answer, sizeof(answer), MSG_WAITALL);
	while (got < 0 && errno == EINTR);
	child_reap(verifier);
	kt_close_fd(&verifier->link);
	if (got != sizeof(answer))
		return kt_fail(err, EIO, KT_REASON_JOB_KILLED,
			       "the process that reads back what was written was killed");
	if (answer.code == 0)
		return 0;
	answer.text[sizeof(answer.text) - 1] = '\0';
	return kt_fail(err, answer.code, answer.reason, "%s", answer.text);
}

void kt_verifier_done(struct kt_verifier *verifier)
{
	int saved = errno;

	kt_close_fd(&verifier->link);
	if (verifier->pid > 0) {
		(void)kill(verifier->pid, SIGKILL);
		child_reap(verifier);
	}
	errno = saved;
}

uint64_t *kt_stamps_new(size_t count)
{
	void *stamps = mmap(NULL, count * sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return stamps == MAP_FAILED ? NULL : stamps;
}

void kt_stamps_free(uint64_t *stamps, size_t count)
{
	if (stamps)
		(void)munmap(stamps, count * sizeof(uint64_t));
}
