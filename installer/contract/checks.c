/* The rows of a check, and their JSON: a reason is named where a row failed and nowhere else. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "checksjson.h"
#include "jsonfields.h"

#define RESULT_MAX 16
#define REASON_MAX 40

static const char *const results[] = {
	[KT_CHECK_UNREACHED] = "unreached",
	[KT_CHECK_OK] = "ok",
	[KT_CHECK_FAILED] = "failed",
	[KT_CHECK_NOTE] = "note",
};
#define RESULT_COUNT (sizeof(results) / sizeof(results[0]))

static const struct kt_field rows[] = {
	KT_FIELD_STRING(struct kt_check, name, "name", NULL),
	KT_FIELD_STRING(struct kt_check, value, "value", NULL),
	KT_FIELD_STRING(struct kt_check, message, "message", NULL),
};
#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))

static const struct kt_field result_row = {.key = "result", .size = RESULT_MAX};
static const struct kt_field reason_row = {.key = "reason", .size = REASON_MAX};

struct kt_check *kt_checks_add(struct kt_checks *checks, const char *name)
{
	struct kt_check *check = &checks->list[checks->count];

	assert(checks->count < KT_CHECKS_MAX);
	checks->count++;
	*check = (struct kt_check){.result = KT_CHECK_UNREACHED, .reason = KT_REASON_NONE};
	(void)snprintf(check->name, sizeof(check->name), "%s", name);
	return check;
}

void kt_check_pass(struct kt_check *check)
{
	check->result = KT_CHECK_OK;
	check->reason = KT_REASON_NONE;
	check->message[0] = '\0';
}

void kt_check_fail(struct kt_check *check, const struct kt_error *err)
{
	check->result = KT_CHECK_FAILED;
	check->reason = err->reason == KT_REASON_NONE ? KT_REASON_INTERNAL : err->reason;
	(void)snprintf(check->message, sizeof(check->message), "%s", err->text);
}

const struct kt_check *kt_checks_broken(const struct kt_checks *checks)
{
	for (size_t i = 0; i < checks->count; i++)
		if (checks->list[i].result == KT_CHECK_FAILED)
			return &checks->list[i];
	return NULL;
}

int kt_checks_print(json_t *parent, const struct kt_checks *checks)
{
	json_t *list = json_array();

	if (json_object_set_new(parent, "checks", list) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < checks->count; i++) {
		const struct kt_check *check = &checks->list[i];
		const char *reason = check->result == KT_CHECK_FAILED ? kt_reason_name(check->reason) : "";
		json_t *object = json_object();

		if (json_array_append_new(list, object) < 0 || kt_fields_print(object, rows, ROW_COUNT, check) < 0 ||
		    json_object_set_new(object, "result", json_string(results[check->result])) < 0 ||
		    json_object_set_new(object, "reason", json_string(reason)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int check_fail_form(const char *key, struct kt_error *err)
{
	return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "checks.%s: not one of the words that belong here", key);
}

static int result_take(const json_t *object, struct kt_check *check, struct kt_error *err)
{
	char word[RESULT_MAX] = "";
	int r = kt_json_text_take(json_object_get(object, "result"), "checks", &result_row, word, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < RESULT_COUNT; i++)
		if (strcmp(word, results[i]) == 0) {
			check->result = (enum kt_check_result)i;
			return 0;
		}
	return check_fail_form("result", err);
}

/* A failed row has a reason, and no other has. */
static int reason_take(const json_t *object, struct kt_check *check, struct kt_error *err)
{
	char word[REASON_MAX] = "";
	int r = kt_json_text_take(json_object_get(object, "reason"), "checks", &reason_row, word, err);

	if (r < 0)
		return r;
	check->reason = word[0] != '\0' ? kt_reason_find(word) : KT_REASON_NONE;
	if (check->reason == KT_REASON_COUNT || (check->reason == KT_REASON_NONE) == (check->result == KT_CHECK_FAILED))
		return check_fail_form("reason", err);
	return 0;
}

int kt_checks_take(const json_t *parent, struct kt_checks *ret_checks, struct kt_error *err)
{
	const json_t *list = json_object_get(parent, "checks");

	if (!json_is_array(list) || json_array_size(list) > KT_CHECKS_MAX)
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "checks: expected an array of at most %d",
			       KT_CHECKS_MAX);
	ret_checks->count = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *object = json_array_get(list, i);
		struct kt_check *check = kt_checks_add(ret_checks, "");
		int r = json_is_object(object) ?
				kt_fields_parse(object, "checks", rows, ROW_COUNT, check, err) :
				kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "checks: expected an object");

		if (r == 0)
			r = result_take(object, check, err);
		if (r == 0)
			r = reason_take(object, check, err);
		if (r < 0)
			return r;
	}
	return 0;
}
