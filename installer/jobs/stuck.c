/* Every child of a reconcile is waited for or killed before the reconcile ends, and so is what it started. Whatever
 * of ours is still there afterwards was killed and is held by the kernel: in a device's ioctl that does not return,
 * or in its exit. A number is not given to another process while its child is unburied, and nobody but us buries it.
 *
 * As the first process of a container we also inherit strangers (of an exec into it); they run other programs. */
#include "stuck.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kontain/base/own.h"
#include "kontain/base/proc.h"

#define LOOK_EVERY_MS 20
#define DEPTH_MAX     4 /* selftest, its keeper, the namespace's first process, km */

void kt_stuck_init(struct kt_stuck *stuck)
{
	*stuck = (struct kt_stuck){.pidfd = -1};
}

void kt_stuck_done(struct kt_stuck *stuck)
{
	kt_close_fd(&stuck->pidfd);
}

void kt_stuck_inherit(void)
{
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1);
}

/* An exiting process has no program any more: then it is one of those that we ended. */
static bool is_ours(pid_t pid)
{
	KT_OWN(kt_close_fd) int proc = kt_proc_open("");
	char path[32];
	struct stat own, its;

	snprintf(path, sizeof path, "%d/exe", (int)pid);
	if (fstatat(proc, "self/exe", &own, 0) != 0 || fstatat(proc, path, &its, 0) != 0)
		return true;
	return own.st_dev == its.st_dev && own.st_ino == its.st_ino;
}

/* A living child of parent, 0 for none. */
static pid_t find_child(pid_t parent, pid_t spared, pid_t background, bool of_ours,
			char ret_program[KT_PROCESS_PROGRAM_MAX])
{
	KT_OWN(kt_close_fd) int proc = kt_proc_open("");
	int list = proc < 0 ? -1 : openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_OWN(kt_close_dir) DIR *dir = list < 0 ? NULL : fdopendir(list); /* takes the descriptor */
	const struct dirent *entry;
	struct kt_process its;
	char path[64];

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		pid_t pid = atoi(entry->d_name);

		if (pid == spared || pid == background || !isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof path, "%.20s/stat", entry->d_name);
		if (!kt_process_read(proc, path, &its) || its.state == 'Z' || its.parent != parent ||
		    (of_ours && !is_ours(pid)))
			continue;
		memcpy(ret_program, its.program, sizeof its.program);
		return pid;
	}
	return 0;
}

/* The spared one's number alone? Where the kernel keeps no such list (CONFIG_PROC_CHILDREN), it may be more. */
static bool has_others(pid_t spared)
{
	char text[64], *end;

	if (kt_proc_read("", "thread-self/children", text, sizeof text) < 0)
		return true;
	return strtol(text, &end, 10) != spared || end[strspn(end, " ")] != '\0';
}

/* Buries all that ended; true when a child may be left. */
static bool bury(pid_t spared)
{
	siginfo_t info;

	do
		info.si_pid = 0;
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0);
	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && (spared == 0 || has_others(spared));
}

static void forget(struct kt_stuck *stuck)
{
	const pid_t *background = stuck->background;
	pid_t spared = stuck->spared;

	kt_stuck_done(stuck);
	kt_stuck_init(stuck);
	stuck->spared = spared;
	stuck->background = background;
}

static void note(struct kt_stuck *stuck, pid_t child, const char *program)
{
	char below[17];
	pid_t pid = child;

	stuck->child = child;
	stuck->pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	stuck->since = time(NULL);
	snprintf(stuck->program, sizeof stuck->program, "%s", program);
	for (int depth = 0; depth < DEPTH_MAX && pid != 0; depth++) {
		stuck->pid = pid;
		pid = find_child(pid, 0, 0, false, below);
		if (pid != 0)
			memcpy(stuck->program, below, sizeof below);
	}
}

/* The child that was noted is unburied as long as it can be waited for. */
static bool is_there(pid_t child)
{
	siginfo_t info;

	return child != 0 && waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

bool kt_stuck_look(struct kt_stuck *stuck, unsigned grace_ms)
{
	const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
	pid_t child, but = stuck->background != NULL ? *stuck->background : 0;
	char program[17];

	for (unsigned waited_ms = 0;; waited_ms += LOOK_EVERY_MS) {
		bool is_left = bury(stuck->spared);

		if (is_left && is_there(stuck->child))
			return true;
		forget(stuck);
		child = is_left ? find_child(getpid(), stuck->spared, but, true, program) : 0;
		if (child == 0) {
			(void)bury(stuck->spared); /* it ended after the first look */
			return false;
		}
		if (waited_ms >= grace_ms)
			break;
		nanosleep(&pause, NULL);
	}
	note(stuck, child, program);
	return true;
}
