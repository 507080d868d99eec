/* The one way to fail. Everything is written into the caller's struct: nothing here allocates. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kontain/base/error.h"

/* A failure must never read as success, so a caller's slip of the sign or a zero is put right. */
static int code_fix(int code)
{
	if (code < 0)
		code = -code;
	return code ? code : EIO;
}

/* Cuts a UTF-8 text that was truncated in the middle of a character. */
static void text_trim(char *text)
{
	size_t end = strlen(text), start = end;

	while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
		start--;
	if (start == 0)
		return;

	unsigned char lead = (unsigned char)text[start - 1];
	size_t wanted = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;

	if (wanted > 1 && end - (start - 1) < wanted)
		text[start - 1] = '\0';
}

/* Takes formatted text in a buffer of its own, as the arguments may point into err->text. */
static void error_set(struct kt_error *err, int code, enum kt_reason reason, const char *text)
{
	err->code = code;
	err->reason = reason;
	if ((size_t)snprintf(err->text, sizeof(err->text), "%s", text) >= sizeof(err->text))
		text_trim(err->text);
}

/* In parentheses: an analyser sees macros of these names. */
int(kt_fail)(struct kt_error *err, int code, enum kt_reason reason, const char *format, ...)
{
	char text[sizeof(err->text) * 2];
	va_list args;

	code = code_fix(code);
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	error_set(err, code, reason, text);
	return -code;
}

/* What the kernel says in a code is nearer to the truth than the caller's guess. */
static const struct {
	int code;
	enum kt_reason reason;
	const char *advice; /* instead of strerror, or NULL */
} code_reasons[] = {
	{ENOSPC, KT_REASON_DISK_FULL, NULL},
	{EDQUOT, KT_REASON_DISK_FULL, NULL},
	{EROFS, KT_REASON_STORE_READ_ONLY, NULL},
	{EIO, KT_REASON_IO_ERROR, NULL},
	{ENOMEM, KT_REASON_OUT_OF_MEMORY, NULL},
	{EMFILE, KT_REASON_FILE_LIMIT, NULL},
	{ENFILE, KT_REASON_FILE_LIMIT, NULL},
	/* openat2(2) is the newest call that has no other way */
	{ENOSYS, KT_REASON_KERNEL_TOO_OLD, "this kernel lacks a system call: Linux 5.8 or later is needed"},
};

/* Of a disk: the store's, unless it is the source that cannot be read. */
static bool is_of_a_disk(int code)
{
	return code == ENOSPC || code == EDQUOT || code == EROFS || code == EIO;
}

int(kt_fail_errno)(struct kt_error *err, int code, enum kt_reason reason, const char *format, ...)
{
	char text[sizeof(err->text) * 2];
	const char *said = NULL;
	va_list args;

	code = code_fix(code);
	/* an immutable file, a security module: no disk's fault */
	if (reason == KT_REASON_IO_ERROR && (code == EPERM || code == EACCES))
		reason = KT_REASON_ACCESS_DENIED;
	for (size_t i = 0; i < sizeof(code_reasons) / sizeof(code_reasons[0]); i++) {
		if (code_reasons[i].code != code || (reason == KT_REASON_BUNDLE_UNREADABLE && is_of_a_disk(code)))
			continue;
		reason = code_reasons[i].reason;
		said = code_reasons[i].advice;
	}
	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	size_t used = strlen(text);

	(void)snprintf(text + used, sizeof(text) - used, ": %s", said ? said : strerror(code));
	error_set(err, code, reason, text);
	return -code;
}

int(kt_fail_prefix)(struct kt_error *err, const char *format, ...)
{
	char text[sizeof(err->text) * 2];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	size_t used = strlen(text);

	(void)snprintf(text + used, sizeof(text) - used, ": %s", err->text);
	error_set(err, code_fix(err->code), err->reason, text);
	return -err->code;
}
