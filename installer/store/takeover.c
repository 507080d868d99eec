/* A store as it was: a record .kontain-component in each version instead of .files, the files' digests a second time in
 * each set's manifest, what lies beside the components in the set itself. It is taken over by the first landing or
 * verification, before anything else is done:
 *
 *   each version   .files is written from the record, line by line, and synced; the record stays as the mark of what
 *                  was taken over: such a version is replaced by one of the same name, where a new one would be a
 *                  conflict
 *   each set       its extras are copied into versions/extras, as any component is; a set of links with a small
 *                  manifest is made and exchanged for the old one in one step
 *
 * bin/km leads to the same file before, between and after: links of a set name the versions that they named. A crash
 * anywhere leaves sets that are old or new, and the next run goes on. */
#include "takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "copy.h"
#include "door.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "set.h"

/* What the old format allowed. */
#define OLD_BYTES_MAX  (32 * 1024 * 1024)
#define OLD_EXTRAS     "extras"
#define PARTIAL_SET    KT_STORE_PARTIAL "set"
#define PARTIAL_EXTRAS KT_STORE_PARTIAL "extras"
#define LOCK_WAIT_MS   2000

/* ---- versions ---- */

/* "f 755 9054 <sha256> km" or "l krun-label-trigger<TAB>krun", as a line of today's list; false at anything else. */
static bool line_convert(char *line, FILE *list)
{
	unsigned mode;
	unsigned long long size;
	char sha256[KT_DIGEST_HEX], *tab;
	int length = 0;

	if (line[0] == 'l' && line[1] == ' ' && (tab = strchr(line, '\t'))) {
		*tab = '\0';
		(void)fprintf(list, "l\t-\t-\t%s\t%s\n", tab + 1, line + 2);
		return true;
	}
	if (sscanf(line, "f %o %llu %64s %n", &mode, &size, sha256, &length) != 3 || length == 0)
		return false;
	(void)fprintf(list, "f\t%04o\t%llu\t%s\t%s\n", mode, size, sha256, line + length);
	return true;
}

/* A list from a record's text; owned, NULL when it is not one or memory is gone. */
static char *record_convert(char *text, size_t *ret_size)
{
	KT_OWN(kt_free_mem) char *list = NULL;
	FILE *page = open_memstream(&list, ret_size);
	char *line = strchr(text, '\n'), *end;
	bool is_whole = false;

	if (!page)
		return NULL;
	for (line = line ? line + 1 : NULL; line && (end = strchr(line, '\n')); line = end + 1) {
		*end = '\0';
		is_whole = strcmp(line, "end") == 0 && end[1] == '\0';
		if (is_whole || !line_convert(line, page))
			break;
	}
	return fclose(page) != 0 || !is_whole ? NULL : kt_take_ptr(&list);
}

struct convert {
	const struct kt_store *store;
	const char *component;
	struct kt_error *err;
};

/* A record that cannot be read leaves its version without a list: it is not there, and is landed anew. */
static int version_convert(const struct convert *convert, int dir, const char *version)
{
	KT_OWN(kt_free_mem) char *record = NULL;
	KT_OWN(kt_free_mem) char *list = NULL;
	KT_OWN(kt_free_mem) char *parsed = NULL;
	KT_OWN(kt_filelist_done) struct kt_filelist check = {.text = NULL};
	size_t record_size = 0, size = 0;

	if (strcmp(convert->component, "km") == 0 && symlinkat(KT_VERSION_TOOLS, dir, KT_COMPONENT_TOOLS) < 0 &&
	    errno != EEXIST)
		return kt_fail_errno(convert->err, errno, KT_REASON_IO_ERROR, "cannot make a link in km %s", version);
	if (kt_fs_read_all(dir, KT_STORE_OLD_RECORD, OLD_BYTES_MAX, &record, &record_size, KT_ERROR_IGNORED) < 0 ||
	    strlen(record) != record_size)
		return 0;
	list = record_convert(record, &size);
	parsed = list ? strdup(list) : NULL;
	if (!parsed || kt_filelist_parse(convert->component, &parsed, size, &check, KT_ERROR_IGNORED) < 0)
		return 0;
	return kt_fs_replace_file(dir, KT_FILELIST_NAME, list, size, 0644, convert->err);
}

static int version_visit(void *context, int dir, const char *version)
{
	const struct convert *convert = context;
	KT_OWN(kt_close_fd) int own = -1;

	(void)dir;
	if (!kt_version_is_valid(version))
		return 0;
	own = kt_version_open(convert->store, convert->component, version);
	if (own < 0 || !kt_version_is_old(own) || kt_fs_exists(own, KT_FILELIST_NAME))
		return 0;
	return version_convert(convert, own, version);
}

/* ---- sets ---- */

/* The value of selfTest in a manifest as kontain-pack printed it, which was its last key; NULL when there is none. */
static char *self_test_find(char *text)
{
	static const char key[] = "\n  \"selfTest\": ";
	char *found = NULL, *end;

	for (char *next = text; (next = strstr(next, key)); next++)
		found = next;
	end = found ? strrchr(found, '}') : NULL; /* of the document */
	if (!end)
		return NULL;
	*end = '\0';
	return found + 1;
}

/* The small manifest; the self-test is put in as it was, and left out where it is not one any more. */
static char *manifest_make(const struct kt_manifest *manifest, char *old_text)
{
	KT_OWN(kt_free_mem) char *plain = kt_manifest_print(manifest);
	char *self_test = self_test_find(old_text), *both = NULL;
	KT_OWN(kt_manifest_done) struct kt_manifest parsed = {.component_count = 0};

	if (!plain || !self_test)
		return kt_take_ptr(&plain);
	/* it ends "\n  ]\n}\n" */
	if (asprintf(&both, "%.*s,\n%s}\n", (int)(strlen(plain) - strlen("\n}\n")), plain, self_test) < 0)
		return NULL;
	if (kt_manifest_parse(both, strlen(both), &parsed, KT_ERROR_IGNORED) == 0)
		return both;
	free(both);
	return kt_take_ptr(&plain);
}

struct naming {
	const struct kt_store *store;
	struct kt_manifest *manifest;
	struct kt_error *err;
};

/* A component that the old set's links name, in the order of names. */
static int component_add(void *context, const char *name, const char *version)
{
	struct naming *naming = context;
	KT_OWN(kt_close_fd) int dir = kt_version_open(naming->store, name, version);
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	struct kt_component *component;

	if (strcmp(name, KT_COMPONENT_EXTRAS) == 0)
		return 0;
	if (kt_version_list(dir, name, version, &list, naming->err) < 0)
		return -EUCLEAN;
	component = kt_manifest_add(naming->manifest, name, &list);
	(void)snprintf(component->version, sizeof(component->version), "%s", version);
	return 0;
}

/* Copies an old set's extras into a version of their own. */
static int extras_move(const struct kt_store *store, int set, struct kt_manifest *manifest, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int source = kt_fs_open_beneath(set, OLD_EXTRAS, O_RDONLY | O_DIRECTORY, 0);
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	struct kt_component *component;
	char place[KT_PLACE_MAX];
	int r = source < 0 ? 0 : kt_tree_scan(source, KT_COMPONENT_EXTRAS, true, NULL, NULL, &list, err);

	if (r < 0 || list.count == 0)
		return r;
	component = kt_manifest_add(manifest, KT_COMPONENT_EXTRAS, &list);
	kt_place_version(component->name, component->version, place);

	KT_OWN(kt_close_fd) int there = kt_version_open(store, component->name, component->version);

	if (there >= 0 && kt_fs_exists(there, KT_FILELIST_NAME))
		return 0;
	r = kt_version_stage(store, source, "an old set's extras", PARTIAL_EXTRAS, component, NULL,
			     &(struct kt_copy){0}, err);
	if (r == 0)
		r = kt_store_sync(store, err);
	if (r == 0 && kt_fs_make_dirs(store->dir, KT_STORE_VERSIONS "/" KT_COMPONENT_EXTRAS) < 0)
		r = kt_fail(err, EIO, KT_REASON_IO_ERROR, "cannot make %s/" KT_STORE_VERSIONS, store->root);
	return r < 0 ? r : kt_store_publish(store, PARTIAL_EXTRAS, place, err);
}

/* Its km was taken over, and its manifest is not one of today's. */
static bool set_is_old(const struct kt_store *store, const char *version, char ret_km[KT_VERSION_MAX])
{
	KT_OWN(kt_set_done) struct kt_set set = {.dir = -1};
	char place[KT_PLACE_MAX + 8], target[KT_PLACE_MAX + 8];

	kt_place_set(version, place);
	(void)snprintf(place + strlen(place), sizeof(place) - strlen(place), "/bin");
	if (kt_set_load(store, version, &set, KT_ERROR_IGNORED) == 0 ||
	    kt_fs_read_link(store->dir, place, target, sizeof(target)) < 0 ||
	    !kt_place_parse_link("bin", target, ret_km))
		return false;

	KT_OWN(kt_close_fd) int km = kt_version_open(store, "km", ret_km);

	return km >= 0 && kt_version_is_old(km) && kt_set_exists(store, version) > 0;
}

/* A set that cannot be made again stays as it is: an old one, without which a landing goes on. */
static int set_visit(void *context, int dir, const char *version)
{
	const struct convert *convert = context;
	const struct kt_store *store = convert->store;
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.arch = "x86_64"};
	struct naming naming = {store, &manifest, convert->err};
	KT_OWN(kt_free_mem) char *old_text = NULL;
	KT_OWN(kt_free_mem) char *text = NULL;
	KT_OWN(kt_close_fd) int set = -1;
	char place[KT_PLACE_MAX], km[KT_VERSION_MAX];
	size_t size = 0;
	int r;

	(void)dir;
	if (!kt_version_is_valid(version) || !set_is_old(store, version, km))
		return 0;
	kt_place_set(version, place);
	(void)snprintf(manifest.version, sizeof(manifest.version), "%s", version);
	set = kt_fs_open_beneath(store->dir, place, O_RDONLY | O_DIRECTORY, 0);
	if (set < 0 || kt_fs_read_all(set, KT_MANIFEST_NAME, OLD_BYTES_MAX, &old_text, &size, KT_ERROR_IGNORED) < 0 ||
	    kt_set_each_link(store, version, component_add, &naming) < 0)
		return 0;
	r = extras_move(store, set, &manifest, convert->err);
	if (r < 0)
		return r;
	text = manifest_make(&manifest, old_text);
	if (!text)
		return kt_fail(convert->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	r = kt_set_write(store, &manifest, text, strlen(text), PARTIAL_SET, convert->err);
	if (r == 0)
		r = kt_store_sync(store, convert->err);
	if (r == 0)
		r = kt_store_publish(store, PARTIAL_SET, place, convert->err);
	return r < 0 ? r : 0;
}

int kt_store_take_over(const struct kt_store *store, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct convert convert = {.store = store, .err = &mine};
	int r = 0;

	for (size_t i = 0; r == 0 && kt_component_names[i]; i++) {
		char folder[KT_PLACE_MAX];

		convert.component = kt_component_names[i];
		(void)snprintf(folder, sizeof(folder), KT_STORE_VERSIONS "/%s", convert.component);
		r = kt_each_entry(store->dir, folder, version_visit, &convert);
	}
	if (r == 0)
		r = kt_each_entry(store->dir, KT_STORE_SETS, set_visit, &convert);
	if (r < 0 && mine.code != 0)
		return kt_fail(err, mine.code, mine.reason,
			       "cannot take over what an earlier kontain-installer landed: %s", mine.text);
	return r < 0 && r != -ENOTDIR && r != -ELOOP ?
		       kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the versions in %s", store->root) :
		       0;
}

int kt_store_take_over_if_old(const struct kt_store *store, const char *version, struct kt_error *err)
{
	struct kt_store own = *store; /* its directory is borrowed, its lock may be ours */
	char km[KT_VERSION_MAX];
	int r = 0;

	if (!set_is_old(store, version, km))
		return 0;
	if (own.lock < 0)
		r = kt_store_lock(&own, LOCK_WAIT_MS, err);
	if (r < 0)
		return r;
	r = kt_store_sweep(&own, err);
	if (r == 0)
		r = kt_store_take_over(&own, err);
	if (store->lock < 0)
		kt_close_fd(&own.lock);
	return r;
}

bool kt_old_set_look(const struct kt_store *store, struct kt_inventory *inventory)
{
	KT_OWN(kt_free_mem) char *record = NULL;
	KT_OWN(kt_close_fd) int dir = -1;
	char km[KT_VERSION_MAX], *line;
	size_t size = 0;

	if (!set_is_old(store, inventory->current, km))
		return false;
	dir = kt_version_open(store, "km", km);
	if (dir < 0 || !kt_fs_exists(dir, "bin/km") ||
	    kt_fs_read_all(dir, KT_STORE_OLD_RECORD, OLD_BYTES_MAX, &record, &size, KT_ERROR_IGNORED) < 0)
		return false;
	for (line = record; line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
		unsigned mode;
		unsigned long long bytes;
		char sha256[KT_DIGEST_HEX], path[8];

		if (sscanf(line, "f %o %llu %64s %7[^\n]", &mode, &bytes, sha256, path) == 4 && strcmp(path, "km") == 0)
			memcpy(inventory->km_digest, sha256, sizeof(sha256));
	}
	inventory->is_unread = true;
	inventory->verified_at = 0;
	return true;
}
