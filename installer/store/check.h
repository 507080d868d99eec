/* What lies in the store, held against its lists: one look for inventory, landing and verification. */
#ifndef KT_STORE_CHECK_H
#define KT_STORE_CHECK_H

#include "seen.h"

/* A version as kt_tree_check takes it. */
struct kt_version_tree {
	struct kt_tree tree;
	struct kt_file own[2]; /* .files, and of km its link to the tools */
};
/* dir: the version's directory; list: what it is to hold. Both are borrowed. */
void kt_version_tree(int dir, const char *component, const struct kt_filelist *list, struct kt_version_tree *ret_tree);

/* A version's directory: an owned descriptor or -errno. */
int kt_version_open(const struct kt_store *store, const char *component, const char *version);
/* Its list. StoreDamaged when there is none, or none that can be read: then the version is not there. */
int kt_version_list(int dir, const char *component, const char *version, struct kt_filelist *ret_list,
		    struct kt_error *err);
/* Was it landed by an earlier kontain-installer and its list made by kt_store_take_over? */
bool kt_version_is_old(int dir);

/* Keeps the first difference as an error; context is a kt_first. */
struct kt_first {
	const char *where; /* borrowed: of the tree, for the text */
	struct kt_error *err;
	size_t count;
};
int kt_first_visit(void *context, const struct kt_difference *difference);

/* The folders on the way to a set and its versions: sets/, versions/, versions/<component>. They are directories,
 * root's and 0755, or who owns one could put something else there. Visits a difference of each that is not, and of
 * the first two where they are missing. */
int kt_folders_check(const struct kt_store *store, kt_difference_visit *visit, void *context);
/* 1: the tree is whole, or was made whole (a mode, an owner, an empty folder put right) and is on the disk; 0: it is
 * damaged; IoError: what was put right may not be on the disk. component: what may be known of it by its stamps and
 * need not be read; NULL for a tree that is not read, only looked at. Lock held. */
int kt_tree_make_whole(const struct kt_store *store, const struct kt_tree *tree, const struct kt_component *component,
		       struct kt_error *err);
/* StoreDamaged where a file or a link lies in the place of a folder: somebody put it there, and what lies behind a link
 * is not believed, so it is neither followed nor replaced. */
int kt_folders_require(const struct kt_store *store, struct kt_error *err);
/* Puts the folders right, synced. Lock held. */
int kt_folders_mend(const struct kt_store *store, struct kt_error *err);

#endif
