/* Landlock (landlock(7)): what this process and its children may still open, in whatever way they come to it. Where the
 * kernel has none, each call succeeds and does nothing. */
#ifndef KONTAIN_LANDLOCK_H
#define KONTAIN_LANDLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"

enum kt_landlock_scope {
	KT_LANDLOCK_FILES = 1 << 0,   /* since Linux 5.13 */
	KT_LANDLOCK_TCP = 1 << 1,     /* since Linux 6.7: to bind and to connect */
	KT_LANDLOCK_SIGNALS = 1 << 2, /* since Linux 6.12: no signal to, and no abstract socket of, a process outside */
};

enum kt_landlock_right {
	KT_LANDLOCK_READ,    /* files, and lists of folders */
	KT_LANDLOCK_WRITE,   /* read; also make, change, rename and remove plain files in that folder and below */
	KT_LANDLOCK_DEVICE,  /* read, write and ioctl of what is there */
	KT_LANDLOCK_SOCKETS, /* list; make, rename and remove sockets in that folder (to connect needs no right) */
	KT_LANDLOCK_NODES,   /* the same of character devices, which are not opened */
};

#define KT_LANDLOCK_TEXT_MAX 64

struct kt_landlock {
	int ruleset; /* owned; -1: the kernel has none */
	int abi;
	uint64_t files;                  /* rights that are asked about */
	char text[KT_LANDLOCK_TEXT_MAX]; /* "ABI 4", or why there is none: for the log */
};

struct kt_landlock_place {
	const char *path;
	enum kt_landlock_right right;
};

/* What this kernel has: the number of its ABI, less than 1 where it has none. Files are confined from 1. */
int kt_landlock_abi(void);

/* Begins a set in which nothing is allowed, but to a sanitizer, in a build with one, what it reads and writes. */
int kt_landlock_begin(unsigned scopes, struct kt_landlock *ret_set, struct kt_error *err);

/* Allows what lies at path, now and later, links followed. A path that is not there allows nothing, or, with
 * or_above, the nearest folder above that is there is taken: what does not yet exist can be named in no other way. */
int kt_landlock_allow(struct kt_landlock *set, const char *path, enum kt_landlock_right right, struct kt_error *err);
int kt_landlock_allow_or_above(struct kt_landlock *set, const char *path, enum kt_landlock_right right,
			       struct kt_error *err);
int kt_landlock_allow_bind(struct kt_landlock *set, uint16_t port, struct kt_error *err); /* 0: any free one */
int kt_landlock_allow_connect(struct kt_landlock *set, uint16_t port, struct kt_error *err);

/* What a sanitizer reads and where its reports go; none in a build without. */
extern const struct kt_landlock_place kt_landlock_sanitizer[];
extern const size_t kt_landlock_sanitizer_count;

/* From here on, for good. NoNewPrivs is set before, as by a filter (kontain/base/filter.h). */
int kt_landlock_enforce(struct kt_landlock *set, struct kt_error *err);

void kt_landlock_done(struct kt_landlock *set); /* for KT_OWN */

#endif
