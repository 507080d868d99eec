#include "server.h"

#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"

static const char *const own_labels[] = {"kontain.app/km", "kontain.app/km-version", "kontain.app/hypervisor",
					 "sandbox", NULL};
static const char *const own_annotations[] = {"kontain.app/km-digest",         "kontain.app/previous-version",
					      "kontain.app/upgrade-state",     "kontain.app/km-refused",
					      "kontain.app/km-refused-reason", NULL};

void fuzz_json_release(json_t **json)
{
	json_decref(*json);
	*json = NULL;
}

json_t *fuzz_node_new(const char *name)
{
	json_t *node = json_pack("{s:s,s:s,s:{s:s,s:{s:s}},s:{s:[{s:s,s:s},{s:s,s:s}]},s:{s:[{s:s,s:s}]}}", "kind",
				 "Node", "apiVersion", "v1", "metadata", "name", name, "labels", "zone", "a", "spec",
				 "taints", "key", "other", "effect", "NoExecute", "key", "kontain.app/not-ready",
				 "effect", "NoSchedule", "status", "conditions", "type", "Ready", "status", "True");

	FUZZ_REQUIRE(node != NULL);
	return node;
}

/* The object under key, made where there is none. */
static json_t *object_in(json_t *parent, const char *key)
{
	if (!json_is_object(json_object_get(parent, key)))
		FUZZ_REQUIRE(json_object_set_new(parent, key, json_object()) == 0);
	return json_object_get(parent, key);
}

static bool is_among(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(*words, word) == 0)
			return true;
	return false;
}

/* RFC 7386, of the one depth that there is: a string sets, null removes. */
static void values_merge(json_t *metadata, const char *map, json_t *values, const char *const *own)
{
	json_t *to = object_in(metadata, map), *value;
	const char *key;

	json_object_foreach (values, key, value) {
		FUZZ_REQUIRE(is_among(key, own) && (json_is_string(value) || json_is_null(value)));
		if (json_is_null(value))
			(void)json_object_del(to, key);
		else
			FUZZ_REQUIRE(json_object_set(to, key, value) == 0);
	}
}

static void meta_merge(json_t *node, json_t *patch)
{
	json_t *metadata = json_object_get(patch, "metadata"), *value;
	const char *key;

	FUZZ_REQUIRE(json_object_size(patch) == 1 && json_object_size(metadata) > 0);
	json_object_foreach (metadata, key, value) {
		bool is_labels = strcmp(key, "labels") == 0;

		FUZZ_REQUIRE(is_labels || strcmp(key, "annotations") == 0);
		values_merge(object_in(node, "metadata"), key, value, is_labels ? own_labels : own_annotations);
	}
}

/* A list that is merged by type: this one alone is replaced or taken out. */
static void condition_merge(json_t *node, json_t *patch)
{
	json_t *list = json_object_get(json_object_get(patch, "status"), "conditions");
	json_t *wanted = json_array_get(list, 0), *status = object_in(node, "status"), *kept = json_array(), *condition;
	size_t i;

	FUZZ_REQUIRE(json_object_size(patch) == 1 && json_array_size(list) == 1 && kept);
	FUZZ_REQUIRE(fuzz_is_same(json_string_value(json_object_get(wanted, "type")), "kontain.app/KMReady"));
	json_array_foreach (json_object_get(status, "conditions"), i, condition) {
		const char *type = json_string_value(json_object_get(condition, "type"));

		if (!type || strcmp(type, "kontain.app/KMReady") != 0)
			FUZZ_REQUIRE(json_array_append(kept, condition) == 0);
	}
	if (json_object_get(wanted, "$patch"))
		FUZZ_REQUIRE(fuzz_is_same(json_string_value(json_object_get(wanted, "$patch")), "delete"));
	else
		FUZZ_REQUIRE(json_object_size(wanted) == 6 && json_array_append(kept, wanted) == 0);
	FUZZ_REQUIRE(json_object_set_new(status, "conditions", kept) == 0);
}

/* RFC 6902: the test of one taint, and its removal. 422 where the list has moved. */
static int taint_remove(json_t *node, json_t *patch)
{
	json_t *test = json_array_get(patch, 0), *removal = json_array_get(patch, 1);
	json_t *taints = json_object_get(json_object_get(node, "spec"), "taints"),
	       *taint = json_object_get(test, "value");
	const char *path = json_string_value(json_object_get(test, "path"));
	size_t index = 0;
	int length = 0;

	FUZZ_REQUIRE(json_array_size(patch) == 2 && path);
	FUZZ_REQUIRE(fuzz_is_same(json_string_value(json_object_get(test, "op")), "test"));
	FUZZ_REQUIRE(fuzz_is_same(json_string_value(json_object_get(removal, "op")), "remove"));
	FUZZ_REQUIRE(fuzz_is_same(path, json_string_value(json_object_get(removal, "path"))));
	FUZZ_REQUIRE(sscanf(path, "/spec/taints/%zu%n", &index, &length) == 1 && !path[length]);
	FUZZ_REQUIRE(fuzz_is_same(json_string_value(json_object_get(taint, "key")), "kontain.app/not-ready"));
	FUZZ_REQUIRE(fuzz_is_same(json_string_value(json_object_get(taint, "effect")), "NoSchedule"));
	if (!json_equal(json_array_get(taints, index), taint))
		return 422;
	FUZZ_REQUIRE(json_array_remove(taints, index) == 0);
	return 200;
}

int fuzz_server_answer(json_t *node, const char *name, const struct kt_kube_request *request)
{
	KT_OWN(fuzz_json_release) json_t *patch = request->body ? json_loads(request->body, 0, NULL) : NULL;
	char path[320], status_path[330];

	(void)snprintf(path, sizeof(path), "/api/v1/nodes/%.250s", name);
	(void)snprintf(status_path, sizeof(status_path), "%s/status", path);
	if (strcmp(request->verb, "GET") == 0) {
		FUZZ_REQUIRE(!request->body && !request->content_type && strcmp(request->path, path) == 0);
		return 200;
	}
	FUZZ_REQUIRE(strcmp(request->verb, "PATCH") == 0 && patch && request->content_type);
	if (strcmp(request->content_type, "application/strategic-merge-patch+json") == 0) {
		FUZZ_REQUIRE(strcmp(request->path, status_path) == 0);
		condition_merge(node, patch);
		return 200;
	}
	FUZZ_REQUIRE(strcmp(request->path, path) == 0);
	if (strcmp(request->content_type, "application/json-patch+json") == 0)
		return taint_remove(node, patch);
	FUZZ_REQUIRE(strcmp(request->content_type, "application/merge-patch+json") == 0);
	meta_merge(node, patch);
	return 200;
}
