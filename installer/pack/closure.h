/* Which files of an alpine-lib programs need. */
#ifndef KT_PACK_CLOSURE_H
#define KT_PACK_CLOSURE_H

#include <stdbool.h>
#include <stddef.h>

#include "kontain/base/error.h"
#include "kontain/contract/filelist.h"

struct kt_closure_request {
	const char *const *programs; /* paths on this machine: payloads, libraries */
	size_t program_count;
	const char *const *also; /* globs of names or paths in the tree, for what is opened at run time */
	size_t also_count;
	bool all; /* everything but what only builds or boots a system */
};

/* dir is the tree, list what is in it (names alone). ret_taken has an element a file: is it needed? ElfInvalid,
 * ArchMismatch or BundleInvalid name the file and what it lacks. */
int kt_closure_make(int dir, const struct kt_filelist *list, const struct kt_closure_request *request, bool ret_taken[],
		    struct kt_error *err);

#endif
