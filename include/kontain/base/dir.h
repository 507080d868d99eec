/* Directories below a descriptor: walks that several rooms share. */
#ifndef KONTAIN_DIR_H
#define KONTAIN_DIR_H

#include <stdbool.h>

/* Calls visit for each entry of a directory but . and ..; stops at the first value that is not 0 and returns it.
 * A directory that is not there has no entries. dir, as visit gets it, is the directory's own (borrowed). */
typedef int kt_visit(void *context, int dir, const char *name);
int kt_each_entry(int dir, const char *path, kt_visit *visit, void *context);

/* A walk over sorted paths of one tree: the parent's descriptor is kept from path to path, so that each directory is
 * walked once by openat2 and the rest are single names below a descriptor. */
struct kt_way {
	int dir;           /* borrowed */
	int at;            /* owned: parent of the last path; -1 before the first and while that is dir itself */
	char parent[1152]; /* a bundle's longest path, and a folder before it */
};
void kt_way_init(struct kt_way *way, int dir);
void kt_way_done(struct kt_way *way); /* for KT_OWN */
/* Returns the parent's descriptor (borrowed until the next call) or -errno. make: directories are made, 0755. */
int kt_way_enter(struct kt_way *way, const char *path, bool make, const char **ret_name);

/* Directories and nothing else: what a container runtime makes for a hostPath that is not there. */
bool kt_is_skeleton(int dir, const char *name);
/* Removes directories and nothing else, so that what was put into one meanwhile stays: -ENOTEMPTY, -EBUSY. */
int kt_skeleton_remove(int dir, const char *name);

#endif
