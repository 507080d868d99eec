#include "room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "kontain/base/proc.h"

/* Manifest, notes, directories' own growth: room that no file's size shows. */
#define MARGIN_BYTES  (256 * 1024)
#define MARGIN_INODES 16
/* What the landing itself takes beside the files: lists, buffers, and the processes that run beside it in the pod. */
#define MARGIN_MEMORY (16 * 1024 * 1024)

int kt_room_init(const struct kt_store *store, struct kt_room *ret_room, struct kt_error *err)
{
	struct statvfs info;

	if (fstatvfs(store->dir, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot read the room in %s", store->root);
	*ret_room = (struct kt_room){
		.bytes = MARGIN_BYTES,
		.inodes = MARGIN_INODES,
		.block_bytes = info.f_frsize,
		.free_bytes = (uint64_t)info.f_bavail * info.f_frsize,
		.free_inodes = info.f_files != 0 ? info.f_favail : UINT64_MAX, /* 0: made as needed, as btrfs does */
	};
	return 0;
}

/* Counted as the filesystem counts: whole blocks, one inode a file, link and directory. */
void kt_room_add(struct kt_room *room, const struct kt_filelist *list)
{
	const char *last = "";
	size_t last_length = 0;

	room->bytes += (list->size + room->block_bytes - 1) / room->block_bytes * room->block_bytes;
	room->inodes += 2; /* the list and the version's own folder */
	for (size_t i = 0; i < list->count; i++) {
		const struct kt_file *file = &list->files[i];
		const char *slash = strrchr(file->path, '/');
		size_t length = slash ? (size_t)(slash - file->path) : 0;

		room->bytes += (file->size_bytes + room->block_bytes - 1) / room->block_bytes * room->block_bytes;
		room->inodes += 1;
		if (length == last_length && memcmp(last, file->path, length) == 0)
			continue;
		last = file->path; /* sorted, so a change of parent is nearly always a new directory */
		last_length = length;
		room->bytes += room->block_bytes;
		room->inodes += 1;
	}
}

/* ---- memory of a cgroup ---- */

/* A number behind a key of memory.stat, 0 when it is not there. */
static uint64_t stat_value(const char *text, const char *key)
{
	size_t length = strlen(key);

	for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
		if (strncmp(line, key, length) == 0 && line[length] == ' ')
			return strtoull(line + length + 1, NULL, 10);
	return 0;
}

static bool number_read(const char *folder, const char *name, uint64_t *ret_value)
{
	char path[512], text[64], *end;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
	    kt_sys_read("", path, text, sizeof(text)) < 0)
		return false;
	*ret_value = strtoull(text, &end, 10); /* "max" is none */
	return end != text;
}

/* What one cgroup has left: its limit less what it uses, but for file pages, which the kernel takes back. */
static bool left_read(const char *folder, bool is_v1, uint64_t *ret_left)
{
	static char text[16384];
	uint64_t limit, used, pages;
	char path[512];

	if (!number_read(folder, is_v1 ? "memory.limit_in_bytes" : "memory.max", &limit) ||
	    !number_read(folder, is_v1 ? "memory.usage_in_bytes" : "memory.current", &used) ||
	    snprintf(path, sizeof(path), "%s/memory.stat", folder) >= (int)sizeof(path))
		return false;
	text[0] = '\0';
	(void)kt_sys_read("", path, text, sizeof(text));
	pages = is_v1 ? stat_value(text, "total_inactive_file") + stat_value(text, "total_active_file") :
			stat_value(text, "inactive_file") + stat_value(text, "active_file");
	used -= pages < used ? pages : used;
	*ret_left = limit > used ? limit - used : 0;
	return true;
}

/* The memory that this process may still take, by its own cgroup and those above it; false when none is limited, or
 * none can be read. */
static bool memory_left(uint64_t *ret_left)
{
	char groups[4096], folder[512];
	bool is_known = false;

	if (kt_proc_read("", "self/cgroup", groups, sizeof(groups)) < 0)
		return false;
	*ret_left = UINT64_MAX;
	for (char *rest = NULL, *line = strtok_r(groups, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *controllers = strchr(line, ':'), *path = controllers ? strchr(controllers + 1, ':') : NULL;
		bool is_v2 = strncmp(line, "0::", 3) == 0;
		uint64_t left;

		if (!path || (!is_v2 && (path - controllers != 7 || strncmp(controllers, ":memory", 7) != 0)))
			continue;
		/* in a pod the path is "/", or one that is seen from outside alone: its own is mounted at the top */
		(void)snprintf(folder, sizeof(folder), "fs/cgroup%s%s", is_v2 ? "" : "/memory", path + 1);
		for (;;) {
			char *slash = strrchr(folder, '/');

			if (left_read(folder, !is_v2, &left)) {
				*ret_left = left < *ret_left ? left : *ret_left;
				is_known = true;
			}
			if (!slash || strcmp(folder, is_v2 ? "fs/cgroup" : "fs/cgroup/memory") == 0)
				break;
			*slash = '\0';
		}
	}
	return is_known;
}

int kt_room_check(const struct kt_store *store, const struct kt_room *room, const char *version, struct kt_error *err)
{
	uint64_t left = 0;

	if (room->bytes > room->free_bytes)
		return kt_fail(err, ENOSPC, KT_REASON_DISK_FULL,
			       "version %s needs %" PRIu64 " KiB in %s, %" PRIu64 " KiB are free: %" PRIu64
			       " KiB short",
			       version, room->bytes / 1024, store->root, room->free_bytes / 1024,
			       (room->bytes - room->free_bytes + 1023) / 1024);
	if (room->inodes > room->free_inodes)
		return kt_fail(err, ENOSPC, KT_REASON_DISK_FULL,
			       "version %s needs %" PRIu64 " inodes in %s, %" PRIu64 " are free: %" PRIu64 " short",
			       version, room->inodes, store->root, room->free_inodes, room->inodes - room->free_inodes);
	if (strcmp(store->filesystem, "tmpfs") == 0 && memory_left(&left) && room->bytes + MARGIN_MEMORY > left)
		return kt_fail(
			err, ENOSPC, KT_REASON_DISK_FULL,
			"version %s needs %" PRIu64 " KiB in %s, which is a tmpfs and so memory of this container: it "
			"has %" PRIu64 " KiB left of its limit, and needs %d KiB itself. Put the store on a disk, or "
			"raise the memory limit",
			version, room->bytes / 1024, store->root, left / 1024, MARGIN_MEMORY / 1024);
	return 0;
}
