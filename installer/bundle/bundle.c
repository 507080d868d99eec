/* A bundle directory, read from a descriptor of it. What is in the folder and not in the manifest is refused: nobody
 * vouched for it. */
#include "kontain/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "kontain/paths.h"

#define READ_BYTES (256 * 1024)

void kt_bundle_done(struct kt_bundle *bundle)
{
	kt_close_fd(&bundle->dir);
	kt_free_mem(&bundle->manifest_bytes);
	kt_manifest_done(&bundle->manifest);
	bundle->manifest_size = 0;
}

/* An absent bundle is one thing, a broken one another, and a disk that cannot be read a third. */
static enum kt_reason reason_of(int code)
{
	if (code == ENOENT || code == ENOTDIR)
		return KT_REASON_BUNDLE_MISSING;
	return code == ELOOP || code == EISDIR || code == EINVAL || code == EFBIG || code == EXDEV ?
		       KT_REASON_BUNDLE_INVALID :
		       KT_REASON_IO_ERROR;
}

static int manifest_read(struct kt_bundle *bundle, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	int r = kt_fs_read_all(bundle->dir, KT_MANIFEST_NAME, KT_MANIFEST_BYTES_MAX, &bundle->manifest_bytes,
			       &bundle->manifest_size, &mine);

	if (r == -ENOENT)
		return kt_fail(err, ENOENT, KT_REASON_BUNDLE_MISSING, "%s is no bundle: there is no " KT_MANIFEST_NAME
			       " in it (kontain-pack makes one)", bundle->path);
	if (r < 0)
		return kt_fail(err, -r, mine.reason == KT_REASON_IO_ERROR ? reason_of(-r) : mine.reason, "%s: %s",
			       bundle->path, mine.text);
	r = kt_manifest_parse(bundle->manifest_bytes, bundle->manifest_size, &bundle->manifest, &mine);
	return r < 0 ? kt_fail(err, -r, mine.reason, "%s/" KT_MANIFEST_NAME ": %s", bundle->path, mine.text) : 0;
}

int kt_bundle_open(const char *path, struct kt_bundle *ret_bundle, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};

	if (snprintf(bundle.path, sizeof(bundle.path), "%s", path) >= (int)sizeof(bundle.path))
		return kt_fail(err, ENAMETOOLONG, KT_REASON_BUNDLE_MISSING, "the bundle's path is too long: %.80s...",
			       path);
	bundle.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (bundle.dir < 0)
		return kt_fail_errno(err, errno, reason_of(errno), "cannot open the bundle %s", path);

	int r = manifest_read(&bundle, err);

	if (r < 0)
		return r;
	*ret_bundle = bundle;
	bundle = (struct kt_bundle){.dir = -1};
	return 0;
}

struct check {
	char *buffer; /* READ_BYTES */
	struct kt_digest *digest;
	struct kt_error *err;
};

static int mismatch(const struct check *check, const char *name, const char *what)
{
	return kt_fail(check->err, EBADMSG, KT_REASON_DIGEST_MISMATCH, "%s %s", name, what);
}

static int bytes_check(const struct check *check, int fd, const struct kt_bundle_file *file, const char *name)
{
	char sha256[KT_DIGEST_HEX];
	uint64_t size = 0;
	ssize_t got;

	while ((got = read(fd, check->buffer, READ_BYTES)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return kt_fail_errno(check->err, errno, KT_REASON_IO_ERROR, "cannot read %s", name);
		kt_digest_add(check->digest, check->buffer, (size_t)got);
		size += (uint64_t)got;
		if (size > file->size_bytes)
			break;
	}
	kt_digest_take(check->digest, sha256);
	if (size != file->size_bytes)
		return mismatch(check, name, size > file->size_bytes ? "is longer than its manifest says" :
								       "is shorter than its manifest says");
	return strcmp(sha256, file->sha256) == 0 ? 0 :
						   mismatch(check, name, "has other content than its manifest says");
}

static int regular_check(const struct check *check, int dir, const struct kt_bundle_file *file, const char *name)
{
	/* O_NONBLOCK: a fifo in a file's place must not hold us */
	KT_OWN(kt_close_fd)
	int fd = kt_fs_open_beneath(dir, file->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	struct stat info;

	if (fd < 0 && (fd == -ENOENT || fd == -ELOOP || fd == -ENOTDIR || fd == -ENXIO))
		return kt_fail(check->err, -fd, KT_REASON_BUNDLE_INVALID, "%s is in the manifest but %s", name,
			       fd == -ENOENT ? "is not there" : "is not a regular file");
	if (fd < 0 || fstat(fd, &info) < 0)
		return kt_fail_errno(check->err, fd < 0 ? -fd : errno, KT_REASON_IO_ERROR, "cannot open %s", name);
	if (!S_ISREG(info.st_mode))
		return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s is not a regular file", name);
	if ((info.st_mode & 07777) != file->mode)
		return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s has mode %04o, its manifest says %04o",
			       name, info.st_mode & 07777, file->mode);
	return bytes_check(check, fd, file, name);
}

static int link_check(const struct check *check, int dir, const struct kt_bundle_file *file, const char *name)
{
	char target[KT_MANIFEST_PATH_MAX];
	int r = kt_fs_read_link(dir, file->path, target, sizeof(target));

	if (r == 0 && strcmp(target, file->link) == 0)
		return 0;
	return kt_fail(check->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s %s", name,
		       r == 0	     ? "is a link to elsewhere than its manifest says" :
		       r == -ENOENT ? "is in the manifest but is not there" :
				      "is not the link that its manifest names");
}

static int files_check(const struct check *check, int dir, const char *folder, const struct kt_bundle_file *files,
		       size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char name[KT_MANIFEST_PATH_MAX + 16], shown[KT_SHOWN_MAX];

		(void)snprintf(name, sizeof(name), "%s%s%s", folder, *folder ? "/" : "", files[i].path);

		int r = files[i].link ? link_check(check, dir, &files[i], kt_path_show(name, shown)) :
					regular_check(check, dir, &files[i], kt_path_show(name, shown));

		if (r < 0)
			return r;
	}
	return 0;
}

static int contents_check(const struct kt_bundle *bundle, const struct check *check)
{
	const struct kt_manifest *manifest = &bundle->manifest;

	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];
		const char *folder = kt_component_folder(component->name);
		KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(bundle->dir, folder, O_RDONLY | O_DIRECTORY, 0);

		if (dir < 0)
			return kt_fail(check->err, -dir, KT_REASON_BUNDLE_INVALID, "the folder %s is missing", folder);

		int r = files_check(check, dir, folder, component->files, component->file_count);

		if (r < 0)
			return r;
	}
	return files_check(check, bundle->dir, "", manifest->extras, manifest->extra_count);
}

int kt_bundle_check(const struct kt_bundle *bundle, struct kt_error *err)
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	KT_OWN(kt_free_mem) char *buffer = malloc(READ_BYTES);
	struct kt_error mine = {.code = 0};
	struct check check = {.buffer = buffer, .digest = digest, .err = &mine};
	int r;

	if (!digest || !buffer)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	r = kt_bundle_check_names(bundle, &mine);
	if (r == 0)
		r = contents_check(bundle, &check);
	return r < 0 ? kt_fail(err, mine.code, mine.reason, "%s: %s", bundle->path, mine.text) : 0;
}
