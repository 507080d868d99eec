#ifndef KT_STORE_INUSE_H
#define KT_STORE_INUSE_H

#include "layout.h"

enum kt_scope {
	KT_SCOPE_ALL,  /* sets/, versions/ and what is kept aside */
	KT_SCOPE_KEPT, /* what is kept aside */
};

/* Every file below versions/ and sets/, and of what is kept aside (door.h), by its inode, and where the kernel's mount
 * tables see the store's root. */
struct kt_places {
	struct kt_place_entry *entries; /* owned; sorted by inode once built */
	size_t entry_count, entry_room;
	char (*names)[KT_PLACE_MAX]; /* owned: "versions/km/0.10.3", "sets/0.10.3", ".kept-1-sets-0.10.3" */
	size_t name_count;
	char device[32];    /* major:minor as mountinfo and maps write it; not always st_dev (btrfs) */
	char fs_root[4096]; /* path of the store's root inside its filesystem, "" for the filesystem's own root */
	/* Where the filesystem is mounted on which the store's root is the root itself, "" otherwise: the device and path of
	 * the folder below that mount. A copy of it in another namespace is not a mount of the store by anybody. */
	char above[4096];
	uint64_t mount;  /* that the root lies on: what is mounted below it is not the store's */
	char path[4096]; /* of the root, as this process reaches it */
	char named[256]; /* and as the host names it */
};

/* A mount table, proc_pid_mountinfo(5). */
struct kt_mount_line {
	unsigned long long id, parent;
	const char *device, *root, *point;
	char *overlay; /* an overlay's options, as the line has them, which name its layers; NULL for what is none */
};
struct kt_mounts {
	char *text;                  /* owned; the lines point into it */
	struct kt_mount_line *lines; /* owned */
	size_t count;
};
/* process: a descriptor of /proc/PID. 0 or -errno. */
int kt_mounts_read(int process, struct kt_mounts *ret_mounts);
void kt_mounts_done(struct kt_mounts *mounts); /* for KT_OWN */
/* One line of it; names are unescaped in place. False for what is no such line. */
bool kt_mount_line_parse(char *line, struct kt_mount_line *ret_mount);

/* proc: a checked descriptor of /proc. */
int kt_places_build(const struct kt_store *store, int proc, enum kt_scope scope, struct kt_places *ret_places,
		    struct kt_error *err);
void kt_places_done(struct kt_places *places); /* for KT_OWN */

/* The place that holds this inode; NULL for none. device: major:minor in text. */
const char *kt_places_find(const struct kt_places *places, const char *device, uint64_t inode);
/* The place that a mount, the index-th of its table, holds; NULL for none. A mount of the root, of sets/, versions/
 * or a component's folder there holds that folder: ".", "sets", "versions", "versions/km"; of anything else below the
 * root, ".". What was removed is in the store no more. */
const char *kt_places_of_mount(const struct kt_places *places, const struct kt_mounts *mounts, size_t index);
#define KT_PLACE_ANY "" /* which one is not known */
/* Calls visit with each place that a layer of an overlay, the index-th of its table, may lie in. A layer is a path as
 * its mounter wrote it then: what was taken out of that place since is held as well as what lies there now, and what
 * was reached by a link may be anything (KT_PLACE_ANY). A relative path says nothing. The line is cut in place.
 * Stops at what is not 0. */
typedef int kt_layer_visit(void *context, const char *place);
int kt_places_each_layer(const struct kt_places *places, const struct kt_mounts *mounts, size_t index,
			 kt_layer_visit *visit, void *context);
/* The place below which this process's mount table has something mounted at `point`; NULL for none. */
const char *kt_places_below(const struct kt_places *places, const char *point);

#endif
