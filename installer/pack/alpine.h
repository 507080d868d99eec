/* kontain-pack alpine-lib: of an Alpine root, image or packages, the libraries that payloads need. */
#ifndef KT_PACK_ALPINE_H
#define KT_PACK_ALPINE_H

#include <stdbool.h>
#include <stddef.h>

#include "closure.h"
#include "kontain/base/error.h"

#define KT_ALPINE_WORDS_MAX 64

/* All strings are argv's. */
struct kt_alpine_request {
	const char *output;
	const char *sources[KT_ALPINE_WORDS_MAX];
	size_t source_count;
	const char *programs[KT_ALPINE_WORDS_MAX];
	const char *also[KT_ALPINE_WORDS_MAX];
	struct kt_closure_request needs;
	bool strict;
	bool verbose;
	bool is_help;
};

extern const char kt_alpine_help[];
/* argv[0] is "alpine-lib". A message, or NULL. */
const char *kt_alpine_read(int argc, char *argv[], struct kt_alpine_request *ret_request);
/* Makes OUTPUT/alpine-lib, and prints what is in it and what was left out. */
int kt_alpine_pack(const struct kt_alpine_request *request, struct kt_error *err);

#endif
