/* Adopting what an earlier installer left: real bin/, runtime/ ... become versions and a set, and links take their place.
 *
 * Order, each step safe to run again:
 *   look: nothing but component folders and known leftovers, a real ELF km, the contract kept, the filesystem able to
 *         exchange each folder; nothing is written yet.
 *         The contract is asked before a digest is taken: what breaks it is refused again at each attempt, cheaply
 *   mark the root ours, lock
 *   stage the set legacy-<digest> from the folders themselves (copied, verified, synced)
 *   current -> the set, synced; links where no folder is
 *   each folder exchanged for its link (RENAME_EXCHANGE, synced): its name leads to the same content before and after
 *   the old folders, kept aside by now (door.h), are removed, each once nobody uses it
 * A crash before current leaves the folders as they were; one after it leaves folders and links that lead to the same. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "door.h"
#include "kontain/paths.h"
#include "set.h"

#define LEGACY       "legacy-"
#define KM_BYTES_MAX (256 * 1024 * 1024)

/* What release tarballs hold beside the components: it stays where it is. */
static const char *const leftovers[] = {"include", "examples", "tests", NULL};

/* 1: a directory that holds something; 0: nothing, or something else. A folder that cannot be looked at is an error: a
 * version made without it would never be whole. */
static int folder_look(int dir, const char *name)
{
	struct stat info;

	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return S_ISDIR(info.st_mode) && !kt_is_skeleton(dir, name);
}

static bool is_known(int dir, const char *name)
{
	if (strcmp(name, KT_STORE_LOCK) == 0 || strcmp(name, "lost+found") == 0 ||
	    strncmp(name, KT_STORE_PARTIAL, strlen(KT_STORE_PARTIAL)) == 0 || kt_is_skeleton(dir, name))
		return true;
	for (size_t i = 0; leftovers[i]; i++)
		if (strcmp(name, leftovers[i]) == 0)
			return true;
	return kt_component_of_folder(name) && folder_look(dir, name) > 0;
}

static int unknown_visit(void *context, int dir, const char *name)
{
	(void)context;
	return !is_known(dir, name);
}

/* km is what the exercise is for: an executable ELF file, not a script of the same name. */
static bool has_real_km(int root)
{
	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(root, "bin/km", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	KT_OWN(kt_free_mem) char *bytes = NULL;
	struct kt_elf elf;
	struct stat info;
	size_t size = 0;

	return fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & 0111) &&
	       kt_fs_read_fd(fd, KM_BYTES_MAX, &bytes, &size) == 0 && kt_elf_read(bytes, size, &elf, NULL) == 0;
}

/* Was the set made and current moved, so that only folders are left to exchange? 1, 0, or -errno. */
static int is_half_done(const struct kt_store *store, char ret_version[KT_VERSION_MAX])
{
	int r = kt_place_read_pointer(store->dir, KT_STORE_CURRENT, ret_version);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return strncmp(ret_version, LEGACY, strlen(LEGACY)) == 0 ? kt_set_exists(store, ret_version) : 0;
}

int kt_store_is_adoptable(const struct kt_store *store, enum kt_claim claim)
{
	char version[KT_VERSION_MAX];
	int r = claim == KT_CLAIM_OURS ? is_half_done(store, version) : 0;

	if (r != 0)
		return r;
	if (claim == KT_CLAIM_OURS && kt_place_read_pointer(store->dir, KT_STORE_CURRENT, version) != -ENOENT)
		return 0; /* a folder put into a root that was ours already */
	return (claim == KT_CLAIM_OURS || kt_each_entry(store->dir, ".", unknown_visit, NULL) == 0) &&
	       has_real_km(store->dir);
}

struct gather {
	struct kt_component *component;
	const char *below; /* of the component's folder, "" for itself */
	bool takes_digests;
	kt_store_left_out *left_out; /* NULL: nobody is told */
	void *context;
	struct kt_error *err;
};

static int name_refuse(const struct gather *gather, const char *path, const char *what)
{
	char shown[KT_SHOWN_MAX];

	return kt_fail(gather->err, EINVAL, KT_REASON_FOREIGN_INSTALLATION, "%s/%s %s",
		       kt_component_folder(gather->component->name), kt_path_show(path, shown), what);
}

/* 1 for a link that leads out: it is told, and no part of the version. */
static int link_look(const struct gather *gather, int dir, const char *name, const char *path)
{
	char target[KT_MANIFEST_PATH_MAX], place[KT_MANIFEST_PATH_MAX + 16], shown[KT_SHOWN_MAX];
	int r = kt_fs_read_link(dir, name, target, sizeof(target));
	const char *how = r < 0 ? NULL : kt_link_escape(path, target);

	if (r == -ENAMETOOLONG || (r == 0 && !how && kt_link_flaw(path, target)))
		return name_refuse(gather, path,
				   "is a link whose target is empty, too long, not UTF-8 or has control characters");
	if (r < 0 || !how)
		return r;
	(void)snprintf(place, sizeof(place), "%s/%s", kt_component_folder(gather->component->name), path);
	if (gather->left_out)
		gather->left_out(gather->context, kt_path_show(place, shown), how);
	return 1;
}

static int link_describe(int dir, const char *name, struct kt_bundle_file *file)
{
	char target[KT_MANIFEST_PATH_MAX];
	int r = kt_fs_read_link(dir, name, target, sizeof(target));

	file->link = r < 0 ? NULL : strdup(target);
	return r < 0 ? r : file->link ? 0 : -ENOMEM;
}

/* Size and digest as they are read, not as stat(2) told them. */
static int digest_describe(int dir, const char *name, struct kt_bundle_file *file)
{
	static const size_t step = 256 * 1024;
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, name, O_RDONLY | O_NOFOLLOW, 0);
	KT_OWN(kt_free_mem) char *buffer = malloc(step);
	ssize_t got;

	if (fd < 0)
		return fd;
	if (!digest || !buffer)
		return -ENOMEM;
	file->size_bytes = 0;
	while ((got = read(fd, buffer, step)) > 0) {
		kt_digest_add(digest, buffer, (size_t)got);
		file->size_bytes += (uint64_t)got;
	}
	kt_digest_take(digest, file->sha256);
	return got < 0 ? -errno : 0;
}

static int file_describe(int dir, const char *name, const struct stat *info, bool takes_digest,
			 struct kt_bundle_file *file)
{
	if (S_ISLNK(info->st_mode))
		return link_describe(dir, name, file);
	file->mode = info->st_mode & 0111 ? 0755 : 0644;
	file->size_bytes = (uint64_t)info->st_size;
	memset(file->sha256, '0', sizeof(file->sha256) - 1); /* stands for none yet */
	return takes_digest ? digest_describe(dir, name, file) : 0;
}

static int gather_visit(void *context, int dir, const char *name)
{
	struct gather *gather = context;
	struct kt_component *component = gather->component;
	char path[KT_MANIFEST_PATH_MAX + 1];
	const char *flaw;
	struct stat info;
	int r;

	/* one that is cut is as long as is refused */
	(void)!snprintf(path, sizeof(path), "%s%s%s", gather->below, *gather->below ? "/" : "", name);
	flaw = kt_path_flaw(path);
	if (!flaw)
		flaw = kt_path_reserved(path);
	if (flaw)
		return name_refuse(gather, path, flaw);
	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(info.st_mode)) {
		struct gather deeper = *gather;

		deeper.below = path;

		return kt_each_entry(dir, name, gather_visit, &deeper);
	}
	if (!S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode))
		return name_refuse(gather, path, "is neither file nor link");
	r = S_ISLNK(info.st_mode) ? link_look(gather, dir, name, path) : 0;
	if (r != 0)
		return r < 0 ? r : 0;
	if (component->file_count == KT_MANIFEST_FILES_MAX)
		return -EFBIG;

	struct kt_bundle_file *grown =
		reallocarray(component->files, component->file_count + 1, sizeof(*component->files));

	if (!grown)
		return -ENOMEM;
	component->files = grown;

	struct kt_bundle_file *file = &grown[component->file_count++];

	*file = (struct kt_bundle_file){.path = strdup(path)};
	return file->path ? file_describe(dir, name, &info, gather->takes_digests, file) : -ENOMEM;
}

static int path_compare(const void *one, const void *other)
{
	return strcmp(((const struct kt_bundle_file *)one)->path, ((const struct kt_bundle_file *)other)->path);
}

/* Every real folder as a component whose version is its digest. */
static int gather_components(const struct kt_store *store, const struct gather *wanted, struct kt_manifest *manifest,
			     struct kt_error *err)
{
	for (size_t i = 0; kt_component_names[i]; i++) {
		struct kt_component *component = &manifest->components[manifest->component_count];
		struct gather gather = *wanted;
		const char *folder = kt_component_folder(kt_component_names[i]);
		char digest[KT_DIGEST_HEX];
		int r = folder_look(store->dir, folder);

		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot look at %s/%s", store->root, folder);
		if (r == 0)
			continue;
		gather.component = component;
		gather.err = err;
		(void)snprintf(component->name, sizeof(component->name), "%s", kt_component_names[i]);
		manifest->component_count++; /* from here on kt_manifest_done frees it */
		err->code = 0;

		r = kt_each_entry(store->dir, folder, gather_visit, &gather);
		if (r < 0)
			return err->code ? r : kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s/%s", store->root,
							     folder);
		qsort(component->files, component->file_count, sizeof(*component->files), path_compare);
		kt_component_digest(component, digest);
		(void)snprintf(component->digest, sizeof(component->digest), "%s", digest);
		(void)snprintf(component->version, sizeof(component->version), LEGACY "%.12s", digest);
	}
	return 0;
}

/* The folders described as a bundle that lies in the root itself. The manifest is read back by the parser that every
 * bundle goes through: it refuses names and links that no bundle may have. */
static int describe(const struct kt_store *store, const struct gather *wanted, struct kt_bundle *ret_bundle,
		    struct kt_error *err)
{
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.arch = "x86_64"};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char hex[KT_DIGEST_HEX];
	int r = gather_components(store, wanted, &manifest, err);

	if (r < 0)
		return r;
	if (!digest)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	for (size_t i = 0; i < manifest.component_count; i++)
		kt_digest_add(digest, manifest.components[i].digest, KT_DIGEST_HEX - 1);
	kt_digest_take(digest, hex);
	(void)snprintf(manifest.version, sizeof(manifest.version), LEGACY "%.12s", hex);
	ret_bundle->manifest_bytes = kt_manifest_print(&manifest);
	if (!ret_bundle->manifest_bytes)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	ret_bundle->manifest_size = strlen(ret_bundle->manifest_bytes);
	ret_bundle->dir = kt_fs_open_beneath(store->dir, ".", O_RDONLY | O_DIRECTORY, 0);
	(void)snprintf(ret_bundle->path, sizeof(ret_bundle->path), "%s", store->path);
	return kt_manifest_parse(ret_bundle->manifest_bytes, ret_bundle->manifest_size, &ret_bundle->manifest, err);
}

/* Before anything is written or read whole: a landing would refuse it after the copy. */
static int contract_look(const struct kt_store *store, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	const struct kt_manifest *manifest = &bundle.manifest;
	const struct gather names = {.below = ""};
	int fds[KT_COMPONENT_MAX], r = describe(store, &names, &bundle, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < manifest->component_count; i++)
		fds[i] = kt_fs_open_beneath(bundle.dir, kt_component_folder(manifest->components[i].name),
					    O_RDONLY | O_DIRECTORY, 0);
	r = kt_elf_check(manifest, fds, false, NULL, NULL, err);
	for (size_t i = 0; i < manifest->component_count; i++)
		kt_close_fd(&fds[i]);
	return r;
}

/* The folder's name never goes away: it is the folder, then the link. */
static int folder_exchange(const struct kt_store *store, const char *folder, struct kt_error *err)
{
	char target[KT_PLACE_MAX];

	(void)snprintf(target, sizeof(target), KT_STORE_CURRENT "/%s", folder);
	return kt_store_exchange_link(store, folder, target, err);
}

/* Can each folder be exchanged here? Known before anything is written. */
static int exchange_look(const struct kt_store *store, struct kt_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);

		r = folder_look(store->dir, folder);
		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot look at %s/%s", store->root, folder);
		r = r > 0 ? kt_store_can_exchange(store, folder, err) : 0;
	}
	return r;
}

static int folders_exchange(struct kt_store *store, const char *version, struct kt_error *err)
{
	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);
		char place[KT_PLACE_MAX];
		struct stat info;
		int r = folder_look(store->dir, folder);

		if (r < 0)
			return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot look at %s/%s", store->root, folder);
		if (r == 0)
			continue;
		(void)snprintf(place, sizeof(place), KT_STORE_SETS "/%s/%s", version, folder);
		if (fstatat(store->dir, place, &info, AT_SYMLINK_NOFOLLOW) < 0) /* it came after the set was made */
			return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION,
				       "%s/%s is there and is no part of version %s", store->root, folder, version);
		r = folder_exchange(store, folder, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int stage_folders(struct kt_store *store, struct kt_bundle *bundle, struct kt_error *err)
{
	char current[KT_VERSION_MAX], foreign[256];
	enum kt_claim claim = KT_CLAIM_FOREIGN;
	int r = kt_store_mark(store, err);

	/* The mark comes before the lock, so another may have made it, and swept ours away half made. */
	if (r == -ENOENT && kt_store_claim(store, &claim, foreign) == 0 && claim == KT_CLAIM_OURS)
		r = 0;
	if (r == 0)
		r = kt_store_lock(store, 0, err);
	if (r == 0 && kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) != -ENOENT)
		r = kt_fail(err, EAGAIN, KT_REASON_LOCKED, "another installer was faster");
	return r < 0 ? r : kt_store_stage(store, bundle, NULL, NULL, NULL, err);
}

/* What there is to adopt, and that a landing would take it. Another that adopts it meanwhile moves the folders away as
 * we read: then what we found tells nothing. */
static int look(const struct kt_store *store, kt_store_left_out *left_out, void *context, struct kt_bundle *bundle,
		struct kt_error *err)
{
	const struct gather all = {.below = "", .takes_digests = true, .left_out = left_out, .context = context};
	char current[KT_VERSION_MAX];
	int r = contract_look(store, err);

	if (r == 0)
		r = exchange_look(store, err);
	if (r == 0)
		r = describe(store, &all, bundle, err);
	if (r < 0 && kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) == 0)
		r = kt_fail(err, EAGAIN, KT_REASON_LOCKED, "another installer was faster");
	return r;
}

int kt_store_adopt(struct kt_store *store, kt_store_left_out *left_out, void *context, char ret_version[KT_VERSION_MAX],
		   struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	struct kt_error mine = {.code = 0};
	char version[KT_VERSION_MAX];
	int r = is_half_done(store, version);

	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read what is current in %s", store->root);
	if (r > 0) {
		r = kt_store_lock(store, 0, &mine);
		if (r == 0 && is_half_done(store, version) != 1)
			r = kt_fail(&mine, EAGAIN, KT_REASON_LOCKED, "another installer was faster");
	} else {
		r = look(store, left_out, context, &bundle, &mine);
		if (r < 0 && !kt_reason_get(mine.reason)->transient)
			return kt_fail(err, EEXIST, KT_REASON_FOREIGN_INSTALLATION, "what is in %s cannot be adopted: %.300s",
				       store->root, mine.text);
		(void)snprintf(version, sizeof(version), "%s", bundle.manifest.version);
		if (r == 0)
			r = stage_folders(store, &bundle, &mine);
		if (r == 0)
			r = kt_store_restore(store, version, "", &mine);
	}
	if (r == 0) /* first those of components that are not there: with the last exchange all is in its place */
		r = kt_store_make_links(store, true, &mine);
	if (r == 0)
		r = folders_exchange(store, version, &mine);
	if (r == 0)
		r = kt_store_sweep(store, &mine);
	if (r < 0)
		return kt_fail(err, mine.code, mine.reason, "cannot adopt what is in %s: %.400s", store->root, mine.text);
	(void)snprintf(ret_version, KT_VERSION_MAX, "%s", version);
	return 0;
}
