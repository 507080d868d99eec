/* Errors: functions return 0 or a negative errno, and fill a caller-owned kt_error.
 * Nothing to free; it works when memory is gone. */
#ifndef KONTAIN_ERROR_H
#define KONTAIN_ERROR_H

#include <errno.h>

#include "kontain/contract/reason.h"

/* What a call that failed returns. Never 0: "r < 0" sees each failure, and an analyser knows that it does. */
static inline int kt_negative_errno(void)
{
	return errno > 0 ? -errno : -EIO;
}

struct kt_error {
	int code; /* positive errno */
	enum kt_reason reason;
	char text[512]; /* what happened, to which path or object, what to do */
};

/* For err, which is never NULL: what failed changes nothing for the caller. */
#define KT_ERROR_IGNORED (&(struct kt_error){.code = 0})

/* Fills err and returns -code. */
int kt_fail(struct kt_error *err, int code, enum kt_reason reason, const char *format, ...)
	__attribute__((nonnull(1), format(printf, 4, 5)));

/* As kt_fail, with ": <strerror>" behind the text, and for the codes that say more than the
 * caller can know (ENOSPC, EDQUOT, EROFS, EIO, ENOMEM, EMFILE, ENFILE, ENOSYS) the reason that belongs to them. */
int kt_fail_errno(struct kt_error *err, int code, enum kt_reason reason, const char *format, ...)
	__attribute__((nonnull(1), format(printf, 4, 5)));

/* Puts "<prefix>: " before the text on the way up; returns -err->code. */
int kt_fail_prefix(struct kt_error *err, const char *format, ...) __attribute__((nonnull(1), format(printf, 2, 3)));

#ifdef __clang_analyzer__
/* It reads one file at a time and cannot know that a failure is never 0. */
#define kt_fail(...)        (kt_fail(__VA_ARGS__), -EIO)
#define kt_fail_errno(...)  (kt_fail_errno(__VA_ARGS__), -EIO)
#define kt_fail_prefix(...) (kt_fail_prefix(__VA_ARGS__), -EIO)
#endif

#endif
