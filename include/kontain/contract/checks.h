/* The checks of this host in the order in which they ran: what was asked and what was found. */
#ifndef KONTAIN_CHECKS_H
#define KONTAIN_CHECKS_H

#include <stddef.h>

#include "kontain/base/error.h"

#define KT_CHECKS_MAX 32

enum kt_check_result {
	KT_CHECK_UNREACHED, /* one before it failed */
	KT_CHECK_OK,
	KT_CHECK_FAILED,
	KT_CHECK_NOTE, /* a fact that no verdict depends on */
};

struct kt_check {
	char name[24];
	enum kt_check_result result;
	enum kt_reason reason; /* of a failed one, NONE of all others */
	char value[128];       /* what was seen; "" where there was nothing to see */
	char message[512];     /* of a failed one */
};

struct kt_checks {
	size_t count;
	struct kt_check list[KT_CHECKS_MAX];
};

/* One more row, not reached yet. Borrowed from checks; the caller's tables are short enough, which is asserted. */
struct kt_check *kt_checks_add(struct kt_checks *checks, const char *name);
/* What was said of it before is taken back; its value stays. */
void kt_check_pass(struct kt_check *check);
void kt_check_fail(struct kt_check *check, const struct kt_error *err);

/* The first failed row, NULL when there is none. */
const struct kt_check *kt_checks_broken(const struct kt_checks *checks);

#endif
