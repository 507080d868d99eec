/* links: kt_contract kt_base */
/* deploy/state.schema.json against the code: what we print is what it describes, key for key, and what it forbids is
 * refused by the reader. The schema is walked by a small validator of the keywords that it uses; any other keyword
 * fails the test, so none is ever silently not checked. */
#include <fcntl.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/state.h"

static json_t *schema; /* owned by the group */
static bool is_loud;   /* says where a document is refused that should not be */

static json_t *schema_load(void)
{
	const char *end = strstr(__FILE__, "tests/unit/");
	char path[4096];
	json_error_t failure;

	snprintf(path, sizeof(path), "%.*sdeploy/state.schema.json", (int)(end - __FILE__), __FILE__);
	json_t *loaded = json_load_file(path, JSON_REJECT_DUPLICATES, &failure);

	if (!loaded)
		print_error("%s: %s\n", path, failure.text);
	return loaded;
}

static bool is_valid(const json_t *rules, const json_t *value, char *path);

static bool refuse(const char *path, const char *keyword)
{
	if (is_loud)
		print_message("%s: %s\n", path, keyword);
	return false;
}

static bool type_matches(const char *type, const json_t *value)
{
	return (strcmp(type, "object") == 0 && json_is_object(value)) ||
	       (strcmp(type, "array") == 0 && json_is_array(value)) ||
	       (strcmp(type, "string") == 0 && json_is_string(value)) ||
	       (strcmp(type, "integer") == 0 && json_is_integer(value)) ||
	       (strcmp(type, "boolean") == 0 && json_is_boolean(value)) ||
	       (strcmp(type, "null") == 0 && json_is_null(value));
}

static bool pattern_matches(const char *pattern, const char *text)
{
	regex_t compiled;
	bool matches;

	assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
	matches = regexec(&compiled, text, 0, NULL, 0) == 0;
	regfree(&compiled);
	return matches;
}

/* Both ways: what is required is there, and what is there is described. */
static bool properties_match(const json_t *rules, const json_t *value, char *path)
{
	json_t *properties = json_object_get(rules, "properties"), *required = json_object_get(rules, "required");
	const char *key;
	json_t *member;
	size_t i, length = strlen(path);

	json_array_foreach (required, i, member)
		if (!json_object_get(value, json_string_value(member)))
			return refuse(path, json_string_value(member));
	json_object_foreach ((json_t *)value, key, member) {
		json_t *rule = json_object_get(properties, key);

		sprintf(path + length, ".%s", key);
		if (!rule)
			return refuse(path, "not described");
		if (!is_valid(rule, member, path))
			return false;
		path[length] = '\0';
	}
	return true;
}

static bool any_matches(const json_t *list, const json_t *value, char *path, bool by_rule)
{
	bool was_loud = is_loud, matches = false;
	size_t i;
	json_t *item;

	is_loud = false; /* that one of them does not match says nothing yet */
	json_array_foreach (list, i, item)
		if (by_rule ? is_valid(item, value, path) : json_equal(item, value))
			matches = true;
	is_loud = was_loud;
	return matches || refuse(path, "none of these");
}

static bool items_match(const json_t *rule, const json_t *value, char *path)
{
	size_t i;
	json_t *item;

	json_array_foreach (value, i, item)
		if (!is_valid(rule, item, path))
			return false;
	return true;
}

static bool keyword_matches(const json_t *rules, const char *keyword, const json_t *wanted, const json_t *value,
			    char *path)
{
	const char *word = json_string_value(wanted);
	json_int_t number = json_integer_value(wanted);

	if (strcmp(keyword, "type") == 0)
		return type_matches(word, value);
	if (strcmp(keyword, "const") == 0)
		return json_equal(wanted, value);
	if (strcmp(keyword, "enum") == 0)
		return any_matches(wanted, value, path, false);
	if (strcmp(keyword, "anyOf") == 0)
		return any_matches(wanted, value, path, true);
	if (strcmp(keyword, "$ref") == 0)
		return is_valid(json_object_get(json_object_get(schema, "$defs"), word + strlen("#/$defs/")), value,
				path);
	if (strcmp(keyword, "pattern") == 0)
		return pattern_matches(word, json_string_value(value) ? json_string_value(value) : "\n");
	if (strcmp(keyword, "maxLength") == 0)
		return json_string_length(value) <= (size_t)number;
	if (strcmp(keyword, "minimum") == 0)
		return json_integer_value(value) >= number;
	if (strcmp(keyword, "maximum") == 0)
		return json_integer_value(value) <= number;
	if (strcmp(keyword, "maxItems") == 0)
		return json_array_size(value) <= (size_t)number;
	if (strcmp(keyword, "items") == 0)
		return items_match(wanted, value, path);
	if (strcmp(keyword, "properties") == 0)
		return properties_match(rules, value, path);
	if (strcmp(keyword, "required") == 0 || strcmp(keyword, "description") == 0 || strcmp(keyword, "title") == 0 ||
	    strcmp(keyword, "$schema") == 0 || strcmp(keyword, "$id") == 0 || strcmp(keyword, "$defs") == 0)
		return true;
	fail_msg("the schema uses %s, which this test does not know", keyword);
	return false;
}

static bool is_valid(const json_t *rules, const json_t *value, char *path)
{
	const char *keyword;
	json_t *wanted;

	assert_true(json_is_object(rules));
	json_object_foreach ((json_t *)rules, keyword, wanted)
		if (!keyword_matches(rules, keyword, wanted, value, path))
			return refuse(path, keyword);
	return true;
}

static json_t *document(const struct kt_state *state)
{
	KT_OWN(kt_free_mem) char *text = kt_state_print(state);

	return json_loads(text, 0, NULL);
}

static bool document_is_valid(const json_t *value)
{
	char path[1024] = "";

	return is_valid(schema, value, path);
}

static void fill(struct kt_state *state)
{
	kt_state_init(state);
	strcpy(state->boot_id, "0a1b2c3d-0000-4000-8000-123456789abc");
	state->observed_at = 1767225600;
	state->observed_boot_s = 77;
	kt_state_promise(state, 100);
}

static void test_what_is_printed_is_described(void **unused)
{
	struct kt_state state;

	(void)unused;
	fill(&state);
	for (int round = 0; round < 2; round++) { /* empty, and with everything at its largest */
		json_t *value = document(&state);

		is_loud = true;
		assert_true(document_is_valid(value));
		is_loud = false;
		json_decref(value);
		state.host.file_limit = state.store.installs_ok = UINT64_MAX;
		state.kvm.duration_us = state.proof.duration_ms = UINT32_MAX;
		state.proof.at = INT64_MAX;
		state.proof.dynamic_ok = state.kvm.compiled_code = KT_ANSWER_YES;
		state.versions.list_count = KT_STATE_LIST_MAX;
		for (int i = 0; i < KT_STATE_LIST_MAX; i++)
			memset(state.versions.list[i], 'v', KT_VERSION_MAX - 1);
		memset(state.host.modules, 'm', sizeof(state.host.modules) - 1);
		memset(state.node.message, 'm', sizeof(state.node.message) - 1);
		memset(state.versions.km_digest, 'a', KT_DIGEST_HEX - 1);
		state.checks.count = 0;
		for (int i = 0; i < KT_CHECKS_MAX; i++) {
			struct kt_check *check = kt_checks_add(&state.checks, "the longest name of all");

			kt_check_fail(check, &(struct kt_error){.reason = i ? KT_REASON_BUSY : KT_REASON_NONE});
			check->result = (enum kt_check_result)(i % 4);
			memset(check->value, 'v', sizeof(check->value) - 1);
			memset(check->message, 'm', sizeof(check->message) - 1);
		}
	}
}

/* Keys that are left out where nothing can be said. */
static const char *const optional[] = {"dynamic", "compiledCode"};

/* All other keys of the schema are printed: required names all of its properties, at each level. */
static size_t objects_check(const json_t *rules)
{
	json_t *properties = json_object_get(rules, "properties"), *required = json_object_get(rules, "required");
	size_t count = 0, left_out = 0;
	const char *key;
	json_t *member;

	if (json_object_get(rules, "items"))
		return objects_check(json_object_get(rules, "items"));
	if (!properties)
		return 0;
	for (size_t i = 0; i < sizeof(optional) / sizeof(optional[0]); i++)
		left_out += json_object_get(properties, optional[i]) != NULL;
	assert_int_equal(json_object_size(properties) - left_out, json_array_size(required));
	json_object_foreach (properties, key, member)
		count += 1 + objects_check(member);
	return count;
}

static void test_all_that_is_described_is_required(void **unused)
{
	(void)unused;
	assert_true(objects_check(schema) > 50);
}

static void test_reasons_are_the_table(void **unused)
{
	json_t *names = json_object_get(json_object_get(json_object_get(schema, "$defs"), "reason"), "enum");

	(void)unused;
	assert_int_equal(json_array_size(names), KT_REASON_COUNT - 1); /* all but None */
	for (int i = KT_REASON_NONE + 1; i < KT_REASON_COUNT; i++)
		assert_string_equal(json_string_value(json_array_get(names, (size_t)i - 1)),
				    kt_reason_name((enum kt_reason)i));
}

static void test_reader_and_schema_refuse_the_same(void **unused)
{
	static const struct {
		const char *object; /* NULL: the top */
		const char *key;
		const char *value;
	} rows[] = {
		{NULL, "apiVersion", "\"v2\""},
		{NULL, "bootId", "\"x\""},
		{NULL, "observedAt", "1"},
		{NULL, "observedAt", "\"yesterday\""},
		{NULL, "node", "[]"},
		{"node", "ready", "1"},
		{"node", "reason", "\"Fine\""},
		{"node", "reason", "\"None\""},
		{"versions", "current", "\"../x\""},
		{"versions", "list", "[\"\"]"},
		{"versions", "km", "{}"},
		{"kvm", "apiVersion", "-2"},
		{"kvm", "durationMicroseconds", "4294967296"},
		{"host", "mmapMinAddr", "-1"},
		{"host", "mmapMinAddr", "9007199254740992"},
		{"host", "cpuVendor", "\"a vendor of more letters than there are\""},
		{"proof", "at", "0"},
		{"proof", "dynamic", "null"},
		{"store", "upgradeState", "null"},
		{"store", "upgradeState", "\"finished\""},
		{"store", "upgradeState", "\"done:1.0\""},
		{"store", "upgradeState", "\"failed:../1\""},
		{"host", "lockdown", "\"of a level of its own\""},
		{NULL, "checks", "{}"},
		{NULL, "checks", "[{}]"},
		{NULL, "checks",
		 "[{\"name\":\"n\",\"value\":\"\",\"message\":\"\",\"result\":\"fine\",\"reason\":\"\"}]"},
		{NULL, "checks",
		 "[{\"name\":\"n\",\"value\":\"\",\"message\":\"\",\"result\":\"failed\",\"reason\":\"Bad\"}]"},
	};

	(void)unused;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_state state, read;
		struct kt_error err;

		fill(&state);
		json_t *value = document(&state);
		json_t *object = rows[i].object ? json_object_get(value, rows[i].object) : value;

		json_object_set_new(object, rows[i].key, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
		KT_OWN(kt_free_mem) char *text = json_dumps(value, 0);

		assert_false(document_is_valid(value));
		assert_true(kt_state_parse(text, strlen(text), &read, &err) < 0);
		json_decref(value);
	}
}

static int setup(void **unused)
{
	(void)unused;
	schema = schema_load();
	return schema ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	json_decref(schema);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_printed_is_described),
		cmocka_unit_test(test_all_that_is_described_is_required),
		cmocka_unit_test(test_reasons_are_the_table),
		cmocka_unit_test(test_reader_and_schema_refuse_the_same),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
