#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/manifest.h"
#include "kontain/contract/paths.h"
#include "layout.h"

#define COPY_BYTES (256 * 1024)

volatile sig_atomic_t kt_place_is_stopped;

int kt_place_go_on(struct kt_error *err)
{
	return kt_place_is_stopped ? kt_fail(err, EINTR, KT_REASON_IO_ERROR, "stopped by a signal: nothing was made") :
				     0;
}

int kt_place_open(const char *output, struct kt_place *ret_place, struct kt_error *err)
{
	KT_OWN(kt_place_done) struct kt_place place = {.dir = -1, .parent = -1};
	char parent[4096];
	const char *slash;
	size_t length = strlen(output);
	struct stat info;

	while (length > 1 && output[length - 1] == '/')
		length--;
	if (length >= sizeof(parent))
		return kt_fail(err, ENAMETOOLONG, KT_REASON_NONE, "--output: the path is too long");
	memcpy(parent, output, length);
	parent[length] = '\0';
	slash = strrchr(parent, '/');
	if (snprintf(place.wanted, sizeof(place.wanted), "%s", slash ? slash + 1 : parent) >= 200 || !place.wanted[0])
		return kt_fail(err, EINVAL, KT_REASON_NONE, "--output %.100s: name a new folder", output);
	if (slash)
		parent[slash == parent ? 1 : slash - parent] = '\0';
	place.parent = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (place.parent < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open the folder of %.200s", output);
	if (fstatat(place.parent, place.wanted, &info, AT_SYMLINK_NOFOLLOW) == 0)
		return kt_fail(err, EEXIST, KT_REASON_IO_ERROR,
			       "%.200s is there already: remove it, or name another folder", output);
	for (int attempt = 0; attempt < 100; attempt++) {
		(void)snprintf(place.name, sizeof(place.name), ".%.200s.partial-%d-%d", place.wanted, (int)getpid(),
			       attempt);
		if (mkdirat(place.parent, place.name, 0755) == 0)
			break;
		if (errno != EEXIST || attempt == 99) {
			int code = errno;

			place.name[0] = '\0';
			return kt_fail_errno(err, code, KT_REASON_IO_ERROR, "cannot make a folder beside %.200s",
					     output);
		}
	}
	place.dir = openat(place.parent, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (place.dir < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open a folder beside %.200s", output);
	*ret_place = place;
	place = (struct kt_place){.dir = -1, .parent = -1};
	return 0;
}

static int times_clear(int dir)
{
	static const struct timespec epoch[2] = {{.tv_sec = 0}, {.tv_sec = 0}};
	int copy = fcntl(dir, F_DUPFD_CLOEXEC, 3), r = 0;
	KT_OWN(kt_close_dir) DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!entries) {
		kt_close_fd(&copy);
		return kt_negative_errno();
	}
	while (r == 0 && (errno = 0, entry = readdir(entries))) {
		const char *name = entry->d_name;
		KT_OWN(kt_close_fd) int folder = -1;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		folder = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (folder >= 0)
			r = times_clear(folder);
		else if (utimensat(dir, name, epoch, AT_SYMLINK_NOFOLLOW) < 0)
			r = kt_negative_errno();
	}
	if (r == 0 && errno != 0)
		r = kt_negative_errno();
	return r == 0 && futimens(dir, epoch) < 0 ? kt_negative_errno() : r;
}

int kt_place_settle(const struct kt_place *place, struct kt_error *err)
{
	int r = times_clear(place->dir);

	if (r == 0 && syncfs(place->dir) < 0)
		r = kt_negative_errno();
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot finish the bundle") : 0;
}

int kt_place_keep(struct kt_place *place, struct kt_error *err)
{
	int r = renameat2(place->parent, place->name, place->parent, place->wanted, RENAME_NOREPLACE);

	if (r < 0 && errno == EINVAL) /* a file system that does not know the flag: over an empty folder at worst */
		r = renameat(place->parent, place->name, place->parent, place->wanted);
	if (r < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot move the bundle to %s", place->wanted);
	place->name[0] = '\0';
	return 0;
}

void kt_place_done(struct kt_place *place)
{
	struct kt_error ignored;

	if (place->name[0] && place->parent >= 0)
		(void)kt_fs_remove_tree(place->parent, place->name, &ignored);
	kt_close_fd(&place->dir);
	kt_close_fd(&place->parent);
	free(place->escapes);
	place->escapes = NULL;
}

bool kt_place_takes(const struct kt_place *place, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (place->layout == KT_LAYOUT_IMAGE)
		return kt_layout_image_takes(path);
	if (place->layout == KT_LAYOUT_RELEASE)
		return kt_layout_takes(path, place->self_test);
	/* what a layer says of the layers below it: OCI image-spec, layer.md, "Whiteouts" */
	if (place->is_layered && strncmp(slash ? slash + 1 : path, KT_PLACE_WHITEOUT, strlen(KT_PLACE_WHITEOUT)) == 0)
		return false;
	return kt_layout_root_takes(path);
}

bool kt_place_enters(const struct kt_place *place, const char *folder)
{
	return place->layout == KT_LAYOUT_ROOT ? kt_layout_root_enters(folder) :
						 kt_layout_enters(folder, place->self_test);
}

const char *kt_place_name(const struct kt_place *place, const char *path, char ret_path[KT_PLACE_NAME_MAX])
{
	if (place->layout != KT_LAYOUT_ROOT)
		return path;
	(void)snprintf(ret_path, KT_PLACE_NAME_MAX, KT_PLACE_LIBRARIES "/%s", path);
	return ret_path;
}

int kt_place_admit(struct kt_place *place, const char *path, struct kt_error *err)
{
	char shown[KT_SHOWN_MAX];
	const char *flaw = kt_path_flaw(path);

	if (flaw)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the name \"%s\" %s", kt_path_show(path, shown),
			       flaw);
	if (++place->entry_count > KT_PACK_ENTRIES_MAX)
		return kt_fail(err, E2BIG, KT_REASON_BUNDLE_INVALID, "it has more than %d entries",
			       KT_PACK_ENTRIES_MAX);
	return 0;
}

/* By insertion: there are a handful, and a tree's folder comes in no order that means anything. */
void kt_place_leave_out(struct kt_place *place, const char *path)
{
	char name[sizeof(place->left_out[0])];
	size_t at = 0;

	if (place->layout != KT_LAYOUT_RELEASE) /* most of a root is */
		return;

	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(path, "/"), path);
	if (kt_layout_enters(name, place->self_test)) /* others beside it are taken */
		(void)snprintf(name, sizeof(name), "%s", path);
	while (at < place->left_out_count && strcmp(place->left_out[at], name) < 0)
		at++;
	if (at < place->left_out_count && strcmp(place->left_out[at], name) == 0)
		return;
	place->left_out_more = place->left_out_more || place->left_out_count == KT_PLACE_LEFT_MAX;
	if (place->left_out_more)
		return;
	memmove(place->left_out[at + 1], place->left_out[at], (place->left_out_count - at) * sizeof(name));
	memcpy(place->left_out[at], name, sizeof(name));
	place->left_out_count++;
}

/* A component's paths and links are the component's own; what lies beside the components is the bundle's. */
static const char *below_tree(const char *path)
{
	const char *slash = strchr(path, '/');

	return slash && kt_layout_in_component(path) ? slash + 1 : path;
}

/* The component that a path of the bundle belongs to. */
static const char *component_of(const char *path)
{
	size_t length = strcspn(path, "/");

	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *folder = kt_component_source(kt_component_names[i]);

		if (strlen(folder) == length && memcmp(folder, path, length) == 0)
			return kt_component_names[i];
	}
	return KT_COMPONENT_EXTRAS;
}

/* The folder of a path, made where it is missing; a link on the way stops it. */
static int parent_open(struct kt_place *place, const char *path, const char **ret_name, struct kt_error *err)
{
	char parent[KT_MANIFEST_PATH_MAX], shown[KT_SHOWN_MAX];
	const char *slash = strrchr(path, '/'), *below = below_tree(path);
	const char *reserved = below != path ? kt_path_reserved(component_of(path), below) : NULL;
	int r = 0;

	if (reserved)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s %s", kt_path_show(path, shown), reserved);

	(void)snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
	if (slash)
		r = kt_fs_make_dirs(place->dir, parent);
	if (r >= 0)
		r = kt_fs_open_parent(place->dir, path, ret_name);
	if (r == -ELOOP || r == -ENOTDIR)
		return kt_fail(err, -r, KT_REASON_BUNDLE_INVALID, "%s lies below a file or link",
			       kt_path_show(path, shown));
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot make the folder of %s",
				     kt_path_show(path, shown)) :
		       r;
}

static int entry_fail(const char *path, int folder, const char *name, int code, struct kt_error *err)
{
	char shown[KT_SHOWN_MAX], shown_twin[KT_SHOWN_MAX], twin[KT_FS_NAME_MAX];

	(void)kt_path_show(path, shown);
	if (code == EEXIST && kt_fs_find_twin(folder, name, twin))
		return kt_fail(err, code, KT_REASON_IO_ERROR,
			       "cannot make %s beside %s: the file system of the output does not tell upper from lower "
			       "case, name a folder on another",
			       shown, kt_path_show(twin, shown_twin));
	if (code == EEXIST)
		return kt_fail(err, code, KT_REASON_BUNDLE_INVALID, "%s is there twice", shown);
	return kt_fail_errno(err, code, KT_REASON_IO_ERROR, "cannot make %s", shown);
}

int kt_place_file(struct kt_place *place, const char *path, bool is_executable, struct kt_error *err)
{
	const char *name = NULL;
	int parent = parent_open(place, path, &name, err);

	if (parent < 0)
		return parent;

	KT_OWN(kt_close_fd) int folder = parent;
	KT_OWN(kt_close_fd) int fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || fchmod(fd, is_executable ? 0755 : 0644) < 0)
		return entry_fail(path, folder, name, errno, err);
	return kt_take_fd(&fd);
}

/* Is there room for that many bytes more? */
static int bytes_admit(const struct kt_place *place, uint64_t size, const char *path, struct kt_error *err)
{
	char shown[KT_SHOWN_MAX];

	if (size <= KT_PACK_BYTES_MAX && place->byte_count + size <= KT_PACK_BYTES_MAX)
		return 0;
	return kt_fail(err, EFBIG, KT_REASON_BUNDLE_INVALID, "it has more than %" PRIu64 " MiB of files, at %s",
		       KT_PACK_BYTES_MAX >> 20, kt_path_show(path, shown));
}

int kt_place_write(struct kt_place *place, int fd, const char *path, const void *bytes, size_t size,
		   struct kt_error *err)
{
	char shown[KT_SHOWN_MAX];
	int r = kt_place_go_on(err);

	if (r == 0)
		r = bytes_admit(place, size, path, err);
	if (r < 0)
		return r;
	place->byte_count += size;
	r = kt_fs_write_full(fd, bytes, size);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot write %s", kt_path_show(path, shown)) : 0;
}

static int escape_note(struct kt_place *place, const char *path, const char *how, struct kt_error *err)
{
	struct kt_escape *grown = reallocarray(place->escapes, place->escape_count + 1, sizeof(*grown));

	if (!grown)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	place->escapes = grown;
	(void)kt_path_show(path, grown[place->escape_count].path);
	grown[place->escape_count++].how = how;
	return 0;
}

int kt_place_link(struct kt_place *place, const char *path, const char *target, struct kt_error *err)
{
	char shown[KT_SHOWN_MAX];
	const char *component = component_of(path), *below = below_tree(path), *flaw, *name = NULL;
	const char *escape = kt_link_escape(component, below, target);
	int parent;

	if (escape && !place->is_strict)
		return escape_note(place, path, escape, err);
	if (escape)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the link %s %s", kt_path_show(path, shown),
			       escape);
	flaw = kt_link_flaw(component, below, target);
	if (flaw)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the link %s has a target that %s",
			       kt_path_show(path, shown), flaw);
	parent = parent_open(place, path, &name, err);
	if (parent < 0)
		return parent;

	KT_OWN(kt_close_fd) int folder = parent;

	return symlinkat(target, folder, name) < 0 ? entry_fail(path, folder, name, errno, err) : 0;
}

int kt_place_copy(struct kt_place *place, int fd, const char *path, bool is_executable, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *buffer = malloc(COPY_BYTES);
	KT_OWN(kt_close_fd) int to = -1;
	char shown[KT_SHOWN_MAX];
	struct stat info;
	ssize_t got;
	/* a sparse file says it at once, and would fill the disk first */
	int r = fstat(fd, &info) < 0 ? kt_negative_errno() : bytes_admit(place, (uint64_t)info.st_size, path, err);

	if (r < 0)
		return r == -EFBIG ?
			       r :
			       kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", kt_path_show(path, shown));
	to = kt_place_file(place, path, is_executable, err);
	if (to < 0)
		return to;
	if (!buffer)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	while ((got = read(fd, buffer, COPY_BYTES)) > 0) {
		r = kt_place_write(place, to, path, buffer, (size_t)got, err);
		if (r < 0)
			return r;
	}
	return got < 0 ? kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read %s", kt_path_show(path, shown)) : 0;
}
