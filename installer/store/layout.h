/* Names and places below a store's root, and the walks that the files of this room share. */
#ifndef KT_STORE_LAYOUT_H
#define KT_STORE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/dir.h"
#include "kontain/base/fs.h"
#include "kontain/store/store.h"

#define KT_STORE_OWNER     ".owner"
#define KT_STORE_OLD_LOCK  ".lock" /* of earlier ones, which locked a file in the root */
#define KT_STORE_PARTIAL   KT_FS_TEMPORARY
#define KT_STORE_KEPT      ".kept-"
#define KT_STORE_FAILED    ".failed-"
#define KT_STORE_HELD      ".held-"
#define KT_STORE_ACTIVATED ".activated"
#define KT_STORE_PINNED    ".pinned"
#define KT_STORE_SETS      "sets"
#define KT_STORE_VERSIONS  "versions"
#define KT_STORE_CURRENT   "current"
#define KT_STORE_PREVIOUS  "previous"
/* The record of a component as kontain-installer 0.1 of November wrote it: the mark of what was taken over. */
#define KT_STORE_OLD_RECORD ".kontain-component"
/* From a version of km to the tools that are current: bin/krun leads to ../tools/krun. */
#define KT_VERSION_TOOLS "../../../" KT_STORE_CURRENT "/" KT_COMPONENT_TOOLS

/* Longest: versions/<15>/<63>, and a set's link with ../../ before and /bin behind it. */
#define KT_PLACE_MAX 160

/* The folder through which this store is reached: "" or "/host". */
void kt_store_host(const struct kt_store *store, char ret_host[sizeof(store->path)]);

/* "versions/km/0.10.3": what is renamed into place. */
void kt_place_version(const char *component, const char *version, char ret_place[KT_PLACE_MAX]);
/* "versions/km/0.10.3/bin": the component's files. Only km has a folder of its own inside, so that bin/ can be a
 * link. */
void kt_place_files(const char *component, const char *version, char ret_place[KT_PLACE_MAX]);
/* "bin" below km's version, "." below the others'. */
const char *kt_place_inside(const char *component);
/* "sets/0.10.3" */
void kt_place_set(const char *version, char ret_place[KT_PLACE_MAX]);
/* "sets/0.10.3/kontain-bundle.json" */
void kt_place_manifest(const char *version, char ret_place[KT_PLACE_MAX]);

/* Component and version that a set's link names; false for any other target. */
bool kt_place_parse_link(const char *folder, const char *target, char ret_version[KT_VERSION_MAX]);
/* Name of the component whose folder this is, NULL for none. */
const char *kt_component_of_folder(const char *folder);
/* Is it one of those that have a link in the root? */
bool kt_is_linked_folder(const char *folder);

/* Reads `current` or `previous`: 0, or -ENOENT when it is not there or names no set's place. */
int kt_place_read_pointer(int dir, const char *name, char ret_version[KT_VERSION_MAX]);

int kt_sync_dir(int dir, const char *path);
/* syncfs(2) of the store's filesystem; since Linux 5.8 it reports failed write-back. */
int kt_store_sync(const struct kt_store *store, struct kt_error *err);

/* Removes every .partial-*, and every .kept-* that nobody uses (door.h). Lock held. */
int kt_store_sweep(const struct kt_store *store, struct kt_error *err);

/* Did we make this root, or may we (it is empty but for skeletons)? Names the first foreign entry. */
enum kt_claim { KT_CLAIM_OURS, KT_CLAIM_EMPTY, KT_CLAIM_FOREIGN };
int kt_store_claim(const struct kt_store *store, enum kt_claim *ret_claim, char ret_name[256]);

/* What lies in the place of one of the five links, or of `current` or `previous`. */
enum kt_entry {
	KT_ENTRY_OURS,
	KT_ENTRY_MISSING,
	KT_ENTRY_SKELETON, /* what a container runtime made: a landing replaces it */
	KT_ENTRY_FOREIGN,
};
/* 0 or -errno. */
int kt_root_entry(const struct kt_store *store, const char *name, enum kt_entry *ret_entry);
/* All that is not as it must be in the root itself: what another made (ForeignInstallation, which comes first and
 * once), links that are missing (asks_links), and the folders on the way (kt_folders_check). Texts name places below
 * the root. 0 or -errno. */
typedef void kt_root_visit(void *context, enum kt_reason reason, const char *text);
int kt_root_check(const struct kt_store *store, bool asks_links, enum kt_claim *ret_claim, kt_root_visit *visit,
		  void *context);

/* The five links into current, each made where nothing is, or a skeleton; another's folder is an error, or with
 * keeps_folders left for later. Synced. */
int kt_store_make_links(const struct kt_store *store, bool keeps_folders, struct kt_error *err);
/* Makes the root ours, synced. */
int kt_store_mark(const struct kt_store *store, struct kt_error *err);
/* Removes the lock's file, which is held, from the folder above the root: the store is no more. */
void kt_store_unlock_for_good(const struct kt_store *store, int above);
/* May kt_store_adopt take the folders that another installer left? 1, 0, or -errno. */
int kt_store_is_adoptable(const struct kt_store *store, enum kt_claim claim);

#endif
