/* Is there room for what a landing writes? Asked before the first byte. */
#ifndef KT_STORE_ROOM_H
#define KT_STORE_ROOM_H

#include "layout.h"

struct kt_room {
	uint64_t bytes;  /* needed */
	uint64_t inodes; /* needed */
	uint64_t block_bytes;
	uint64_t free_bytes;
	uint64_t free_inodes; /* UINT64_MAX: made as needed */
};

int kt_room_init(const struct kt_store *store, struct kt_room *ret_room, struct kt_error *err);
void kt_room_add(struct kt_room *room, const struct kt_filelist *list);
/* DiskFull, with figures. A store on tmpfs is memory, which is charged to this process's own cgroup: what that has left
 * is all the room there is. */
int kt_room_check(const struct kt_store *store, const struct kt_room *room, const char *version, struct kt_error *err);

#endif
