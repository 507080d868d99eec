/* The names of a whole archive, before the first of them is made. Pure. */
#ifndef KT_PACK_NAMES_H
#define KT_PACK_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "kontain/base/error.h"

enum kt_name_kind { KT_NAME_FOLDER, KT_NAME_FILE, KT_NAME_LINK, KT_NAME_HARD };

struct kt_name {
	enum kt_name_kind kind;
	char *path;    /* owned; of good form: kt_path_flaw */
	char *target;  /* owned; path that a hard link names, else NULL */
	size_t number; /* as it came */
};

struct kt_names {
	struct kt_name *list; /* owned */
	size_t count;
	size_t room;
};

int kt_names_add(struct kt_names *names, enum kt_name_kind kind, const char *path, const char *target,
		 struct kt_error *err);
void kt_names_done(struct kt_names *names); /* for KT_OWN */

/* No name twice, none below a file or link, no hard link but to an earlier plain file. Sorts the list. */
int kt_names_check(struct kt_names *names, struct kt_error *err);

/* The folder that holds bin/km, "" or with a slash at its end, two deep at most: what a release has around its tree. */
int kt_names_prefix(const struct kt_names *names, char *ret_prefix, size_t size, struct kt_error *err);

#endif
