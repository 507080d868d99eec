#ifndef KT_STORE_INUSE_H
#define KT_STORE_INUSE_H

#include "layout.h"

/* Every file below versions/ and sets/ by its inode, and where the kernel's mount tables see the store's root. */
struct kt_places {
	struct kt_place_entry *entries; /* owned; sorted by inode once built */
	size_t entry_count, entry_room;
	char (*names)[KT_PLACE_MAX]; /* owned: "versions/km/0.10.3", "sets/0.10.3" */
	size_t name_count;
	char device[32];    /* major:minor as mountinfo and maps write it; not always st_dev (btrfs) */
	char fs_root[4096]; /* path of the store's root inside its filesystem, "" for the filesystem's own root */
};

/* proc: a checked descriptor of /proc. */
int kt_places_build(const struct kt_store *store, int proc, struct kt_places *ret_places, struct kt_error *err);
void kt_places_done(struct kt_places *places); /* for KT_OWN */

/* The place that holds this inode; NULL for none. device: major:minor in text. */
const char *kt_places_find(const struct kt_places *places, const char *device, uint64_t inode);
/* The place in which a mount of this device and root lies; NULL for none. */
const char *kt_places_of_mount(const struct kt_places *places, const char *device, const char *root);

/* One line of mountinfo, proc_pid_mountinfo(5); names are unescaped in place. False for what is no such line. */
struct kt_mount_line {
	unsigned long long id;
	const char *device, *root, *point;
};
bool kt_mount_line_parse(char *line, struct kt_mount_line *ret_mount);

#endif
