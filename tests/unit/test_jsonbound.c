/* links: kt_kube kt_contract kt_base */
/* How much memory a document may take: the count, and what jansson makes of the densest ones that pass it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kontain/base/own.h"
#include "kontain/contract/jsonbound.h"
#include "kontain/contract/state.h"
#include "kube/report.h"

#define CHUNK_HEAD 16 /* of malloc(3), and room for the size */

static size_t used, most;

static void *count_malloc(size_t size)
{
	size_t *chunk = malloc(size + CHUNK_HEAD);

	if (!chunk)
		return NULL;
	*chunk = size + CHUNK_HEAD;
	used += *chunk;
	most = used > most ? used : most;
	return (char *)chunk + CHUNK_HEAD;
}

static void count_free(void *at)
{
	size_t *chunk = at ? (void *)((char *)at - CHUNK_HEAD) : NULL;

	if (chunk)
		used -= *chunk;
	free(chunk);
}

static void test_the_count(void **context)
{
	static const struct {
		const char *text;
		size_t signs;
	} rows[] = {
		{"", 0},
		{"1", 0},
		{"[]", 1},
		{"[1,2]", 2},
		{"{\"a\":[{}]}", 4},
		{"\"[{,:\"", 0},
		{"[\"\\\"[[[\",1]", 2},
		{"[\"\\\\\",[]]", 3},
		{"[\"", 1},
		{"[\"\\", 1},
		{"\\\"[", 0},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t size = strlen(rows[i].text);

		if (!kt_json_is_within(rows[i].text, size, rows[i].signs) ||
		    (rows[i].signs > 0 && kt_json_is_within(rows[i].text, size, rows[i].signs - 1)))
			fail_msg("%s: not %zu signs", rows[i].text, rows[i].signs);
	}
}

/* Of documents that are nothing but values, `unit` again and again between head and tail. */
static const struct {
	const char *head, *unit, *tail;
	size_t signs; /* of a unit */
} dense[] = {
	{"[", "{},", "0]", 2},
	{"[", "[],", "0]", 2},
	{"[", "1,", "0]", 1},
	{"[", "\"\",", "0]", 1},
	{"[", "{\"\":{}},", "0]", 4},
	{"[", "{\"\":1},", "0]", 3},
	{"[", "[[]],", "0]", 3},
	{"[", "{\"\":\"\"},", "0]", 3},
	{"{", "\"%u\":1,", "\"\":0}", 2},
	{"{", "\"%u\":{},", "\"\":0}", 3},
	{"{", "\"%u\":\"\",", "\"\":0}", 2},
	{"{", "\"%u\":[{}],", "\"\":0}", 4},
};

static char *write_dense(size_t row, size_t signs)
{
	size_t units = (signs - 2) / dense[row].signs, size = 0;
	char *text = malloc(units * 24 + 64);

	assert_non_null(text);
	size += (size_t)sprintf(text, "%s", dense[row].head);
	for (size_t i = 0; i < units; i++) {
		const char *rest = strstr(dense[row].unit, "%u");

		size += rest ? (size_t)sprintf(text + size, "\"%zu%s", i, rest + 2) :
			       (size_t)sprintf(text + size, "%s", dense[row].unit);
	}
	sprintf(text + size, "%s", dense[row].tail);
	return text;
}

static void test_what_a_sign_costs(void **context)
{
	size_t worst = 0;

	(void)context;
	json_set_alloc_funcs(count_malloc, count_free);
	for (size_t i = 0; i < sizeof(dense) / sizeof(dense[0]); i++) {
		/* Beside and just above the sizes at which a hash table grows to double. */
		for (size_t signs = KT_JSON_NODE_SIGNS_MAX; signs > KT_JSON_NODE_SIGNS_MAX / 3; signs = signs * 7 / 8) {
			KT_OWN(kt_free_mem) char *text = write_dense(i, signs);
			json_t *root;

			most = used = 0;
			assert_true(kt_json_is_within(text, strlen(text), signs));
			root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
			assert_non_null(root);
			json_decref(root);
			assert_int_equal(used, 0);
			worst = most / signs > worst ? most / signs : worst;
			if (most / signs > KT_JSON_SIGN_BYTES)
				fail_msg("%s: %zu bytes a sign of %zu", dense[i].unit, most / signs, signs);
		}
	}
	json_set_alloc_funcs(malloc, free);
	assert_true(worst > KT_JSON_SIGN_BYTES / 2); /* a bound, and not just a large number */
}

static void test_readers_refuse_before_they_read(void **context)
{
	KT_OWN(kt_free_mem) char *node = write_dense(0, KT_JSON_NODE_SIGNS_MAX + 10);
	KT_OWN(kt_free_mem) char *state = write_dense(0, KT_JSON_STATE_SIGNS_MAX + 10);
	struct kt_node_view view = {.taint_index = -1};
	static struct kt_state parsed;
	struct kt_error err = {0};

	(void)context;
	json_set_alloc_funcs(count_malloc, count_free);
	most = used = 0;
	assert_int_equal(kt_node_view_parse(node, strlen(node), "mine", &view, &err), -E2BIG);
	assert_non_null(strstr(err.text, "too many values"));
	assert_int_equal(kt_state_parse(state, strlen(state), &parsed, &err), -E2BIG);
	assert_int_equal(err.reason, KT_REASON_STATE_INVALID);
	assert_int_equal(most, 0);
	json_set_alloc_funcs(malloc, free);
	kt_node_view_done(&view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_count),
		cmocka_unit_test(test_what_a_sign_costs),
		cmocka_unit_test(test_readers_refuse_before_they_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
