/* From the folder to its manifest. Only what lies there is believed: the digests are of the files as written. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/digest.h"
#include "kontain/fs.h"
#include "kontain/own.h"
#include "layout.h"
#include "sources.h"

#define READ_BYTES (256 * 1024)

struct list {
	struct kt_bundle_file *files; /* owned, moved to the manifest in the end */
	size_t count;
	size_t room;
	struct kt_digest *digest; /* borrowed */
	char *buffer;             /* borrowed */
};

static void list_done(struct list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->files[i].path);
		free(list->files[i].link);
	}
	free(list->files);
}

static struct kt_bundle_file *list_add(struct list *list, const char *path)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 64;
		struct kt_bundle_file *grown = realloc(list->files, room * sizeof(*grown));

		if (!grown)
			return NULL;
		list->files = grown;
		list->room = room;
	}
	list->files[list->count] = (struct kt_bundle_file){.path = strdup(path)};
	return list->files[list->count].path ? &list->files[list->count++] : NULL;
}

static int file_read(struct list *list, int dir, const char *name, struct kt_bundle_file *file)
{
	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, name, O_RDONLY | O_NOFOLLOW, 0);
	struct stat info;
	ssize_t got;

	if (fd < 0)
		return fd;
	if (fstat(fd, &info) < 0)
		return -errno;
	file->mode = info.st_mode & 0777;
	while ((got = read(fd, list->buffer, READ_BYTES)) > 0) {
		kt_digest_add(list->digest, list->buffer, (size_t)got);
		file->size_bytes += (uint64_t)got;
	}
	kt_digest_take(list->digest, file->sha256);
	return got < 0 ? -errno : 0;
}

static int link_read(int dir, const char *name, struct kt_bundle_file *file)
{
	char target[KT_MANIFEST_PATH_MAX];
	int r = kt_fs_read_link(dir, name, target, sizeof(target));

	if (r < 0)
		return r;
	file->link = strdup(target);
	return file->link ? 0 : -ENOMEM;
}

static const struct timespec epoch[2] = {{.tv_sec = 0}, {.tv_sec = 0}};

static int folder_read(struct list *list, int dir, const char *below)
{
	int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0), r = 0;
	KT_OWN(kt_close_dir) DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;

	if (!entries)
		return -errno;
	while (r == 0 && (errno = 0, entry = readdir(entries))) {
		const char *name = entry->d_name;
		char path[KT_MANIFEST_PATH_MAX];
		struct stat info;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (snprintf(path, sizeof(path), "%s%s%s", below, *below ? "/" : "", name) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		if (S_ISDIR(info.st_mode)) {
			KT_OWN(kt_close_fd) int folder = kt_fs_open_beneath(dir, name, O_RDONLY | O_DIRECTORY, 0);

			r = folder < 0 ? folder : folder_read(list, folder, path);
		} else {
			struct kt_bundle_file *file = list_add(list, path);

			r = !file ? -ENOMEM : S_ISLNK(info.st_mode) ? link_read(dir, name, file)
								    : file_read(list, dir, name, file);
		}
	}
	if (r == 0 && errno)
		r = -errno;
	return r == 0 && futimens(dir, epoch) < 0 ? -errno : r;
}

static int by_path(const void *left, const void *right)
{
	return strcmp(((const struct kt_bundle_file *)left)->path, ((const struct kt_bundle_file *)right)->path);
}

/* Files below a component's folder of the place, sorted. */
static int files_read(const struct kt_place *place, const char *folder, struct list *list, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(place->dir, folder, O_RDONLY | O_DIRECTORY, 0);
	int r = dir == -ENOENT ? 0 : dir < 0 ? dir : folder_read(list, dir, "");

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s again", folder);
	if (list->count > 0)
		qsort(list->files, list->count, sizeof(*list->files), by_path);
	return 0;
}

static int component_survey(const struct kt_place *place, const char *name, struct list *list,
			    struct kt_manifest *manifest, struct kt_error *err)
{
	struct kt_component *component = &manifest->components[manifest->component_count];
	int r = files_read(place, kt_component_folder(name), list, err);

	if (r < 0 || list->count == 0)
		return r;
	*component = (struct kt_component){.file_count = list->count, .files = kt_take_ptr(&list->files)};
	list->count = 0;
	manifest->component_count++;
	(void)snprintf(component->name, sizeof(component->name), "%s", name);
	kt_component_digest(component, component->digest);
	memcpy(component->version, "sha-", 4);
	memcpy(component->version + 4, component->digest, 12);
	return 0;
}

/* What is taken beside the components: the releases' self-test, and the one that was asked for. */
static int extras_survey(const struct kt_place *place, struct list *list, struct kt_manifest *manifest,
			 struct kt_error *err)
{
	const char *const paths[] = {KT_PACK_SELF_TEST, place->self_test};

	for (size_t i = 0; i < 2; i++) {
		if (!paths[i] || kt_layout_in_component(paths[i]) || (i > 0 && strcmp(paths[i], paths[0]) == 0) ||
		    !kt_fs_exists(place->dir, paths[i]))
			continue;

		struct kt_bundle_file *file = list_add(list, paths[i]);
		int r = file ? file_read(list, place->dir, paths[i], file) : -ENOMEM;

		if (r == -ELOOP)
			r = link_read(place->dir, paths[i], file);
		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s again", paths[i]);
	}
	if (list->count > 0)
		qsort(list->files, list->count, sizeof(*list->files), by_path);
	manifest->extra_count = list->count;
	manifest->extras = kt_take_ptr(&list->files);
	list->count = 0;
	return 0;
}

int kt_survey(const struct kt_place *place, struct kt_manifest *manifest, struct kt_error *err)
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	KT_OWN(kt_free_mem) char *buffer = malloc(READ_BYTES);
	int r = 0;

	if (!digest || !buffer)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		KT_OWN(list_done) struct list list = {.digest = digest, .buffer = buffer};

		r = component_survey(place, kt_component_names[i], &list, manifest, err);
	}
	if (r == 0) {
		KT_OWN(list_done) struct list list = {.digest = digest, .buffer = buffer};

		r = extras_survey(place, &list, manifest, err);
	}
	return r;
}
