/* What the arguments of kontain-gcc and kontain-g++ ask for. Pure. */
#ifndef KT_CC_REQUEST_H
#define KT_CC_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "kontain/base/error.h"

enum kt_cc_target { KT_CC_KONTAIN, KT_CC_ALPINE, KT_CC_TARGETS };
enum kt_cc_kind { KT_CC_STATIC, KT_CC_DYNAMIC, KT_CC_SHARED, KT_CC_KINDS };
enum kt_cc_pie { KT_CC_PIE_UNASKED, KT_CC_PIE, KT_CC_NO_PIE, KT_CC_STATIC_PIE };

extern const char *const kt_cc_target_names[KT_CC_TARGETS]; /* "kontain" */
extern const char *const kt_cc_kind_names[KT_CC_KINDS];     /* "static" */

/* All strings are argv's. */
struct kt_cc_request {
	const char *name; /* of the wrapper, for messages */
	bool is_cxx;
	enum kt_cc_target target;
	enum kt_cc_kind kind;
	const char *prefix;          /* where the payload will find its tree; absolute */
	const char *tree;            /* where that tree lies now; the prefix where it is not said */
	const char *pin;             /* version of the runtime, or NULL */
	const char *replaced_target; /* the last option that a later one contradicts, or NULL */
	const char *replaced_kind;
	bool is_verbose;
	bool is_help;
	/* seen in what is passed on */
	bool has_input;      /* a file or library */
	bool is_compile;     /* it ends before the link: -c, -S, -E ... */
	bool is_relocatable; /* -r: neither start files nor libraries */
	bool has_no_start;   /* without start files: -nostartfiles, -nostdlib */
	bool has_no_libc;    /* without a libc: -nodefaultlibs, -nolibc, -nostdlib */
	enum kt_cc_pie pie;
	const char **rest; /* owned array: what is passed on, unchanged and in order */
	size_t rest_count;
};

/* -EINVAL: an option without its argument, or one that makes no sense; -ENOMEM. */
int kt_cc_read(int argc, char *const argv[], struct kt_cc_request *ret_request, struct kt_error *err);
void kt_cc_request_done(struct kt_cc_request *request); /* for KT_OWN */

/* Does the compiler call the linker for it, with start files and libraries? */
bool kt_cc_links(const struct kt_cc_request *request);

#endif
