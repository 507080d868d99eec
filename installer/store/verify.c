/* The deep check: every byte of a set against its lists, and the ELF contract over it. What was right, and what was
 * not, is noted with the stamp that it was read under (treecheck.h). It reads in this process and one file after the
 * other: who wants it in the background runs it in a process of its own, at idle priority. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "set.h"
#include "takeover.h"

/* Long enough for another reader's note, too short to stand in a landing's way. */
#define NOTE_WAIT_MS 2000

/* A component, as it was read. */
struct part {
	bool is_noted;
	struct kt_seen head;
	char *body; /* owned */
	size_t body_size;
};

struct deep {
	const struct kt_store *store;
	struct kt_set set;
	int fds[KT_COMPONENT_MAX]; /* the components' folders; -1 for one that is not there, which is a fault */
	struct part parts[KT_COMPONENT_MAX];
	char contract[KT_DIGEST_HEX];
	struct kt_error fault; /* the first; code 0: none */
	struct kt_error other; /* one behind it */
};

static void deep_done(struct deep *deep)
{
	for (size_t i = 0; i < KT_COMPONENT_MAX; i++) {
		kt_close_fd(&deep->fds[i]);
		kt_free_mem(&deep->parts[i].body);
	}
	kt_set_done(&deep->set);
}

/* Where a fault goes: the first is kept. */
static struct kt_error *fault_of(struct deep *deep)
{
	return deep->fault.code == 0 ? &deep->fault : &deep->other;
}

/* A tree of the set is looked at. */
struct look {
	struct deep *deep;
	const char *where;
};

static int difference_visit(void *context, const struct kt_difference *difference)
{
	const struct look *look = context;
	struct kt_first first = {.where = look->where, .err = fault_of(look->deep)};

	return kt_first_visit(&first, difference);
}

/* Reads all of it, and keeps what is to be noted. */
static void tree_verify(struct deep *deep, const struct kt_tree *tree, const char *place, struct part *part)
{
	struct look look = {deep, place};
	FILE *notes = open_memstream(&part->body, &part->body_size);
	struct kt_tree_check check = {
		.depth = KT_DEPTH_ALL, .visit = difference_visit, .context = &look, .notes = notes};
	int r = notes ? kt_tree_check(tree, &check) : -ENOMEM;

	part->head.count = check.note_count;
	part->is_noted = (!notes || fclose(notes) == 0) && r == 0;
	if (r < 0)
		(void)kt_fail(fault_of(deep), ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
}

static void component_verify(struct deep *deep, size_t i)
{
	struct kt_component *component = &deep->set.manifest.components[i];
	KT_OWN(kt_close_fd) int dir = kt_version_open(deep->store, component->name, component->version);
	struct part *part = &deep->parts[i];
	struct kt_version_tree tree;
	char place[KT_PLACE_MAX], files[KT_PLACE_MAX];
	const struct kt_file *km;

	kt_place_version(component->name, component->version, place);
	kt_place_files(component->name, component->version, files);
	if (kt_version_list(dir, component->name, component->version, &component->list, fault_of(deep)) < 0)
		return;
	if (strcmp(component->list.digest, component->digest) != 0) {
		(void)kt_fail(fault_of(deep), EUCLEAN, KT_REASON_STORE_DAMAGED,
			      "%s/" KT_FILELIST_NAME " is not the list that the set's manifest names", place);
		return;
	}
	kt_version_tree(dir, component->name, &component->list, &tree);
	tree_verify(deep, &tree.tree, place, part);
	memcpy(part->head.digest, component->digest, sizeof(component->digest));
	km = strcmp(component->name, "km") == 0 ? kt_filelist_find(&component->list, "km") : NULL;
	if (km && km->sha256)
		memcpy(part->head.km_digest, km->sha256, KT_DIGEST_HEX);
	deep->fds[i] = kt_fs_open_beneath(deep->store->dir, files, O_RDONLY | O_DIRECTORY, 0);
}

/* Nothing beside it says what a manifest should be, but what it was when it was landed. */
static void set_verify(struct deep *deep, const char *version)
{
	KT_OWN(kt_seen_done) struct kt_seen before = {.text = NULL};
	char place[KT_PLACE_MAX];
	struct look look = {deep, place};
	struct kt_tree_check check = {.depth = KT_DEPTH_STAT, .visit = difference_visit, .context = &look};
	struct kt_set_tree tree;

	kt_place_set(version, place);
	kt_set_tree(&deep->set, &tree);
	(void)kt_tree_check(&tree.tree, &check);
	if (kt_seen_read(deep->store, KT_SEEN_SET, version, &before) == 0 &&
	    strcmp(before.digest, deep->set.sha256) != 0)
		(void)kt_fail(fault_of(deep), EUCLEAN, KT_REASON_STORE_FILE_CHANGED,
			      "%s/" KT_MANIFEST_NAME " differs in content from the installed version", place);
}

static void root_visit(void *context, enum kt_reason reason, const char *text)
{
	struct deep *deep = context;

	(void)kt_fail(fault_of(deep), EUCLEAN, reason, "%s", text);
}

/* What lies in the root itself. It is first, as it says why what lies below is not there. */
static int root_verify(struct deep *deep, bool asks_links, struct kt_error *err)
{
	enum kt_claim claim;
	int r = kt_root_check(deep->store, asks_links, &claim, root_visit, deep);

	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", deep->store->root) : 0;
}

static int fault_return(const struct deep *deep, struct kt_error *err)
{
	return kt_fail(err, deep->fault.code, deep->fault.reason, "%s", deep->fault.text);
}

/* A cache, so no trouble with it is worth a word: the next tick asks for another reading. */
static void notes_write(const struct deep *deep, const char *version)
{
	struct kt_store store = *deep->store; /* its directory is borrowed, its lock may be ours */
	const struct kt_manifest *manifest = &deep->set.manifest;
	struct kt_seen set = {.read_at = time(NULL)};

	if (store.lock < 0 &&
	    (!kt_fs_exists(store.dir, KT_STORE_OWNER) || kt_store_lock(&store, NOTE_WAIT_MS, KT_ERROR_IGNORED) < 0))
		return;
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct part *part = &deep->parts[i];
		struct kt_seen head = part->head;

		head.read_at = set.read_at;
		memcpy(head.contract, deep->contract, sizeof(head.contract));
		if (part->is_noted)
			(void)kt_seen_write(&store, manifest->components[i].name, manifest->components[i].version,
					    &head, part->body, part->body_size, KT_ERROR_IGNORED);
	}
	memcpy(set.digest, deep->set.sha256, sizeof(set.digest));
	if (deep->fault.code == 0)
		(void)kt_seen_write(&store, KT_SEEN_SET, version, &set, "", 0, KT_ERROR_IGNORED);
	if (deep->store->lock < 0)
		kt_close_fd(&store.lock);
}

static int contract_verify(struct deep *deep, const struct kt_verify *how, struct kt_error *err)
{
	const struct kt_manifest *manifest = &deep->set.manifest;
	int r;

	if (deep->fault.code != 0)
		return fault_return(deep, err);
	r = kt_elf_check(manifest, deep->fds, how->is_strict, how->found, how->context, err);
	if (r == 0 && kt_elf_surroundings(manifest, deep->contract) < 0)
		deep->contract[0] = '\0';
	return r;
}

int kt_store_verify(const struct kt_store *store, const struct kt_verify *how, struct kt_error *err)
{
	KT_OWN(deep_done) struct deep deep = {.store = store, .set = {.dir = -1}};
	const char *version = how->version;
	char current[KT_VERSION_MAX];
	int r;

	for (size_t i = 0; i < KT_COMPONENT_MAX; i++)
		deep.fds[i] = -1;
	r = root_verify(&deep, !how->is_switch_next, err);
	if (r < 0)
		return r;
	if (!version) {
		if (kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) < 0)
			return deep.fault.reason == KT_REASON_FOREIGN_INSTALLATION ?
				       fault_return(&deep, err) :
				       kt_fail(err, ENOENT, KT_REASON_NO_VERSION, "no version is current in %s",
					       store->root);
		version = current;
	}
	r = kt_store_take_over_if_old(store, version, err);
	if (r < 0)
		return r;
	r = kt_set_load(store, version, &deep.set, err);
	if (r < 0)
		return deep.fault.code == 0 ? r : fault_return(&deep, err);
	set_verify(&deep, version);
	for (size_t i = 0; i < deep.set.manifest.component_count; i++)
		component_verify(&deep, i);
	r = contract_verify(&deep, how, err);
	if (how->is_noted)
		notes_write(&deep, version);
	return r;
}
