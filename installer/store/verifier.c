/* What is verified is what was written: not the source's bytes on their way, but the landed file, opened anew by its
 * name and read back. A source that changes while it is copied, or after, is thereby noticed or harmless.
 *
 * It runs in a child so that digest and copy overlap: on two cores the digest costs next to no time, on one it costs
 * what it would anyway. The parent counts the files that it has written, in the list's order; the child reads as far as
 * the count goes, and leaves one kt_error. Count and answer lie in memory that both share (futex(2) wakes the child):
 * jobs may make no socket, and nobody gets a SIGPIPE from a child that was killed. The child reads only, shares nothing
 * but its answer and the stamps that it takes, and goes when its parent goes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "copy.h"
#include "kontain/base/descriptors.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

enum { CHILD_TREE = 3, CHILD_FDS_END }; /* behind 0 to 2 */

struct kt_verifier_word {
	uint32_t written; /* files, by the parent */
	bool is_answer;   /* err says how it went */
	struct kt_error err;
};

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
	struct kt_reading reading = {.size_bytes = 0};
	struct stat info;
	bool is_settled = false;
	int r = parent < 0 ? parent : fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0 ? kt_negative_errno() : 0;

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

/* Answers after the last file of the list, or at the first that is wrong. */
static void serve(struct check *check, struct kt_verifier_word *word)
{
	uint32_t done = 0, written = 0;

	for (size_t i = 0; i < check->list->count && word->err.code == 0; i++) {
		if (check->list->files[i].link)
			continue;
		while ((written = __atomic_load_n(&word->written, __ATOMIC_ACQUIRE)) == done)
			(void)syscall(SYS_futex, &word->written, FUTEX_WAIT, done, NULL, NULL, 0);
		done++;
		(void)file_check(check, i, &word->err);
	}
	__atomic_store_n(&word->is_answer, true, __ATOMIC_RELEASE);
}

/* Keeps one descriptor and none of its maker's others: not the store's lock, which a child that outlives a killed
 * parent for a moment would hold. */
static bool descriptor_keep(int *tree)
{
	int fd = fcntl(*tree, F_DUPFD_CLOEXEC, CHILD_FDS_END);

	if (fd < 0 || dup2(fd, CHILD_TREE) < 0)
		return false;
	kt_descriptors_close(CHILD_FDS_END);
	*tree = CHILD_TREE;
	return true;
}

static _Noreturn void child_run(const struct kt_verifier *verifier, int tree, const struct kt_filelist *list,
				uint64_t *stamps, pid_t parent)
{
	struct check check = {.list = list, .stamps = stamps};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || !descriptor_keep(&tree) || kt_reader_init(&check.reader) < 0)
		_exit(1);
	kt_way_init(&check.way, tree);
	serve(&check, verifier->word);
	_exit(0);
}

int kt_verifier_start(int tree, const struct kt_filelist *list, uint64_t *stamps, struct kt_verifier *ret_verifier,
		      struct kt_error *err)
{
	KT_OWN(kt_verifier_done) struct kt_verifier verifier = {.pid = -1};
	pid_t self = getpid();
	void *word = mmap(NULL, sizeof(*verifier.word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (word == MAP_FAILED)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	verifier.word = word;
	verifier.pid = fork();
	if (verifier.pid < 0)
		return kt_fail_errno(err, errno, KT_REASON_PROCESS_LIMIT,
				     "cannot start a process that reads back what is written");
	if (verifier.pid == 0)
		child_run(&verifier, tree, list, stamps, self);
	*ret_verifier = verifier;
	verifier = (struct kt_verifier){.pid = -1};
	return 0;
}

void kt_verifier_offer(struct kt_verifier *verifier)
{
	(void)__atomic_add_fetch(&verifier->word->written, 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &verifier->word->written, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void child_reap(struct kt_verifier *verifier)
{
	while (waitpid(verifier->pid, NULL, 0) < 0 && errno == EINTR)
		;
	verifier->pid = -1;
}

int kt_verifier_finish(struct kt_verifier *verifier, struct kt_error *err)
{
	const struct kt_verifier_word *word = verifier->word;

	child_reap(verifier);
	if (!__atomic_load_n(&word->is_answer, __ATOMIC_ACQUIRE))
		return kt_fail(err, EIO, KT_REASON_JOB_KILLED,
			       "the process that reads back what was written was killed");
	return word->err.code ? kt_fail(err, word->err.code, word->err.reason, "%s", word->err.text) : 0;
}

void kt_verifier_done(struct kt_verifier *verifier)
{
	int saved = errno;

	if (verifier->pid > 0) {
		(void)kill(verifier->pid, SIGKILL);
		child_reap(verifier);
	}
	if (verifier->word)
		(void)munmap(verifier->word, sizeof(*verifier->word));
	verifier->word = NULL;
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
