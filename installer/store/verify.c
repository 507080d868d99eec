/* The deep check: every byte of a set against its manifest, and the ELF contract over it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "copy.h"
#include "kontain/fs.h"
#include "kontain/own.h"
#include "record.h"
#include "set.h"

struct deep {
	const struct kt_store *store;
	struct kt_manifest manifest;
	int fds[KT_COMPONENT_MAX];
	size_t count;
	int extras; /* -1 when there are none */
};

static void deep_done(struct deep *deep)
{
	for (size_t i = 0; i < deep->count; i++)
		kt_close_fd(&deep->fds[i]);
	kt_close_fd(&deep->extras);
	kt_manifest_done(&deep->manifest);
}

static int files_verify(int tree, const struct kt_bundle_file *files, size_t count, const char *place,
			struct kt_error *err)
{
	KT_OWN(kt_verifier_done) struct kt_verifier verifier = {.pid = -1, .link = -1};
	struct kt_error mine = {.code = 0};
	int r = kt_verifier_start(tree, files, count, &verifier, &mine);

	for (size_t i = 0; r == 0 && i < count; i++)
		if (!files[i].link)
			kt_verifier_offer(&verifier, (uint32_t)i);
	if (r == 0)
		r = kt_verifier_finish(&verifier, &mine);
	return r < 0 ? kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s: %s", place, mine.text) : 0;
}

static int component_verify(struct deep *deep, const struct kt_component *component, struct kt_error *err)
{
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	struct kt_error mine = {.code = 0};
	char place[KT_PLACE_MAX], files[KT_PLACE_MAX];

	kt_place_version(component->name, component->version, place);
	kt_place_files(component->name, component->version, files);

	KT_OWN(kt_close_fd) int dir = kt_fs_open_beneath(deep->store->dir, place, O_RDONLY | O_DIRECTORY, 0);

	if (dir < 0 || kt_record_read(dir, &record, &mine) < 0)
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s has no record: it is not there", place);
	if (strcmp(record.digest, component->digest) != 0)
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s is another %s than the manifest's", place,
			       component->name);
	/* types, modes, sizes and links first: it is quick and its words are plainer */
	if (kt_record_check(&record, dir, place, NULL, err) < 0)
		return -err->code;
	deep->fds[deep->count] = kt_fs_open_beneath(deep->store->dir, files, O_RDONLY | O_DIRECTORY, 0);
	if (deep->fds[deep->count] < 0)
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s is missing", files);
	deep->count++;
	return files_verify(deep->fds[deep->count - 1], component->files, component->file_count, files, err);
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

static int links_verify(const struct deep *deep, const char *version, struct kt_error *err)
{
	struct link_search search = {.manifest = &deep->manifest};
	int r = kt_set_each_link(deep->store, version, link_visit, &search);

	if (r < 0 || search.found != deep->manifest.component_count)
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED,
			       KT_STORE_SETS "/%s: its links are not those of its manifest", version);
	return 0;
}

static int extras_verify(struct deep *deep, const char *version, struct kt_error *err)
{
	char place[KT_PLACE_MAX];

	if (deep->manifest.extra_count == 0)
		return 0;
	(void)snprintf(place, sizeof(place), KT_STORE_SETS "/%s/" KT_SET_EXTRAS, version);

	deep->extras = kt_fs_open_beneath(deep->store->dir, place, O_RDONLY | O_DIRECTORY, 0);
	if (deep->extras < 0)
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s is missing", place);
	return files_verify(deep->extras, deep->manifest.extras, deep->manifest.extra_count, place, err);
}

int kt_store_verify(const struct kt_store *store, const char *version, bool strict, kt_elf_finding *found,
		    void *context, struct kt_error *err)
{
	KT_OWN(deep_done) struct deep deep = {.store = store, .extras = -1};
	struct kt_error ignored;
	char current[KT_VERSION_MAX];
	int r;

	if (!err)
		err = &ignored;
	if (!version || !*version) {
		if (kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) < 0)
			return kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "no version is current in %s", store->root);
		version = current;
	}
	r = kt_store_read_set(store, version, &deep.manifest, err);
	if (r == 0)
		r = links_verify(&deep, version, err);
	for (size_t i = 0; r == 0 && i < deep.manifest.component_count; i++)
		r = component_verify(&deep, &deep.manifest.components[i], err);
	if (r == 0)
		r = extras_verify(&deep, version, err);
	if (r == 0)
		r = kt_elf_check(&deep.manifest, deep.fds, strict, found, context, err);
	if (r == 0 && deep.extras >= 0)
		r = kt_elf_check_extras(&deep.manifest, deep.extras, strict, found, context, err);
	return r;
}
