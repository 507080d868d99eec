/* Sets are small: a handful of links, rarely a self-test payload, one manifest. */
#include "set.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "reader.h"

static int set_open(const struct kt_store *store, const char *version)
{
	char place[KT_PLACE_MAX];

	kt_place_set(version, place);
	return kt_fs_open_beneath(store->dir, place, O_RDONLY | O_DIRECTORY, 0);
}

int kt_set_exists(const struct kt_store *store, const char *version)
{
	KT_OWN(kt_close_fd) int dir = kt_version_is_valid(version) ? set_open(store, version) : -ENOENT;
	struct stat info;

	if (dir < 0)
		return dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP ? 0 : dir;
	if (fstatat(dir, KT_MANIFEST_NAME, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISREG(info.st_mode);
}

static void link_target(const struct kt_component *component, char ret_target[KT_PLACE_MAX + 8])
{
	char place[KT_PLACE_MAX];

	kt_place_files(component->name, component->version, place);
	(void)snprintf(ret_target, KT_PLACE_MAX + 8, "../../%s", place);
}

static bool links_are_whole(int dir, const struct kt_manifest *manifest)
{
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];
		char wanted[KT_PLACE_MAX + 8], target[KT_PLACE_MAX + 8];

		link_target(component, wanted);
		if (kt_fs_read_link(dir, kt_component_folder(component->name), target, sizeof(target)) < 0 ||
		    strcmp(target, wanted) != 0)
			return false;
	}
	return true;
}

/* They are few and small, so they are read. */
static bool extras_are_whole(int dir, const struct kt_manifest *manifest)
{
	KT_OWN(kt_reader_done) struct kt_reader reader = {.digest = NULL};

	if (manifest->extra_count > 0 && kt_reader_init(&reader) < 0)
		return false; /* written again: no harm in that */
	for (size_t i = 0; i < manifest->extra_count; i++) {
		const struct kt_bundle_file *file = &manifest->extras[i];
		char path[KT_MANIFEST_PATH_MAX + 16];

		(void)snprintf(path, sizeof(path), KT_SET_EXTRAS "/%s", file->path);

		KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, path, O_PATH | O_NOFOLLOW, 0);
		struct kt_reading reading;
		struct stat info;

		if (fd < 0 || fstat(fd, &info) < 0)
			return false;
		if (!file->link && ((uint64_t)info.st_size != file->size_bytes ||
				    kt_reader_read(&reader, dir, path, &reading) < 0 ||
				    strcmp(reading.sha256, file->sha256) != 0))
			return false;
	}
	return true;
}

/* Was it this bundle's manifest when it was read last? Then what lies there now is damage, not another bundle. */
static bool was_seen_same(const struct kt_store *store, int dir, const struct kt_bundle *bundle)
{
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char sha256[KT_DIGEST_HEX];

	if (!digest || kt_seen_read(store, KT_SEEN_SET, bundle->manifest.version, kt_seen_mark(dir, KT_SEEN_SET), &seen) < 0)
		return false;
	kt_digest_add(digest, bundle->manifest_bytes, bundle->manifest_size);
	kt_digest_take(digest, sha256);
	return strcmp(sha256, seen.digest) == 0;
}

int kt_set_look(const struct kt_store *store, const struct kt_bundle *bundle, enum kt_set_state *ret_state,
		struct kt_error *err)
{
	const struct kt_manifest *manifest = &bundle->manifest;
	KT_OWN(kt_close_fd) int dir = set_open(store, manifest->version);
	KT_OWN(kt_manifest_done) struct kt_manifest other = {.component_count = 0};
	KT_OWN(kt_free_mem) char *bytes = NULL;
	struct kt_error mine = {.code = 0};
	size_t size = 0;

	*ret_state = KT_SET_MISSING;
	if (dir == -ENOENT)
		return 0;
	if (dir < 0)
		return kt_fail_errno(err, -dir, KT_REASON_IO_ERROR, "cannot open %s/" KT_STORE_SETS "/%s", store->root,
				     manifest->version);

	int r = kt_fs_read_all(dir, KT_MANIFEST_NAME, KT_MANIFEST_BYTES_MAX, &bytes, &size, &mine);

	if (r == -ENOENT)
		return 0;
	if (r < 0 && r != -ELOOP && r != -EISDIR && r != -EFBIG && r != -EINVAL)
		return kt_fail(err, -r, mine.reason, "%s", mine.text);
	if (r == 0 && size == bundle->manifest_size && memcmp(bytes, bundle->manifest_bytes, size) == 0)
		*ret_state = links_are_whole(dir, manifest) && extras_are_whole(dir, manifest) ? KT_SET_SAME :
												 KT_SET_DAMAGED;
	else /* a manifest that nobody can read is damage, not another version */
		*ret_state = r == 0 && !was_seen_same(store, dir, bundle) &&
					     kt_manifest_parse(bytes, size, &other, &mine) == 0 ?
				     KT_SET_OTHER :
				     KT_SET_DAMAGED;
	return 0;
}

static int links_write(int dir, const struct kt_manifest *manifest, struct kt_error *err)
{
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];
		char target[KT_PLACE_MAX + 8];

		link_target(component, target);
		if (symlinkat(target, dir, kt_component_folder(component->name)) < 0)
			return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot make the link %s of a set",
					     component->name);
	}
	return 0;
}

static int manifest_write(int dir, const struct kt_bundle *bundle, struct kt_error *err)
{
	KT_OWN(kt_close_fd)
	int fd = kt_fs_open_beneath(dir, KT_MANIFEST_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	int r = fd < 0 ? fd : kt_fs_write_full(fd, bundle->manifest_bytes, bundle->manifest_size);

	if (r == 0 && fchmod(fd, 0644) < 0)
		r = -errno;
	if (r == 0 && close(kt_take_fd(&fd)) < 0)
		r = -errno;
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot write the manifest of a set") : 0;
}

static int extras_write(int dir, const struct kt_bundle *bundle, struct kt_copy *copy, struct kt_error *err)
{
	const struct kt_manifest *manifest = &bundle->manifest;

	if (manifest->extra_count == 0)
		return 0;

	int r = kt_fs_make_dirs(dir, KT_SET_EXTRAS);
	KT_OWN(kt_close_fd) int extras = r < 0 ? r : kt_fs_open_beneath(dir, KT_SET_EXTRAS, O_RDONLY | O_DIRECTORY, 0);

	if (extras < 0)
		return kt_fail_errno(err, -extras, KT_REASON_IO_ERROR, "cannot make the folder of a set's extras");
	copy->part = KT_SET_EXTRAS;
	return kt_copy_files(bundle->dir, extras, "bundle", manifest->extras, manifest->extra_count, copy, err);
}

int kt_set_write(const struct kt_store *store, const struct kt_bundle *bundle, const char *partial, struct kt_copy *copy,
		 struct kt_error *err)
{
	int r = kt_fs_make_dirs(store->dir, partial);
	KT_OWN(kt_close_fd) int dir = r < 0 ? r : kt_fs_open_beneath(store->dir, partial, O_RDONLY | O_DIRECTORY, 0);

	if (dir < 0)
		return kt_fail_errno(err, -dir, KT_REASON_IO_ERROR, "cannot make %s/%s", store->root, partial);
	r = links_write(dir, &bundle->manifest, err);
	if (r == 0)
		r = extras_write(dir, bundle, copy, err);
	return r < 0 ? r : manifest_write(dir, bundle, err);
}

int kt_set_each_link(const struct kt_store *store, const char *version, kt_set_use *use, void *context)
{
	KT_OWN(kt_close_fd) int dir = set_open(store, version);

	if (dir < 0)
		return dir;
	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);
		char target[KT_PLACE_MAX + 8], found[KT_VERSION_MAX];
		int r = kt_fs_read_link(dir, folder, target, sizeof(target));

		if (r == -ENOENT || r == -EINVAL || r == -ENAMETOOLONG) /* no link: names nothing */
			continue;
		if (r < 0) /* may name what the caller would remove */
			return r;
		if (!kt_place_parse_link(folder, target, found))
			continue;
		r = use(context, kt_component_names[i], found);
		if (r != 0)
			return r;
	}
	return 0;
}

int kt_store_read_set(const struct kt_store *store, const char *version, struct kt_manifest *ret_manifest,
		      struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	struct kt_error mine = {.code = 0};
	char place[KT_PLACE_MAX];
	size_t size = 0;

	if (!kt_version_is_valid(version))
		return kt_fail(err, EINVAL, KT_REASON_NO_VERSION, "\"%.80s\" is not a version", version);
	kt_place_manifest(version, place);

	int r = kt_fs_read_all(store->dir, place, KT_MANIFEST_BYTES_MAX, &bytes, &size, &mine);

	if (r == -ENOENT)
		return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "version %s is not landed in %s", version,
			       store->root);
	if (r == 0)
		r = kt_manifest_parse(bytes, size, ret_manifest, &mine);
	return r < 0 ? kt_fail(err, -r, KT_REASON_STORE_DAMAGED, "%s/%s: %s", store->root, place, mine.text) : 0;
}
