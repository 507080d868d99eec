/* One pass: read, write, begin write-back, hand the file to the verifier. The disk is at work while the next file is
 * copied, so that the one syncfs at the end has little left to do. */
#include "copy.h"

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

#define COPY_BYTES (256 * 1024)

struct job {
	struct kt_way from, to;
	char *buffer;
	const char *what;
	struct kt_copy *copy;
};

void kt_copy_tell(const struct kt_copy *copy)
{
	if (copy->progress)
		copy->progress(copy->context, copy->part ? copy->part : "", copy->done_bytes, copy->total_bytes);
}

/* Exactly size bytes: a source that is longer or shorter is not the file that the list means, and an endless one
 * must not fill the disk. */
static int bytes_copy(struct job *job, int source, int target, const struct kt_file *file, struct kt_error *err)
{
	uint64_t done = 0;

	for (;;) {
		ssize_t got = read(source, job->buffer, COPY_BYTES);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return kt_fail_errno(err, errno, KT_REASON_BUNDLE_UNREADABLE, "cannot read %s/%s of the bundle",
					     job->what, file->path);
		if (done + (uint64_t)got > file->size_bytes || (got == 0 && done < file->size_bytes))
			return kt_fail(err, EBADMSG, KT_REASON_DIGEST_MISMATCH,
				       "%s/%s of the bundle is %s than the %" PRIu64 " bytes that its list says",
				       job->what, file->path, got ? "longer" : "shorter", file->size_bytes);
		if (got == 0)
			return 0;

		int r = kt_fs_write_full(target, job->buffer, (size_t)got);

		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot write %s/%s", job->what, file->path);
		done += (uint64_t)got;
		job->copy->done_bytes += (uint64_t)got;
		kt_copy_tell(job->copy);
	}
}

static int source_open(struct job *job, const struct kt_file *file, struct kt_error *err)
{
	const char *name = NULL;
	int parent = kt_way_enter(&job->from, file->path, false, &name);
	struct stat info;
	int fd = parent < 0 ? parent : kt_fs_open_file(parent, name, &info);

	if (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR || fd == -EISDIR || fd == -EINVAL)
		return kt_fail(err, -fd, KT_REASON_BUNDLE_INVALID, "%s/%s is in the list but %s", job->what, file->path,
			       fd == -ENOENT ? "not in the bundle" : "not a regular file in the bundle");
	if (fd < 0)
		return kt_fail_errno(err, -fd, KT_REASON_BUNDLE_UNREADABLE, "cannot open %s/%s of the bundle",
				     job->what, file->path);
	return fd;
}

/* O_EXCL and symlinkat(2) find what is not there already only where two names of the bundle are one to the file
 * system. */
static int create_fail(const struct job *job, const struct kt_file *file, int parent, const char *name, int code,
		       struct kt_error *err)
{
	char twin[KT_FS_NAME_MAX];

	if (code == EEXIST && parent >= 0 && kt_fs_find_twin(parent, name, twin))
		return kt_fail(err, code, KT_REASON_STORE_UNSAFE,
			       "cannot create %s/%s beside %s: the store's filesystem does not tell upper from lower "
			       "case, name a folder on another in store.roots",
			       job->what, file->path, twin);
	return kt_fail_errno(err, code, KT_REASON_IO_ERROR, "cannot create %s/%s", job->what, file->path);
}

static int file_copy(struct job *job, const struct kt_file *file, struct kt_error *err)
{
	const char *name = NULL;
	KT_OWN(kt_close_fd) int source = source_open(job, file, err);

	if (source < 0)
		return source;

	int parent = kt_way_enter(&job->to, file->path, true, &name);
	KT_OWN(kt_close_fd)
	int target =
		parent < 0 ? parent : kt_fs_open_beneath(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);

	if (target < 0)
		return create_fail(job, file, parent, name, -target, err);

	int r = bytes_copy(job, source, target, file, err);

	if (r < 0)
		return r;
	if (fchmod(target, file->mode) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot set the mode of %s/%s", job->what,
				     file->path);
	/* Begins write-back, waits for nothing; where it is not known nothing is lost: syncfs does it all then. */
	(void)sync_file_range(target, 0, 0, SYNC_FILE_RANGE_WRITE);
	if (close(kt_take_fd(&target)) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot write %s/%s", job->what, file->path);
	return 0;
}

static int link_make(struct job *job, const struct kt_file *file, struct kt_error *err)
{
	const char *name = NULL;
	int parent = kt_way_enter(&job->to, file->path, true, &name);
	int r = parent < 0 ? parent : 0;

	if (r == 0 && symlinkat(file->link, parent, name) < 0)
		r = kt_negative_errno();
	return r < 0 ? create_fail(job, file, parent, name, -r, err) : 0;
}

static int files_copy(struct job *job, const struct kt_filelist *list, struct kt_verifier *verifier,
		      struct kt_error *err)
{
	const struct kt_file *files = list->files;

	for (size_t i = 0; i < list->count; i++) {
		int r = files[i].link ? link_make(job, &files[i], err) : file_copy(job, &files[i], err);

		if (r < 0)
			return r;
		if (!files[i].link)
			kt_verifier_offer(verifier);
	}
	return 0;
}

int kt_copy_files(int source, int tree, const char *what, const struct kt_filelist *list, uint64_t *stamps,
		  struct kt_copy *copy, struct kt_error *err)
{
	KT_OWN(kt_verifier_done) struct kt_verifier verifier = {.pid = -1};
	KT_OWN(kt_free_mem) char *buffer = malloc(COPY_BYTES);
	struct job job = {.buffer = buffer, .what = what, .copy = copy};
	int r;

	if (!buffer)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	r = kt_verifier_start(tree, list, stamps, &verifier, err);
	if (r < 0)
		return r;
	kt_way_init(&job.from, source);
	kt_way_init(&job.to, tree);
	r = files_copy(&job, list, &verifier, err);
	kt_way_done(&job.from);
	kt_way_done(&job.to);
	if (r == 0) {
		r = kt_verifier_finish(&verifier, err);
		if (r < 0)
			r = kt_fail_prefix(err, "%s", what);
	}
	return r;
}

static int list_write(int dir, const struct kt_component *component, struct kt_error *err)
{
	size_t size = 0;
	KT_OWN(kt_free_mem) char *text = kt_filelist_print(component->list.files, component->list.count, &size);
	int r;

	if (!text)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	r = kt_fs_make_file(dir, KT_FILELIST_NAME, text, size, 0644);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot write the list of %s", component->name) : 0;
}

int kt_version_stage(const struct kt_store *store, int source, const char *what, const char *partial,
		     const struct kt_component *component, uint64_t *stamps, struct kt_copy *copy, struct kt_error *err)
{
	const char *inside = kt_place_inside(component->name);
	char path[KT_PLACE_MAX + 16];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", partial, inside);
	r = kt_fs_make_dirs(store->dir, path);

	KT_OWN(kt_close_fd) int dir = r < 0 ? r : kt_fs_open_beneath(store->dir, partial, O_RDONLY | O_DIRECTORY, 0);
	KT_OWN(kt_close_fd) int files = dir < 0 ? dir : kt_fs_open_beneath(dir, inside, O_RDONLY | O_DIRECTORY, 0);

	if (files < 0)
		return kt_fail_errno(err, -files, KT_REASON_IO_ERROR, "cannot make %s/%s", store->root, partial);
	copy->part = component->name;
	r = kt_copy_files(source, files, what, &component->list, stamps, copy, err);
	if (r == 0 && strcmp(component->name, "km") == 0 && symlinkat(KT_VERSION_TOOLS, dir, KT_COMPONENT_TOOLS) < 0)
		r = kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot make %s/%s/" KT_COMPONENT_TOOLS, store->root,
				  partial);
	return r < 0 ? r : list_write(dir, component, err);
}
