/* What is there, told without a lock and without believing any of it: another process may be landing or removing
 * meanwhile, so each thing is looked at once and what vanishes is not there.
 *
 * It runs at every tick: each file and directory of the current set is looked at (stat) and held against what was noted
 * of it. Lists and contents are read only where something is not as it was noted. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "set.h"
#include "takeover.h"

/* Of what changed since it was seen, read at once in one look: more than any km, and no tick's worth of a large
 * tree. */
#define READ_MAX_BYTES (64 * 1024 * 1024)

static int sets_visit(void *context, int dir, const char *version)
{
	struct kt_inventory *inventory = context;

	(void)dir;
	if (inventory->set_count < KT_STATE_LIST_MAX)
		(void)snprintf(inventory->sets[inventory->set_count++], KT_VERSION_MAX, "%s", version);
	return 0;
}

static void damage(struct kt_inventory *inventory, enum kt_reason reason, const char *text)
{
	inventory->is_whole = false;
	if (inventory->damage[0])
		return;
	inventory->damage_reason = reason;
	(void)snprintf(inventory->damage, sizeof(inventory->damage), "%.*s", (int)sizeof(inventory->damage) - 1, text);
}

/* A tree of the current set is looked at. */
struct look {
	struct kt_inventory *inventory;
	const char *where;
};

static int difference_visit(void *context, const struct kt_difference *difference)
{
	const struct look *look = context;
	char text[sizeof(look->inventory->damage)];

	kt_difference_print(difference, look->where, text, sizeof(text));
	damage(look->inventory, kt_difference_reason(difference), *look->where ? text : text + (text[0] == '/'));
	return 0;
}

/* One component of the current set was read to its last byte then; 0: never. */
static void part_note(struct kt_inventory *inventory, int64_t read_at)
{
	if (read_at < inventory->verified_at)
		inventory->verified_at = read_at;
	if (read_at == 0)
		inventory->is_unread = true;
}

static bool component_is_as_seen(const struct kt_store *store, struct kt_inventory *inventory,
				 const struct kt_component *component, int dir)
{
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};

	if (dir < 0 || kt_seen_read(store, component->name, component->version, &seen) < 0 ||
	    strcmp(seen.digest, component->digest) != 0 || !kt_tree_is_as_seen(dir, &seen))
		return false;
	if (strcmp(component->name, "km") == 0)
		memcpy(inventory->km_digest, seen.km_digest, sizeof(seen.km_digest));
	part_note(inventory, seen.read_at);
	return true;
}

/* Something is not as it was seen, or nothing was ever seen: the list says what is meant to be there. unseen: how
 * much is looked at of what nothing was noted of. */
static void component_check(const struct kt_store *store, struct kt_inventory *inventory,
			    const struct kt_component *component, int dir, const char *place, enum kt_depth unseen)
{
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	struct look look = {inventory, place};
	struct kt_tree_check check = {
		.depth = unseen, .read_max_bytes = READ_MAX_BYTES, .visit = difference_visit, .context = &look};
	struct kt_error err = {.code = 0};
	struct kt_version_tree tree;
	const struct kt_file *km;
	char text[KT_PLACE_MAX + 80];

	if (kt_version_list(dir, component->name, component->version, &list, &err) < 0) {
		damage(inventory, err.reason, err.text);
		return;
	}
	if (strcmp(list.digest, component->digest) != 0) {
		(void)snprintf(text, sizeof(text),
			       "%s/" KT_FILELIST_NAME " is not the list that the set's manifest names", place);
		damage(inventory, KT_REASON_STORE_DAMAGED, text);
		return;
	}
	if (kt_seen_read(store, component->name, component->version, &seen) == 0 &&
	    strcmp(seen.digest, component->digest) == 0) {
		check.seen = &seen;
		check.depth = KT_DEPTH_CHANGED;
	}
	kt_version_tree(dir, component->name, &list, &tree);
	if (kt_tree_check(&tree.tree, &check) < 0)
		damage(inventory, KT_REASON_OUT_OF_MEMORY, "out of memory");
	km = strcmp(component->name, "km") == 0 ? kt_filelist_find(&list, "km") : NULL;
	if (km && km->sha256)
		memcpy(inventory->km_digest, km->sha256, KT_DIGEST_HEX);
	part_note(inventory, check.seen ? seen.read_at : 0);
	inventory->is_unread |= check.is_unread;
}

static void component_look(const struct kt_store *store, struct kt_inventory *inventory,
			   const struct kt_component *component, enum kt_depth unseen)
{
	KT_OWN(kt_close_fd) int dir = kt_version_open(store, component->name, component->version);
	char place[KT_PLACE_MAX];

	kt_place_version(component->name, component->version, place);
	if (!component_is_as_seen(store, inventory, component, dir))
		component_check(store, inventory, component, dir, place, unseen);
}

/* Nothing beside it says what a manifest should be, but what it was when it was landed. */
static void manifest_look(const struct kt_store *store, struct kt_inventory *inventory, const struct kt_set *set)
{
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	char text[KT_PLACE_MAX + 64];

	memcpy(inventory->manifest_sha256, set->sha256, sizeof(set->sha256));
	if (kt_seen_read(store, KT_SEEN_SET, inventory->current, &seen) < 0 || strcmp(seen.digest, set->sha256) == 0)
		return;
	(void)snprintf(text, sizeof(text),
		       KT_STORE_SETS "/%s/" KT_MANIFEST_NAME " differs in content from the installed version",
		       inventory->current);
	damage(inventory, KT_REASON_STORE_FILE_CHANGED, text);
}

static int km_visit(void *context, const char *component, const char *version)
{
	struct kt_inventory *inventory = context;

	if (strcmp(component, "km") == 0)
		(void)snprintf(inventory->km_version, KT_VERSION_MAX, "%s", version);
	return 0;
}

/* Returns false when the set cannot be read as one (*err). */
static bool set_look(const struct kt_store *store, struct kt_inventory *inventory, enum kt_depth unseen,
		     struct kt_error *err)
{
	KT_OWN(kt_set_done) struct kt_set set = {.dir = -1};
	char place[KT_PLACE_MAX];
	struct look look = {inventory, place};
	struct kt_tree_check check = {.depth = KT_DEPTH_STAT, .visit = difference_visit, .context = &look};
	struct kt_set_tree tree;

	if (kt_set_load(store, inventory->current, &set, err) < 0)
		return false;
	kt_place_set(inventory->current, place);
	manifest_look(store, inventory, &set);
	kt_set_tree(&set, &tree);
	if (kt_tree_check(&tree.tree, &check) < 0)
		damage(inventory, KT_REASON_OUT_OF_MEMORY, "out of memory");
	for (size_t i = 0; i < set.manifest.component_count; i++)
		component_look(store, inventory, &set.manifest.components[i], unseen);
	return true;
}

void kt_store_look(const struct kt_store *store, const char *version, struct kt_look *ret_look)
{
	struct kt_inventory inventory = {.is_whole = true}; /* what it would be if this were the current set */
	struct kt_error err = {.code = 0};

	*ret_look = (struct kt_look){.is_old = false};
	(void)snprintf(inventory.current, sizeof(inventory.current), "%.*s", KT_VERSION_MAX - 1, version);
	if (!set_look(store, &inventory, KT_DEPTH_STAT, &err)) {
		ret_look->is_old = kt_old_set_look(store, &inventory);
		if (!ret_look->is_old)
			damage(&inventory, err.reason, err.text);
	}
	ret_look->is_whole = inventory.is_whole;
	ret_look->damage_reason = inventory.damage_reason;
	memcpy(ret_look->damage, inventory.damage, sizeof(inventory.damage));
}

static void current_look(const struct kt_store *store, struct kt_inventory *inventory)
{
	struct kt_error err = {.code = 0};

	inventory->verified_at = INT64_MAX;
	(void)kt_set_each_link(store, inventory->current, km_visit, inventory);
	if (!set_look(store, inventory, KT_DEPTH_CHANGED, &err) && !kt_old_set_look(store, inventory))
		damage(inventory, KT_REASON_STORE_DAMAGED,
		       err.reason == KT_REASON_NO_VERSION ? "the current set is missing, or has no manifest" :
							    err.text);
	inventory->verified_at = inventory->verified_at == INT64_MAX ? 0 : inventory->verified_at;
}

/* What lies in the root beside it. Without a current set only what is another's counts. */
static void root_visit(void *context, enum kt_reason reason, const char *text)
{
	struct kt_inventory *inventory = context;

	if (reason == KT_REASON_FOREIGN_INSTALLATION)
		inventory->is_foreign = true;
	if (inventory->is_foreign || inventory->current[0])
		damage(inventory, reason, text);
}

int kt_store_inventory(const struct kt_store *store, struct kt_inventory *ret_inventory, struct kt_error *err)
{
	struct kt_inventory inventory = {.is_whole = false};
	enum kt_claim claim;
	int r;

	(void)kt_place_read_pointer(store->dir, KT_STORE_PREVIOUS, inventory.previous);
	(void)kt_place_read_pointer(store->dir, KT_STORE_CURRENT, inventory.current);
	inventory.is_whole = inventory.current[0] != '\0';
	r = kt_root_check(store, true, &claim, root_visit, &inventory);
	if (r == 0)
		r = kt_set_list(store, sets_visit, &inventory);
	if (r == -ENOTDIR || r == -ELOOP) /* a file or a link in the place of sets/: the root's check says so */
		r = 0;
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	inventory.is_ours = claim == KT_CLAIM_OURS;
	if (inventory.current[0])
		current_look(store, &inventory);
	r = inventory.is_foreign ? kt_store_is_adoptable(store, claim) : 0;
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read %s", store->root);
	inventory.is_adoptable = r > 0;
	*ret_inventory = inventory;
	return 0;
}
