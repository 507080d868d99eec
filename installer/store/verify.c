/* The deep check: every byte of a set against its manifest, and the ELF contract over it. What was right, and what was not,
 * is noted with the stamp that it was read under (seen.h). It reads in this process and one file after the other: who
 * wants it in the background runs it in a process of its own, at idle priority. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "record.h"
#include "set.h"

/* Long enough for another reader's note, too short to stand in a landing's way. */
#define NOTE_WAIT_MS 2000

/* A component or the set itself, as it was read. */
struct part {
	char name[16];
	char version[KT_VERSION_MAX];
	uint64_t mark;              /* KT_STAMP_NONE: not to be noted */
	char digest[KT_DIGEST_HEX]; /* as in struct kt_seen */
	struct kt_seen_file *files; /* owned */
	size_t count;
};

struct deep {
	const struct kt_store *store;
	struct kt_manifest manifest;
	struct kt_reader reader;
	int fds[KT_COMPONENT_MAX]; /* the components' folders; -1 for one that is not there, which is a fault */
	int extras;                /* -1 when there are none */
	struct part parts[KT_COMPONENT_MAX + 1];
	size_t part_count;
	struct kt_error fault; /* the first; code 0: none */
};

static void deep_done(struct deep *deep)
{
	for (size_t i = 0; i < KT_COMPONENT_MAX; i++)
		kt_close_fd(&deep->fds[i]);
	kt_close_fd(&deep->extras);
	for (size_t i = 0; i < deep->part_count; i++)
		kt_free_mem(&deep->parts[i].files);
	kt_reader_done(&deep->reader);
	kt_manifest_done(&deep->manifest);
}

/* Where a fault goes: the first is kept, the rest only counts as one. */
static struct kt_error *fault_of(struct deep *deep)
{
	return deep->fault.code == 0 ? &deep->fault : NULL;
}

/* NULL when memory is gone, which is a fault then. */
static struct part *part_add(struct deep *deep, const char *name, const char *version, size_t room)
{
	struct part *part = &deep->parts[deep->part_count];

	*part = (struct part){.files = calloc(room, sizeof(*part->files))};
	if (!part->files) {
		(void)kt_fail(fault_of(deep), ENOMEM, KT_REASON_INTERNAL, "out of memory");
		return NULL;
	}
	(void)snprintf(part->name, sizeof(part->name), "%s", name);
	(void)snprintf(part->version, sizeof(part->version), "%s", version);
	deep->part_count++;
	return part;
}

static bool link_is_right(int parent, const char *name, const char *link)
{
	char target[KT_MANIFEST_PATH_MAX];

	return kt_fs_read_link(parent, name, target, sizeof(target)) == 0 && strcmp(target, link) == 0;
}

/* What is wrong with it, NULL for nothing; ret_seen says under which stamp. -errno in *ret_code when it cannot be told. */
static const char *file_verify(struct deep *deep, int parent, const char *name, const struct kt_bundle_file *file,
			       struct kt_seen_file *ret_seen, int *ret_code)
{
	struct kt_reading reading;
	struct stat info;

	*ret_code = fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	if (*ret_code < 0)
		return NULL;
	ret_seen->stamp = kt_stamp_settled(&info);
	if (file->link)
		return link_is_right(parent, name, file->link) ? NULL : "is not the link that was landed";
	if (!S_ISREG(info.st_mode) || (info.st_mode & 07777) != file->mode)
		return "has another type or mode than was landed";
	if ((uint64_t)info.st_size != file->size_bytes)
		return "has another size than was landed";
	*ret_code = kt_reader_read(&deep->reader, parent, name, &reading);
	if (*ret_code < 0)
		return NULL;
	ret_seen->stamp = reading.stamp;
	if (reading.size_bytes == file->size_bytes && strcmp(reading.sha256, file->sha256) == 0)
		return NULL;
	ret_seen->stamp = kt_stamp(&info); /* wrong is wrong, however young: a landing looks at it again */
	return "has another content than was landed";
}

/* Reads files below tree into a part; place is the tree's, for texts. */
static void files_verify(struct deep *deep, struct part *part, int tree, const struct kt_bundle_file *files, size_t count,
			 const char *place)
{
	KT_OWN(kt_way_done) struct kt_way way;

	kt_way_init(&way, tree);
	for (size_t i = 0; i < count; i++) {
		struct kt_seen_file *seen = &part->files[part->count];
		const char *name = NULL, *wrong = NULL;
		int parent = kt_way_enter(&way, files[i].path, false, &name), code = parent;

		seen->path = files[i].path;
		if (parent >= 0)
			wrong = file_verify(deep, parent, name, &files[i], seen, &code);
		seen->is_wrong = wrong != NULL;
		part->count++;
		if (wrong)
			(void)kt_fail(fault_of(deep), EUCLEAN, KT_REASON_STORE_FILE_CHANGED, "%s/%.200s %s", place,
				      files[i].path, wrong);
		if (code >= 0)
			continue;
		part->mark = KT_STAMP_NONE;
		if (code == -ENOENT || code == -ENOTDIR || code == -ELOOP)
			(void)kt_fail(fault_of(deep), EUCLEAN, KT_REASON_STORE_FILE_LOST, "%s/%.200s is missing", place,
				      files[i].path);
		else
			(void)kt_fail_errno(fault_of(deep), -code, KT_REASON_IO_ERROR, "cannot read %s/%.200s", place,
					    files[i].path);
	}
}

static const char *km_digest(const struct kt_component *component)
{
	for (size_t i = 0; i < component->file_count; i++)
		if (!component->files[i].link && strcmp(component->files[i].path, "km") == 0)
			return component->files[i].sha256;
	return "";
}

/* Types, sizes and the like first: it is quick, its words are plainer, and what is lost need not be read. */
static int component_look(struct deep *deep, const struct kt_component *component, int dir, const char *place)
{
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	struct kt_record_check check = {.seen = NULL};
	struct kt_error *fault = fault_of(deep);

	if (dir < 0 || kt_record_read(dir, &record, NULL) < 0)
		return kt_fail(fault, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s has no record: it is not there", place);
	if (strcmp(record.digest, component->digest) != 0)
		return kt_fail(fault, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s is another %s than the manifest's", place,
			       component->name);
	return kt_record_check(&record, dir, place, &check, fault);
}

static void component_verify(struct deep *deep, size_t i)
{
	const struct kt_component *component = &deep->manifest.components[i];
	char place[KT_PLACE_MAX], files[KT_PLACE_MAX];
	struct part *part;

	kt_place_version(component->name, component->version, place);
	kt_place_files(component->name, component->version, files);

	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(deep->store->dir, place, O_RDONLY | O_DIRECTORY, 0);
	uint64_t mark = dir < 0 ? KT_STAMP_NONE : kt_seen_mark(dir, component->name);

	if (component_look(deep, component, dir, place) < 0)
		return;
	deep->fds[i] = kt_fs_open_beneath(deep->store->dir, files, O_RDONLY | O_DIRECTORY, 0);
	if (deep->fds[i] < 0) {
		(void)kt_fail(fault_of(deep), EUCLEAN, KT_REASON_STORE_FILE_LOST, "%s is missing", files);
		return;
	}
	part = part_add(deep, component->name, component->version, component->file_count + 1);
	if (!part)
		return;
	part->mark = mark;
	if (strcmp(component->name, "km") == 0)
		memcpy(part->digest, km_digest(component), strlen(km_digest(component)) + 1);
	files_verify(deep, part, deep->fds[i], component->files, component->file_count, files);
}

struct link_search {
	const struct kt_manifest *manifest;
	size_t found;
};

static int link_visit(void *context, const char *component, const char *version)
{
	struct link_search *search = context;
	const struct kt_component *wanted = kt_manifest_component(search->manifest, component);

	search->found += wanted && strcmp(wanted->version, version) == 0;
	return 0;
}

static void links_verify(struct deep *deep, const char *version)
{
	struct link_search search = {.manifest = &deep->manifest};
	int r = kt_set_each_link(deep->store, version, link_visit, &search);

	if (r < 0 || search.found != deep->manifest.component_count)
		(void)kt_fail(fault_of(deep), EUCLEAN, KT_REASON_STORE_DAMAGED,
			      KT_STORE_SETS "/%s: its links are not those of its manifest", version);
}

/* Nothing beside it says what a manifest should be, but what it was when it was read first. */
static void manifest_verify(struct deep *deep, struct part *part, int dir)
{
	KT_OWN(kt_seen_done) struct kt_seen before = {.text = NULL};
	struct kt_reading reading;
	int r = kt_reader_read(&deep->reader, dir, KT_MANIFEST_NAME, &reading);

	part->mark = r < 0 ? KT_STAMP_NONE : kt_seen_mark(dir, KT_SEEN_SET);
	if (r < 0)
		return; /* it was parsed a moment ago: another is at work here */
	memcpy(part->digest, reading.sha256, sizeof(reading.sha256));
	part->files[part->count++] = (struct kt_seen_file){.path = KT_MANIFEST_NAME, .stamp = reading.stamp};
	if (kt_seen_read(deep->store, KT_SEEN_SET, part->version, part->mark, &before) < 0 ||
	    strcmp(before.digest, part->digest) == 0)
		return;
	part->mark = KT_STAMP_NONE; /* what was known stays known */
	(void)kt_fail(fault_of(deep), EUCLEAN, KT_REASON_STORE_FILE_CHANGED,
		      KT_STORE_SETS "/%s/" KT_MANIFEST_NAME " has another content than was landed", part->version);
}

static void set_verify(struct deep *deep, const char *version)
{
	const struct kt_manifest *manifest = &deep->manifest;
	char place[KT_PLACE_MAX];

	kt_place_set(version, place);

	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(deep->store->dir, place, O_RDONLY | O_DIRECTORY, 0);
	struct part *part = dir < 0 ? NULL : part_add(deep, KT_SEEN_SET, version, manifest->extra_count + 1);

	if (!part)
		return;
	manifest_verify(deep, part, dir);
	if (manifest->extra_count == 0)
		return;
	(void)snprintf(place, sizeof(place), KT_STORE_SETS "/%s/" KT_SET_EXTRAS, version);
	deep->extras = kt_fs_open_beneath(deep->store->dir, place, O_RDONLY | O_DIRECTORY, 0);
	if (deep->extras >= 0) {
		files_verify(deep, part, deep->extras, manifest->extras, manifest->extra_count, place);
		return;
	}
	part->mark = KT_STAMP_NONE;
	(void)kt_fail(fault_of(deep), EUCLEAN, KT_REASON_STORE_FILE_LOST, "%s is missing", place);
}

/* A cache, so no trouble with it is worth a word: the next tick asks for another reading. */
static void notes_write(const struct deep *deep)
{
	struct kt_store store = *deep->store; /* its directory is borrowed, its lock may be ours */
	int64_t now = time(NULL);

	if (store.lock < 0 &&
	    (!kt_fs_exists(store.dir, KT_STORE_OWNER) || kt_store_lock(&store, NOTE_WAIT_MS, NULL) < 0))
		return;
	for (size_t i = 0; i < deep->part_count; i++) {
		const struct part *part = &deep->parts[i];

		if (part->mark != KT_STAMP_NONE)
			(void)kt_seen_write(&store, part->name, part->version, part->mark, now, part->digest, part->files,
					    part->count, NULL);
	}
	if (deep->store->lock < 0)
		kt_close_fd(&store.lock);
}

static int contract_verify(const struct deep *deep, const struct kt_verify *how, struct kt_error *err)
{
	int r = kt_elf_check(&deep->manifest, deep->fds, how->is_strict, how->found, how->context, err);

	if (r == 0 && deep->extras >= 0)
		r = kt_elf_check_extras(&deep->manifest, deep->extras, how->is_strict, how->found, how->context, err);
	return r;
}

int kt_store_verify(const struct kt_store *store, const struct kt_verify *how, struct kt_error *err)
{
	KT_OWN(deep_done) struct deep deep = {.store = store, .extras = -1};
	const char *version = how->version;
	char current[KT_VERSION_MAX];
	int r;

	for (size_t i = 0; i < KT_COMPONENT_MAX; i++)
		deep.fds[i] = -1;
	if (!version) {
		if (kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) < 0)
			return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "no version is current in %s", store->root);
		version = current;
	}
	r = kt_store_read_set(store, version, &deep.manifest, err);
	if (r < 0)
		return r;
	if (kt_reader_init(&deep.reader) < 0)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	links_verify(&deep, version);
	for (size_t i = 0; i < deep.manifest.component_count; i++)
		component_verify(&deep, i);
	set_verify(&deep, version);
	if (how->is_noted)
		notes_write(&deep);
	if (deep.fault.code != 0)
		return kt_fail(err, deep.fault.code, deep.fault.reason, "%s", deep.fault.text);
	return contract_verify(&deep, how, err);
}
