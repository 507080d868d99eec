/* A root of its own in memory, in a mount namespace that ends with the proof: nothing is made on the host's disk, and
 * nothing of the host is seen but the store, as in a pod whose image holds only the payload.
 *
 *   /opt/kontain   the store itself, read-only (live), or: versions and sets of it, read-only, and the six links made
 *                  anew with `current` at the set to prove, so that every path is what it will be once that is current
 *   /dev           null, zero, urandom, and the node of KVM, or of Kontain's own module where there is no KVM, as pods
 *                  get it: open to every user
 *   /proc          of the proof's own processes
 *   /tmp           the one place to write
 *   /payload       the built-in program, where there is one
 *
 * The new root is put together on top of /proc, which is there on every host and in every image, then pivoted to. */
#include "view.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "../kvm/absence.h"
#include "../kvm/device.h"
#include "../kvm/kkm.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/state.h"

#define PLACE_TO_BUILD "/proc"
#define STORE          "opt/kontain" /* relative: while the root is being built */
#define ROOT_OPTIONS   "mode=0755,size=4m,nr_inodes=256"
#define DEV_OPTIONS    "mode=0755,size=64k,nr_inodes=16"

static const struct {
	const char *path;
	mode_t mode;
} folders[] = {
	{"dev", 0755}, {"proc", 0555}, {"tmp", 01777}, {"opt", 0755}, {STORE, 0755},
};

/* What payloads name; which of them a set has is its own matter (they may dangle). */
static const char *const links[] = {"bin", "runtime", "alpine-lib", "lib", "shim"};

/* What the links lead into. */
static const char *const store_folders[] = {"versions", "sets"};

static const struct {
	const char *path;
	unsigned major, minor; /* Documentation/admin-guide/devices.txt of the kernel */
} devices[] = {
	{"dev/null", 1, 3},
	{"dev/zero", 1, 5},
	{"dev/urandom", 1, 9},
};

/* What the view is made of. */
struct sources {
	int store;        /* owned */
	char machine[32]; /* the node that guests run on, below the new root */
	dev_t number;
};

static int step_failed(const char *step, const char *path, struct kt_error *err)
{
	return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot build the proof's view: %s %s", step, path);
}

/* A mount of a folder that is not yet anywhere: by descriptor, so no name is walked twice. Owned, or -errno. */
static int tree_take(int dir, const char *path)
{
	int fd = open_tree(dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);

	return fd < 0 ? kt_negative_errno() : fd;
}

/* Read-only; noexec stays if it was: a pod would see it too. */
static int tree_put(int tree, const char *path, struct kt_error *err)
{
	unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV;
	struct statvfs info;

	if (move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return step_failed("mount", path, err);
	if (statvfs(path, &info) < 0)
		return step_failed("look at", path, err);
	if (info.f_flag & ST_NOEXEC)
		flags |= MS_NOEXEC;
	if (mount(NULL, path, NULL, flags, NULL) < 0)
		return step_failed("make read-only", path, err);
	return 0;
}

static int folders_make(struct kt_error *err)
{
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (mkdir(folders[i].path, folders[i].mode) < 0)
			return step_failed("make the folder", folders[i].path, err);
	return 0;
}

static int device_failed(const char *path, struct kt_error *err)
{
	return kt_fail_errno(err, errno,
			     errno == EPERM || errno == EACCES ? KT_REASON_MKNOD_DENIED : KT_REASON_INTERNAL,
			     "cannot make the device node %s for the proof", path);
}

static int devices_make(const struct sources *sources, struct kt_error *err)
{
	if (mount("kontain-dev", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, DEV_OPTIONS) < 0)
		return step_failed("mount", "/dev", err);
	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (mknod(devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0)
			return device_failed(devices[i].path, err);
	if (mknod(sources->machine, S_IFCHR | 0666, sources->number) < 0)
		return device_failed(sources->machine, err);
	return 0;
}

static int payload_put(const struct kt_view *view, struct kt_error *err)
{
	if (!view->payload)
		return 0;

	KT_OWN(kt_close_fd) int fd = open(&KT_VIEW_PAYLOAD[1], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555);
	int r = fd < 0 ? kt_negative_errno() : kt_fs_write_full(fd, view->payload, view->payload_size);

	errno = -r;
	return r < 0 ? step_failed("write", KT_VIEW_PAYLOAD, err) : 0;
}

/* The six links as they will be once the set is current. */
static int links_make(const char *version, struct kt_error *err)
{
	char target[KT_VERSION_MAX + 16];
	char path[64];

	(void)snprintf(target, sizeof(target), "sets/%s", version);
	if (symlink(target, STORE "/current") < 0)
		return step_failed("make the link", "current", err);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		(void)snprintf(target, sizeof(target), "current/%s", links[i]);
		(void)snprintf(path, sizeof(path), STORE "/%s", links[i]);
		if (symlink(target, path) < 0)
			return step_failed("make the link", links[i], err);
	}
	return 0;
}

static int set_check(int store, const struct kt_view *view, struct kt_error *err)
{
	char path[KT_VERSION_MAX + 16];

	if (!kt_version_is_valid(view->version))
		return kt_fail(err, EINVAL, KT_REASON_NO_VERSION, "\"%.80s\" is not a version", view->version);
	(void)snprintf(path, sizeof(path), "sets/%s", view->version);

	KT_OWN(kt_close_fd) int set = kt_fs_open_beneath(store, path, O_PATH | O_DIRECTORY, 0);

	if (set < 0)
		return kt_fail_errno(err, -set, KT_REASON_NO_VERSION, "version %s is not landed in %s", view->version,
				     view->store_path);
	return 0;
}

static int store_put_version(int store, const struct kt_view *view, struct kt_error *err)
{
	char path[64];

	for (size_t i = 0; i < sizeof(store_folders) / sizeof(store_folders[0]); i++) {
		KT_OWN(kt_close_fd) int tree = tree_take(store, store_folders[i]);

		(void)snprintf(path, sizeof(path), STORE "/%s", store_folders[i]);
		errno = tree < 0 ? -tree : 0;
		if (tree < 0 || mkdir(path, 0755) < 0)
			return step_failed("take from the store", store_folders[i], err);

		int r = tree_put(tree, path, err);

		if (r < 0)
			return r;
	}
	return links_make(view->version, err);
}

static int store_put_live(int store, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int tree = open_tree(store, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);

	return tree < 0 ? step_failed("take", "the store", err) : tree_put(tree, STORE, err);
}

static int root_fill(const struct sources *sources, const struct kt_view *view, struct kt_error *err)
{
	int store = sources->store, r = folders_make(err);

	if (r == 0)
		r = devices_make(sources, err);
	if (r == 0)
		r = payload_put(view, err);
	if (r == 0)
		r = view->version ? store_put_version(store, view, err) : store_put_live(store, err);
	if (r == 0 && mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		r = step_failed("mount", "/proc", err);
	return r;
}

/* A node of KVM without a KVM behind it is none where the module has one. err is only written where nothing serves: it
 * goes into the report of a run as it is. */
static int machine_find(const struct kt_view *view, struct sources *sources, struct kt_error *err)
{
	struct kt_error missed = {.reason = KT_REASON_NONE}, failure = {.reason = KT_REASON_NONE};
	char name[256];
	int r, found = -ENOENT;
	struct kt_kkm kkm;

	kt_device_name("", view->dev, KT_KVM_NODE, name, sizeof(name));
	r = kt_device_look(view->dev, name, NULL, &missed);
	if (r == -ENOENT || (r == 0 && kt_misc_read("") == KT_MISC_WITHOUT_KVM))
		found = kt_kkm_find("", view->dev, &kkm, &failure);
	if (found == -ENOENT && r == 0) {
		sources->number = makedev(KT_KVM_MAJOR, KT_KVM_MINOR);
		(void)snprintf(sources->machine, sizeof(sources->machine), "dev/" KT_KVM_NODE);
	} else if (found == 0) {
		sources->number = kkm.number;
		(void)snprintf(sources->machine, sizeof(sources->machine), "dev/%s", kkm.node);
	} else {
		*err = found == -ENOENT ? missed : failure;
		return found == -ENOENT ? r : found;
	}
	return 0;
}

/* What can be wrong with the node itself, told before anything is mounted. */
static int sources_open(const struct kt_view *view, struct sources *sources, struct kt_error *err)
{
	int r = machine_find(view, sources, err);

	if (r < 0)
		return r;
	sources->store = open(view->store_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sources->store < 0)
		return kt_fail_errno(err, errno, errno == ENOENT ? KT_REASON_NO_VERSION : KT_REASON_STORE_NOT_DIRECTORY,
				     "cannot open the store %s", view->store_path);
	return view->version ? set_check(sources->store, view, err) : 0;
}

static void sources_close(struct sources *sources)
{
	kt_close_fd(&sources->store);
}

int kt_view_enter(const struct kt_view *view, struct kt_error *err)
{
	KT_OWN(sources_close) struct sources sources = {.store = -1};
	int r;

	(void)umask(0);
	/* first of all: no mount of ours may come back to the host */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return step_failed("make private", "/", err);
	r = sources_open(view, &sources, err);
	if (r < 0)
		return r;
	if (mount("kontain-proof", PLACE_TO_BUILD, "tmpfs", MS_NOSUID | MS_NODEV, ROOT_OPTIONS) < 0 ||
	    chdir(PLACE_TO_BUILD) < 0)
		return step_failed("mount over", PLACE_TO_BUILD, err);
	r = root_fill(&sources, view, err);
	if (r < 0)
		return r;
	/* both the old and the new root are at "." then, the old one on top (pivot_root(2)) */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return step_failed("change to", "the new root", err);
	if (view->wanted && access(view->wanted, F_OK) < 0)
		return kt_fail(err, ENOPKG, KT_REASON_NO_VERSION, "there is no %s", view->wanted);
	return 0;
}
