/* A struct's members as rows of a table, printed to and parsed from a JSON object by the same rows:
 * what is written can be read, and what is read was checked. */
#ifndef KONTAIN_CONTRACT_JSONFIELDS_H
#define KONTAIN_CONTRACT_JSONFIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "kontain/base/error.h"

/* The largest integer that every JSON reader keeps exact (RFC 8259, 6): greater ones are written as this one. */
#define KT_JSON_INT_MAX ((INT64_C(1) << 53) - 1)

enum kt_field_kind {
	KT_FIELD_TEXT,    /* char[size] */
	KT_FIELD_BOOL,    /* bool */
	KT_FIELD_INT,     /* int, -1 and up */
	KT_FIELD_UINT,    /* unsigned */
	KT_FIELD_UINT64,  /* uint64_t */
	KT_FIELD_TIME,    /* int64_t Unix seconds <-> RFC 3339 in UTC; 0 <-> null */
	KT_FIELD_REASON,  /* enum kt_reason <-> its name */
	KT_FIELD_UPGRADE, /* struct kt_upgrade <-> its text */
	KT_FIELD_ANSWER,  /* enum kt_answer <-> true, false or no such key */
};

struct kt_field {
	const char *key;
	enum kt_field_kind kind;
	size_t offset;
	size_t size;                         /* of a text, NUL included */
	bool (*is_valid)(const char *value); /* of a text; NULL: any */
};

#define KT_FIELD(type, member, name, what)                                      \
	{                                                                       \
		.key = (name), .kind = (what), .offset = offsetof(type, member) \
	}
#define KT_FIELD_STRING(type, member, name, check)                                      \
	{                                                                               \
		.key = (name), .kind = KT_FIELD_TEXT, .offset = offsetof(type, member), \
		.size = sizeof(((type *)0)->member), .is_valid = (check)                \
	}

/* An owned string value of a text that may hold anything; NULL when memory is gone. Bytes that are no UTF-8 and
 * control characters other than newline and tab become '?', one for one. */
json_t *kt_json_text(const char *text);

/* Puts each row into the object; -ENOMEM. */
int kt_fields_print(json_t *object, const struct kt_field *rows, size_t count, const void *from);

/* Every row but an answer must be there with its type, within its bounds; keys without a row are left alone, as a newer
 * writer may have more to say. `path` names the object in messages. Writes only through rows, never beyond a size. */
int kt_fields_parse(const json_t *object, const char *path, const struct kt_field *rows, size_t count, void *into,
		    struct kt_error *err);

/* Copies a checked string of a JSON array or object. */
int kt_json_text_take(const json_t *value, const char *path, const struct kt_field *row, void *into,
		      struct kt_error *err);

/* The object under key: StateInvalid when it is not there or no object. */
int kt_json_object(const json_t *parent, const char *key, json_t **ret_object, struct kt_error *err);

/* Loads a document: an object of at most KT_STATE_BYTES_MAX bytes, without duplicate keys. */
int kt_json_load(const char *bytes, size_t size, json_t **ret_root, struct kt_error *err);

void kt_json_release(json_t **value); /* for KT_OWN */

#endif
