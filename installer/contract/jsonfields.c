/* Rows to JSON and back, on jansson. The bytes that come in may be hostile: nothing is believed that is not checked
 * here, and nothing is cut silently. */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jsonfields.h"
#include "kontain/base/own.h"
#include "kontain/base/utf8.h"
#include "kontain/contract/jsonbound.h"
#include "kontain/contract/state.h"

#define TIME_TEXT_BYTES sizeof("2026-01-31T23:59:59Z")
#define TIME_MAX        INT64_C(253402300799) /* 9999-12-31T23:59:59Z */

void kt_json_release(json_t **value)
{
	json_decref(*value);
	*value = NULL;
}

static bool is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
}

json_t *kt_json_text(const char *text)
{
	size_t size = strlen(text), at = 0;
	KT_OWN(kt_free_mem) char *clean = malloc(size + 1);

	if (!clean)
		return NULL;
	memcpy(clean, text, size + 1);
	while (clean[at]) {
		size_t length = kt_utf8_length(clean + at);

		if (length == 0 || is_control(clean[at])) {
			clean[at] = '?';
			length = 1;
		}
		at += length;
	}
	return json_stringn(clean, size);
}

/* ---- printing ---- */

static json_t *time_print(int64_t seconds)
{
	time_t when = (time_t)(seconds > TIME_MAX ? TIME_MAX : seconds);
	char text[TIME_TEXT_BYTES];
	struct tm parts;

	if (seconds <= 0 || !gmtime_r(&when, &parts) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts))
		return json_null();
	return json_string(text);
}

static json_t *reason_print(enum kt_reason reason)
{
	/* None never leaves the program: nobody has found out yet */
	return json_string(kt_reason_name(reason == KT_REASON_NONE ? KT_REASON_STARTING : reason));
}

static json_t *field_print(const struct kt_field *row, const void *from)
{
	const void *member = (const char *)from + row->offset;
	char upgrade[KT_UPGRADE_TEXT_MAX];
	uint64_t large;

	switch (row->kind) {
	case KT_FIELD_TEXT:
		return kt_json_text(member);
	case KT_FIELD_BOOL:
		return json_boolean(*(const bool *)member);
	case KT_FIELD_INT:
		return json_integer(*(const int *)member);
	case KT_FIELD_UINT:
		return json_integer(*(const unsigned *)member);
	case KT_FIELD_UINT64:
		large = *(const uint64_t *)member;
		return json_integer(large > (uint64_t)KT_JSON_INT_MAX ? KT_JSON_INT_MAX : (json_int_t)large);
	case KT_FIELD_TIME:
		return time_print(*(const int64_t *)member);
	case KT_FIELD_REASON:
		return reason_print(*(const enum kt_reason *)member);
	case KT_FIELD_UPGRADE:
		kt_upgrade_print(member, upgrade);
		return json_string(upgrade);
	case KT_FIELD_ANSWER:
		return json_boolean(*(const enum kt_answer *)member == KT_ANSWER_YES);
	}
	return NULL;
}

static bool is_left_out(const struct kt_field *row, const void *from)
{
	return row->kind == KT_FIELD_ANSWER &&
	       *(const enum kt_answer *)(const void *)((const char *)from + row->offset) == KT_ANSWER_NONE;
}

int kt_fields_print(json_t *object, const struct kt_field *rows, size_t count, const void *from)
{
	for (size_t i = 0; i < count; i++)
		if (!is_left_out(&rows[i], from) &&
		    json_object_set_new(object, rows[i].key, field_print(&rows[i], from)) < 0)
			return -ENOMEM;
	return 0;
}

/* ---- parsing ---- */

static int field_fail(struct kt_error *err, const char *path, const char *key, const char *what)
{
	return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "%s%s%s: %s", path, *path ? "." : "", key, what);
}

static bool digits_take(const char **text, size_t count, int *ret_number)
{
	*ret_number = 0;
	for (; count > 0; count--, (*text)++) {
		if (**text < '0' || **text > '9')
			return false;
		*ret_number = *ret_number * 10 + (**text - '0');
	}
	return true;
}

/* Exactly the form that time_print writes; a day that the calendar does not have is no time. */
static bool time_parse(const char *text, int64_t *ret_seconds)
{
	static const struct {
		size_t digits;
		char behind;
	} forms[] = {{4, '-'}, {2, '-'}, {2, 'T'}, {2, ':'}, {2, ':'}, {2, 'Z'}};
	int numbers[6];

	for (size_t i = 0; i < 6; i++)
		if (!digits_take(&text, forms[i].digits, &numbers[i]) || *text++ != forms[i].behind)
			return false;
	if (*text)
		return false;

	struct tm parts = {.tm_year = numbers[0] - 1900,
			   .tm_mon = numbers[1] - 1,
			   .tm_mday = numbers[2],
			   .tm_hour = numbers[3],
			   .tm_min = numbers[4],
			   .tm_sec = numbers[5]};
	struct tm same = parts;
	time_t seconds = timegm(&same); /* moves what is out of range, which shows */

	if (seconds <= 0 || same.tm_mon != parts.tm_mon || same.tm_mday != parts.tm_mday ||
	    same.tm_hour != parts.tm_hour || same.tm_min != parts.tm_min || same.tm_sec != parts.tm_sec)
		return false;
	*ret_seconds = seconds;
	return true;
}

static bool text_is_plain(const char *text)
{
	for (; *text; text++)
		if (is_control(*text))
			return false;
	return true;
}

int kt_json_text_take(const json_t *value, const char *path, const struct kt_field *row, void *into,
		      struct kt_error *err)
{
	const char *text = json_string_value(value);

	if (!text)
		return field_fail(err, path, row->key, "expected a string");
	if (json_string_length(value) >= row->size)
		return field_fail(err, path, row->key, "the string is too long");
	if (!text_is_plain(text) || (row->is_valid && !row->is_valid(text)))
		return field_fail(err, path, row->key, "the string is not of the form that belongs here");
	memcpy((char *)into + row->offset, text, json_string_length(value) + 1);
	return 0;
}

static int integer_take(const json_t *value, const char *path, const struct kt_field *row, void *into,
			struct kt_error *err)
{
	void *member = (char *)into + row->offset;
	json_int_t low = row->kind == KT_FIELD_INT ? -1 : 0;
	json_int_t high = row->kind == KT_FIELD_INT  ? INT_MAX :
			  row->kind == KT_FIELD_UINT ? (json_int_t)UINT_MAX :
						       KT_JSON_INT_MAX;
	json_int_t number = json_integer_value(value);

	if (!json_is_integer(value))
		return field_fail(err, path, row->key, "expected an integer");
	if (number < low || number > high)
		return field_fail(err, path, row->key, "the number is out of range");
	if (row->kind == KT_FIELD_INT)
		*(int *)member = (int)number;
	else if (row->kind == KT_FIELD_UINT)
		*(unsigned *)member = (unsigned)number;
	else
		*(uint64_t *)member = (uint64_t)number;
	return 0;
}

static int time_take(const json_t *value, const char *path, const struct kt_field *row, void *into,
		     struct kt_error *err)
{
	int64_t *member = (void *)((char *)into + row->offset);

	if (json_is_null(value)) {
		*member = 0;
		return 0;
	}
	if (!json_is_string(value) || !time_parse(json_string_value(value), member))
		return field_fail(err, path, row->key, "expected a time like 2026-01-31T23:59:59Z");
	return 0;
}

static int reason_take(const json_t *value, const char *path, const struct kt_field *row, void *into,
		       struct kt_error *err)
{
	enum kt_reason reason = json_is_string(value) ? kt_reason_find(json_string_value(value)) : KT_REASON_COUNT;

	if (reason == KT_REASON_COUNT || reason == KT_REASON_NONE)
		return field_fail(err, path, row->key, "no reason has this name");
	*(enum kt_reason *)(void *)((char *)into + row->offset) = reason;
	return 0;
}

static int field_take(const json_t *value, const char *path, const struct kt_field *row, void *into,
		      struct kt_error *err)
{
	switch (row->kind) {
	case KT_FIELD_TEXT:
		return kt_json_text_take(value, path, row, into, err);
	case KT_FIELD_BOOL:
		if (!json_is_boolean(value))
			return field_fail(err, path, row->key, "expected true or false");
		*(bool *)((char *)into + row->offset) = json_is_true(value);
		return 0;
	case KT_FIELD_INT:
	case KT_FIELD_UINT:
	case KT_FIELD_UINT64:
		return integer_take(value, path, row, into, err);
	case KT_FIELD_TIME:
		return time_take(value, path, row, into, err);
	case KT_FIELD_REASON:
		return reason_take(value, path, row, into, err);
	case KT_FIELD_UPGRADE:
		if (!json_is_string(value) ||
		    !kt_upgrade_parse(json_string_value(value), (void *)((char *)into + row->offset)))
			return field_fail(err, path, row->key, "expected none, done, failed:VERSION or held:VERSION");
		return 0;
	case KT_FIELD_ANSWER:
		if (!json_is_boolean(value))
			return field_fail(err, path, row->key, "expected true, false or null");
		*(enum kt_answer *)(void *)((char *)into + row->offset) =
			json_is_true(value) ? KT_ANSWER_YES : KT_ANSWER_NO;
		return 0;
	}
	return field_fail(err, path, row->key, "of no known kind");
}

int kt_fields_parse(const json_t *object, const char *path, const struct kt_field *rows, size_t count, void *into,
		    struct kt_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_object_get(object, rows[i].key);
		int r = 0;

		if (value)
			r = field_take(value, path, &rows[i], into, err);
		else if (rows[i].kind != KT_FIELD_ANSWER)
			r = field_fail(err, path, rows[i].key, "missing");

		if (r < 0)
			return r;
	}
	return 0;
}

int kt_json_object(const json_t *parent, const char *key, json_t **ret_object, struct kt_error *err)
{
	json_t *object = json_object_get(parent, key);

	if (!json_is_object(object))
		return field_fail(err, "", key, object ? "expected an object" : "missing");
	*ret_object = object;
	return 0;
}

int kt_json_load(const char *bytes, size_t size, json_t **ret_root, struct kt_error *err)
{
	json_error_t failure;

	if (size > KT_STATE_BYTES_MAX)
		return kt_fail(err, EFBIG, KT_REASON_STATE_INVALID, "the document is larger than %d bytes",
			       KT_STATE_BYTES_MAX);

	if (!kt_json_is_within(bytes, size, KT_JSON_STATE_SIGNS_MAX))
		return kt_fail(err, E2BIG, KT_REASON_STATE_INVALID,
			       "the document has too many values: expected at most %d", KT_JSON_STATE_SIGNS_MAX);

	KT_OWN(kt_json_release) json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &failure);

	if (!root && json_error_code(&failure) == json_error_out_of_memory)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot read the document: out of memory");
	if (!root)
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "invalid JSON at line %d: %s", failure.line,
			       failure.text);
	if (!json_is_object(root))
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "the document is not a JSON object");
	*ret_root = kt_take_ptr(&root);
	return 0;
}
