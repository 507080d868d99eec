/* The bundle being made: a new folder beside where it will be, into which files go by path. What an archive or a tree
 * says is never believed here: every path is checked before anything is written, walked without links, and made anew.
 */
#ifndef KT_PACK_PLACE_H
#define KT_PACK_PLACE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "kontain/base/error.h"
#include "kontain/contract/paths.h"
#include "layout.h"

#define KT_PACK_BYTES_MAX   (UINT64_C(4) << 30) /* of all files, and of all of an archive; a release has some 0.4 GiB */
#define KT_PACK_ENTRIES_MAX 200000              /* of an archive or tree, those left out included */

#define KT_PLACE_LEFT_MAX  12
#define KT_PLACE_LIBRARIES "alpine-lib" /* where a root's libraries go */
#define KT_PLACE_WHITEOUT  ".wh."
#define KT_PLACE_NAME_MAX  (KT_MANIFEST_PATH_MAX + 32)

struct kt_place {
	int dir;               /* owned */
	int parent;            /* owned: where it will be */
	char name[256];        /* of the folder being made; "" once it is in its place */
	char wanted[256];      /* its name in the end */
	enum kt_layout layout; /* of what is taken */
	bool is_layered;       /* of a root: what is taken is a layer over what is there */
	const char *self_test; /* borrowed: path of a payload that is taken beside the releases' own, or NULL */
	uint64_t byte_count;
	size_t entry_count;
	/* what no bundle takes: names in order, for the summary */
	size_t left_out_count;
	char left_out[KT_PLACE_LEFT_MAX][64];
	bool left_out_more;
	/* links that lead out of their tree: as they came */
	bool is_strict; /* they are errors */
	size_t escape_count;
	struct kt_escape {
		char path[KT_SHOWN_MAX];
		const char *how;
	} * escapes; /* owned */
};

/* Set by a signal: what is being made is given up, and nothing of it is left. */
extern volatile sig_atomic_t kt_place_is_stopped;
/* 0, or the error that says so. */
int kt_place_go_on(struct kt_error *err);

/* output must not exist. */
int kt_place_open(const char *output, struct kt_place *ret_place, struct kt_error *err);
/* Gives every file, link and folder the time 0, so that the same input is the same folder, and writes all of it to
 * disk. */
int kt_place_settle(const struct kt_place *place, struct kt_error *err);
/* Moves it to its name; until then kt_place_done takes it away again. */
int kt_place_keep(struct kt_place *place, struct kt_error *err);
void kt_place_done(struct kt_place *place); /* for KT_OWN */

/* Does the place take a path of the source; may what it takes lie in or below a folder of it? */
bool kt_place_takes(const struct kt_place *place, const char *path);
bool kt_place_enters(const struct kt_place *place, const char *folder);
/* Where a path of the source goes in the place: path, or ret_path. */
const char *kt_place_name(const struct kt_place *place, const char *path, char ret_path[KT_PLACE_NAME_MAX]);

/* Counts an entry and looks at its path, taken or not. */
int kt_place_admit(struct kt_place *place, const char *path, struct kt_error *err);
void kt_place_leave_out(struct kt_place *place, const char *path);

/* An owned descriptor of a new file; is_executable decides between 0755 and 0644. */
int kt_place_file(struct kt_place *place, const char *path, bool is_executable, struct kt_error *err);
/* Writes, counting towards the cap. */
int kt_place_write(struct kt_place *place, int fd, const char *path, const void *bytes, size_t size,
		   struct kt_error *err);
/* One that leads out of its tree is not made, but noted in escapes. */
int kt_place_link(struct kt_place *place, const char *path, const char *target, struct kt_error *err);
/* Everything of fd. */
int kt_place_copy(struct kt_place *place, int fd, const char *path, bool is_executable, struct kt_error *err);

#endif
