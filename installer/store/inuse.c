/* Who holds what lies in the store, in one walk of /proc.
 *
 * A process holds a version by its program, its root, its working directory, a mapped or an open file, or because its
 * mount namespace has a part of the version mounted; each of its threads may have root, folder, files and mounts of its
 * own. Processes come and go while we look: one that vanishes holds
 * nothing. One that we may not look into is believed to hold everything when it is called km, and is not counted
 * otherwise: it could be any of the host's. The kernel is asked not to go to a server or a FUSE daemon for what it
 * reports an open file (AT_STATX_DONT_SYNC): a dead NFS must not hang a prune.
 *
 * A mount of the root itself, or of versions/ whole, holds no version, as it follows a switch; but it holds that
 * folder, which an uninstall must not take from under it.
 *
 * Our own processes hold nothing: who runs from the same program file (device and inode) as we do, and what that
 * started, as a proof starts km. They read for a moment and lose nothing when a name goes. An installer of another
 * image is another file: it counts while it reads. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inuse.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/proc.h"

/* Deeper no tree of processes is that we start. */
#define ANCESTORS_MAX 64

/* A mount namespace, as a process in it sees it: one with a root of its own sees the mounts below that alone. */
struct view {
	uint64_t namespace, root, root_mount;
};

struct scan {
	struct kt_places places;
	struct kt_users users;
	struct kt_users mounts; /* of the host's namespace, behind the processes in the end */
	uint64_t namespaces[2]; /* the host's own: ours, and the first process's; 0 for what is not known */
	struct view *views;     /* owned: those that were read */
	size_t view_count;
	int proc; /* borrowed */
	char self[32];
	struct statx program; /* ours */
	bool has_program;
};

void kt_users_done(struct kt_users *users)
{
	free(users->list);
	*users = (struct kt_users){.list = NULL};
}

static void scan_done(struct scan *scan)
{
	kt_places_done(&scan->places);
	kt_users_done(&scan->users);
	kt_users_done(&scan->mounts);
	free(scan->views);
}

static bool runs_our_program(const struct scan *scan, int process)
{
	struct statx info;

	return scan->has_program && statx(process, "exe", AT_STATX_DONT_SYNC, STATX_INO, &info) == 0 &&
	       info.stx_ino == scan->program.stx_ino && info.stx_dev_major == scan->program.stx_dev_major &&
	       info.stx_dev_minor == scan->program.stx_dev_minor;
}

/* 0 when it has none, or has gone. */
static int parent_of(int process)
{
	struct kt_process its;

	return kt_process_read(process, "stat", &its) ? its.parent : 0;
}

/* We, or what we started? A parent that ends gives its child another: it is the one that was asked only while the child
 * still names it. */
static bool is_ours(const struct scan *scan, int process)
{
	KT_OWN(kt_close_fd) int above = -1;

	if (runs_our_program(scan, process))
		return true;
	for (int i = 0; i < ANCESTORS_MAX; i++) {
		int child = above >= 0 ? above : process;
		int parent = parent_of(child);
		char name[16];

		if (parent == 0)
			return false;
		(void)snprintf(name, sizeof(name), "%d", parent);

		KT_OWN(kt_close_fd) int next = openat(scan->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (next < 0 || parent_of(child) != parent)
			return false;
		if (runs_our_program(scan, next))
			return parent_of(child) == parent;
		kt_close_fd(&above);
		above = kt_take_fd(&next);
	}
	return false;
}

static bool has_row(const struct kt_users *users, pid_t pid, const char *place)
{
	for (size_t i = users->count; i > 0 && users->list[i - 1].pid == pid; i--)
		if (strcmp(users->list[i - 1].place, place) == 0)
			return true;
	return false;
}

static int row_put(struct kt_users *users, const struct kt_user *user)
{
	struct kt_user *grown = realloc(users->list, (users->count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	users->list = grown;
	users->list[users->count++] = *user;
	return 0;
}

static int user_add(struct scan *scan, int process, const char *pid, const char *place, const char *how)
{
	struct kt_user user = {.pid = (pid_t)strtol(pid, NULL, 10), .how = how};
	struct kt_process its;

	if (has_row(&scan->users, user.pid, place) || is_ours(scan, process))
		return 0;
	if (kt_process_read(process, "stat", &its))
		memcpy(user.program, its.program, sizeof(user.program));
	(void)snprintf(user.place, sizeof(user.place), "%s", place);
	return row_put(&scan->users, &user);
}

static int mount_add(struct scan *scan, const char *point, const char *place, const char *how)
{
	struct kt_user user = {.how = how};

	if (has_row(&scan->mounts, 0, place))
		return 0;
	(void)snprintf(user.mount, sizeof(user.mount), "%s", point);
	(void)snprintf(user.place, sizeof(user.place), "%s", place);
	return row_put(&scan->mounts, &user);
}

/* At the end, as the first that is found of a place is named, and a process can be asked what it does. */
static int mounts_append(struct scan *scan)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < scan->mounts.count; i++)
		r = row_put(&scan->users, &scan->mounts.list[i]);
	return r;
}

/* 0 also for what has gone; -EACCES for what we may not see. */
static int look_link(struct scan *scan, int process, const char *pid, int dir, const char *name, const char *how)
{
	struct statx info;
	char device[32];

	if (statx(dir, name, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_INO, &info) < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	(void)snprintf(device, sizeof(device), "%u:%u", info.stx_dev_major, info.stx_dev_minor);

	const char *place = kt_places_find(&scan->places, device, info.stx_ino);

	return place ? user_add(scan, process, pid, place, how) : 0;
}

static int look_descriptors(struct scan *scan, int process, const char *pid)
{
	KT_OWN(kt_close_fd) int fd = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_OWN(kt_close_dir) DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!entries)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;

	int dir = kt_take_fd(&fd); /* the stream's now */

	while (r == 0 && (entry = readdir(entries)))
		if (entry->d_name[0] != '.')
			r = look_link(scan, process, pid, dir, entry->d_name, "has a file open in");
	return r;
}

/* "7f00-7f01 r-xp 00000000 08:01 1234   /path": device in hexadecimal, proc_pid_maps(5). */
static int look_mappings(struct scan *scan, int process, const char *pid)
{
	KT_OWN(kt_close_file) FILE *maps = NULL;
	KT_OWN(kt_free_mem) char *line = NULL;
	uint64_t inode, last = 0;
	unsigned major, minor;
	char device[32];
	size_t room = 0;
	int fd = openat(process, "maps", O_RDONLY | O_CLOEXEC), r = 0;

	maps = fd < 0 ? NULL : fdopen(fd, "r");
	if (!maps)
		return errno == EACCES || errno == EPERM ? -EACCES : 0;
	while (r == 0 && getline(&line, &room, maps) > 0) {
		if (sscanf(line, "%*s %*s %*s %x:%x %" SCNu64, &major, &minor, &inode) != 3 || inode == 0 ||
		    inode == last)
			continue;
		last = inode;
		(void)snprintf(device, sizeof(device), "%u:%u", major, minor);

		const char *place = kt_places_find(&scan->places, device, inode);

		r = place ? user_add(scan, process, pid, place, "has a file mapped from") : 0;
	}
	return r;
}

/* 1 when it was read already. *ret_is_host: of the host's own namespace. */
static int view_seen(struct scan *scan, int process, bool *ret_is_host)
{
	struct statx namespace, root;
	struct view view;

	if (statx(process, "ns/mnt", AT_STATX_DONT_SYNC, STATX_INO, &namespace) < 0 ||
	    statx(process, "root", AT_STATX_DONT_SYNC, STATX_INO | STATX_MNT_ID, &root) < 0)
		return errno == EACCES || errno == EPERM ? -EACCES : 1;
	view = (struct view){namespace.stx_ino, root.stx_ino, root.stx_mnt_id};
	*ret_is_host = view.namespace == scan->namespaces[0] || view.namespace == scan->namespaces[1];
	for (size_t i = 0; i < scan->view_count; i++)
		if (memcmp(&scan->views[i], &view, sizeof(view)) == 0)
			return 1;
	if (is_ours(scan, process)) /* another of the namespace may be somebody's */
		return 1;

	struct view *grown = realloc(scan->views, (scan->view_count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	scan->views = grown;
	scan->views[scan->view_count++] = view;
	return 0;
}

/* A mount table's owner, and the line that is looked at. */
struct table {
	struct scan *scan;
	int process;
	const char *pid;
	bool is_host;
	const char *point;
};

enum hold { HOLD_ROOT, HOLD_PART, HOLD_LAYER, HOLD_LINK };

/* Who has mounted it in the host's own namespace is not known, and where it is can be seen. */
static int mount_hold(const struct table *table, const char *place, enum hold hold)
{
	static const struct {
		const char *process, *host;
	} words[] = {
		[HOLD_ROOT] = {"has mounted", "it is mounted at"},
		[HOLD_PART] = {"has mounted a part of", "a part of it is mounted at"},
		[HOLD_LAYER] = {"has an overlay over a part of", "an overlay over a part of it is mounted at"},
		[HOLD_LINK] = {"has an overlay over a link to", "an overlay over a link to it is mounted at"},
	};

	if (table->is_host)
		return mount_add(table->scan, table->point, place, words[hold].host);
	return user_add(table->scan, table->process, table->pid, place, words[hold].process);
}

static int layer_visit(void *context, const char *place)
{
	return mount_hold(context, place, strcmp(place, KT_PLACE_ANY) == 0 ? HOLD_LINK : HOLD_LAYER);
}

/* Every process of a namespace, and with the same root, has the same mounts: the first one found stands for all. */
static int look_mounts(struct scan *scan, int process, const char *pid)
{
	KT_OWN(kt_mounts_done) struct kt_mounts mounts = {.text = NULL};
	struct table table = {.scan = scan, .process = process, .pid = pid};
	int r = view_seen(scan, process, &table.is_host);

	if (r != 0)
		return r < 0 ? r : 0;
	r = kt_mounts_read(process, &mounts);
	if (r < 0) { /* gone before it was read: another process of it is asked */
		scan->view_count--;
		return r == -EACCES || r == -EPERM ? -EACCES : r == -ENOMEM ? r : 0;
	}
	for (size_t i = 0; r == 0 && i < mounts.count; i++) {
		const char *place = kt_places_of_mount(&scan->places, &mounts, i);

		table.point = mounts.lines[i].point;
		if (place)
			r = mount_hold(&table, place, strcmp(place, ".") == 0 ? HOLD_ROOT : HOLD_PART);
		if (r == 0 && mounts.lines[i].overlay)
			r = kt_places_each_layer(&scan->places, &mounts, i, layer_visit, &table);
	}
	return r;
}

/* What this process's own namespace, the host's most likely, has mounted somewhere in a place: that goes with it. */
static int look_below(struct scan *scan)
{
	KT_OWN(kt_mounts_done) struct kt_mounts mounts = {.text = NULL};
	KT_OWN(kt_close_fd) int self = openat(scan->proc, "self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = self < 0 ? kt_negative_errno() : kt_mounts_read(self, &mounts);

	for (size_t i = 0; r == 0 && i < mounts.count; i++) {
		const char *place = kt_places_below(&scan->places, mounts.lines[i].point);

		r = place ? mount_add(scan, mounts.lines[i].point, place, "something is mounted at") : 0;
	}
	return r;
}

/* How many files it has open; 0 where the kernel does not tell (it does since Linux 6.2). */
static uint64_t count_descriptors(int task)
{
	struct statx info;

	return statx(task, "fd", AT_STATX_DONT_SYNC, STATX_SIZE, &info) == 0 ? info.stx_size : 0;
}

/* What unshare(2) gives a thread of its own: root and folder, open files, mounts. first: of its process, or -1. Each
 * file of each thread would be thousands; one that has as many open as the first is believed to share them. */
static int look_thread(struct scan *scan, int task, int first, const char *pid)
{
	uint64_t count = first < 0 ? 0 : count_descriptors(task);
	int r = look_link(scan, task, pid, task, "root", "has its root in");

	if (r == 0)
		r = look_link(scan, task, pid, task, "cwd", "works in");
	if (r == 0 && (count == 0 || count != count_descriptors(first)))
		r = look_descriptors(scan, task, pid);
	return r == 0 ? look_mounts(scan, task, pid) : r;
}

/* And what all threads of a process share: its memory, and so its program. */
static int look_task(struct scan *scan, int task, const char *pid)
{
	int r = look_link(scan, task, pid, task, "exe", "runs from");

	if (r == 0)
		r = look_mappings(scan, task, pid);
	return r == 0 ? look_thread(scan, task, -1, pid) : r;
}

struct tasks {
	struct scan *scan;
	const char *pid;
	int first; /* borrowed: the process, asked already, whose threads the others are; -1: nobody was asked */
};

static int task_visit(void *context, int dir, const char *name)
{
	const struct tasks *tasks = context;

	if (tasks->first >= 0 && strcmp(name, tasks->pid) == 0)
		return 0;

	KT_OWN(kt_close_fd) int task = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (task < 0)
		return 0;
	return tasks->first >= 0 ? look_thread(tasks->scan, task, tasks->first, tasks->pid) :
				   look_task(tasks->scan, task, tasks->pid);
}

/* The kernel counts a process's threads as the folders in its task/ (2 and one each). */
static bool has_threads(int process)
{
	struct statx info;

	return statx(process, "task", AT_STATX_DONT_SYNC, STATX_NLINK, &info) == 0 && info.stx_nlink > 3;
}

static int process_visit(void *context, int dir, const char *pid)
{
	struct scan *scan = context;
	struct tasks tasks = {.scan = scan, .pid = pid, .first = -1};
	struct kt_process its;
	struct statx info;
	int r;

	if (pid[strspn(pid, "0123456789")] != '\0' || strcmp(pid, scan->self) == 0)
		return 0;

	KT_OWN(kt_close_fd) int process = openat(dir, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (process < 0)
		return 0;
	/* A first thread that has ended shows nothing of a process that lives on in its others. */
	if (statx(process, "exe", AT_STATX_DONT_SYNC, STATX_INO, &info) == 0 || errno != ENOENT)
		tasks.first = process;
	r = tasks.first >= 0 ? look_task(scan, process, pid) : 0;
	if (r == 0 && (tasks.first < 0 || has_threads(process)))
		r = kt_each_entry(process, "task", task_visit, &tasks);
	if (r != -EACCES)
		return r == -ENOMEM ? r : 0; /* all else: it has gone */
	scan->users.unseen++;
	if (!kt_process_read(process, "stat", &its) || strcmp(its.program, "km") != 0)
		return 0;
	return user_add(scan, process, pid, "", "may not be looked into, and may use");
}

static int open_proc(const char *host_prefix, struct kt_error *err)
{
	int fd = kt_proc_open(host_prefix);

	if (fd == -ENOENT)
		return kt_fail(err, ENOTDIR, KT_REASON_PROC_MISSING,
			       "%s/proc is not a proc filesystem: cannot find out who uses the store", host_prefix);
	if (fd < 0)
		return kt_fail_errno(err, -fd, KT_REASON_PROC_MISSING, "cannot open %s/proc to see who uses the store",
				     host_prefix);
	return fd;
}

static uint64_t namespace_of(int proc, const char *path)
{
	struct statx info;

	return statx(proc, path, AT_STATX_DONT_SYNC, STATX_INO, &info) == 0 ? info.stx_ino : 0;
}

static int find_users(const struct kt_store *store, enum kt_scope scope, struct kt_users *ret_users,
		      struct kt_error *err)
{
	char host[sizeof(store->path)];

	kt_store_host(store, host);

	KT_OWN(scan_done) struct scan scan = {.proc = -1};
	KT_OWN(kt_close_fd) int proc = open_proc(host, err);
	int r;

	if (proc < 0)
		return proc;
	scan.proc = proc;
	scan.has_program = statx(proc, "self/exe", AT_STATX_DONT_SYNC, STATX_INO, &scan.program) == 0;

	ssize_t length = readlinkat(proc, "self", scan.self, sizeof(scan.self) - 1);

	scan.self[length > 0 ? length : 0] = '\0';
	scan.namespaces[0] = namespace_of(proc, "self/ns/mnt");
	scan.namespaces[1] = namespace_of(proc, "1/ns/mnt");
	r = kt_places_build(store, proc, scope, &scan.places, err);
	if (r < 0)
		return r;
	r = kt_each_entry(proc, ".", process_visit, &scan);
	if (r == 0)
		r = look_below(&scan);
	if (r == 0)
		r = mounts_append(&scan);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_PROC_MISSING, "cannot read %s/proc", host);
	*ret_users = scan.users;
	scan.users = (struct kt_users){.list = NULL};
	return 0;
}

int kt_store_find_users(const struct kt_store *store, struct kt_users *ret_users, struct kt_error *err)
{
	return find_users(store, KT_SCOPE_ALL, ret_users, err);
}

int kt_store_find_kept_users(const struct kt_store *store, struct kt_users *ret_users, struct kt_error *err)
{
	return find_users(store, KT_SCOPE_KEPT, ret_users, err);
}

const struct kt_user *kt_users_find(const struct kt_users *users, const char *place)
{
	for (size_t i = 0; users && i < users->count; i++)
		if (users->list[i].place[0] == '\0' || strcmp(users->list[i].place, place) == 0)
			return &users->list[i];
	return NULL;
}

void kt_user_print(const struct kt_user *user, char *ret_text, size_t size)
{
	if (user->mount[0])
		(void)snprintf(ret_text, size, "%s %s", user->how, user->mount);
	else
		(void)snprintf(ret_text, size, "process %d (%s) %s it", (int)user->pid, user->program, user->how);
}

int kt_users_refuse(const struct kt_users *users, const char *root, struct kt_error *err)
{
	enum { SHOWN_MAX = 8 };
	char text[320] = "", mount[256] = "";
	size_t used = 0, shown = 0, more = 0;

	for (size_t i = 0; i < users->count; i++) {
		if (users->list[i].mount[0]) {
			if (!mount[0])
				kt_user_print(&users->list[i], mount, sizeof(mount));
			continue;
		}
		if (i > 0 && users->list[i].pid == users->list[i - 1].pid)
			continue; /* another place of the same process */
		if (shown == SHOWN_MAX) {
			more++;
			continue;
		}
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%d %s", shown++ ? ", " : "",
					 (int)users->list[i].pid, users->list[i].program);
	}
	if (shown == 0 && !mount[0])
		return 0;
	if (shown == 0)
		return kt_fail(err, EBUSY, KT_REASON_IN_USE, "%s is in use: %s", root, mount);
	if (more > 0)
		(void)snprintf(text + used, sizeof(text) - used, " and %zu more", more);
	return kt_fail(err, EBUSY, KT_REASON_IN_USE, "%s is in use by process %s%s%s", root, text,
		       mount[0] ? ", and " : "", mount);
}
