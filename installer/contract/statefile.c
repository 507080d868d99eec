/* The folder is watched, not the file: the writer renames a new file into place, and a watch would stay with the old
 * one. */
#include "kontain/contract/statefile.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "kontain/base/own.h"

#define HOME_EVENTS  (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_CLOSE_WRITE | IN_DELETE)
#define ABOVE_EVENTS (IN_CREATE | IN_MOVED_TO)
#define SELF_EVENTS  (IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Cuts the last part off: "/a/b" -> "/a" -> "/", "a" -> ".". False when there is nothing above. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (strcmp(path, "/") == 0 || strcmp(path, ".") == 0)
		return false;
	if (!slash)
		strcpy(path, ".");
	else if (slash == path)
		path[1] = '\0';
	else
		*slash = '\0';
	return true;
}

static void set_watch(struct kt_statefile *file)
{
	char folder[PATH_MAX];
	bool is_at_home = true;
	int watch = -1;

	if (file->inotify < 0 || (size_t)snprintf(folder, sizeof(folder), "%s", file->path) >= sizeof(folder))
		return;
	while (watch < 0 && go_up(folder)) {
		watch = inotify_add_watch(file->inotify, folder,
					  (is_at_home ? HOME_EVENTS : ABOVE_EVENTS) | SELF_EVENTS);
		is_at_home = is_at_home && watch >= 0;
	}
	/* The same folder is the same watch; another one took its place, or it came to be. */
	if (file->watch >= 0 && file->watch != watch)
		inotify_rm_watch(file->inotify, file->watch);
	file->watch = watch;
	file->is_at_home = is_at_home;
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

void kt_statefile_look(struct kt_statefile *file, bool read_anyway)
{
	struct stat now = {0};
	int problem;

	set_watch(file);
	/* Looked at before it is read: one that is renamed into place in between differs next time. */
	problem = stat(file->path, &now) < 0 ? errno : 0;
	if (!read_anyway && problem == file->seen_problem && (problem || is_same_file(&now, &file->seen)))
		return;
	file->seen_problem = problem;
	file->seen = now;
	file->has_state = kt_state_read(file->path, &file->state, &file->why) == 0;
}

bool kt_statefile_take(struct kt_statefile *file)
{
	union {
		struct inotify_event event;
		char bytes[4096];
	} buffer;
	bool is_ours = false;
	ssize_t got;

	while ((got = read(file->inotify, &buffer, sizeof(buffer))) > 0) {
		for (char *at = buffer.bytes; at < buffer.bytes + got;) {
			struct inotify_event event;

			memcpy(&event, at, sizeof(event));
			/* The writer's temporary file beside ours is no news. A removed watch, a lost event, the folder
			 * itself or one above it: look. */
			if (!file->is_at_home || event.len == 0 ||
			    strcmp(at + sizeof(event), file_name(file->path)) == 0)
				is_ours = true;
			at += sizeof(event) + event.len;
		}
	}
	return is_ours;
}

void kt_statefile_open(struct kt_statefile *file, const char *path, const char **ret_problem)
{
	*file = (struct kt_statefile){.path = path, .watch = -1};
	file->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	*ret_problem = file->inotify < 0 ? strerror(errno) : NULL;
	kt_statefile_look(file, true);
}

void kt_statefile_close(struct kt_statefile *file)
{
	kt_close_fd(&file->inotify);
}
