/* A manifest's bytes, believed in nothing. A row of a table says which keys an object has and of which type; what is
 * not in its row is refused, so that a bundle means the same to every reader. Errors name the place on the way up:
 * "components[1]: version \"..\" is not valid". */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/own.h"
#include "kontain/contract/manifest.h"
#include "kontain/contract/paths.h"

#define API_VERSION "kontain.app/v1"
#define KIND        "Bundle"
#define ARCH        "x86_64"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

struct key {
	const char *name;
	json_type type;
	bool is_optional;
};

static const struct key top_keys[] = {
	{"apiVersion", JSON_STRING, false}, {"kind", JSON_STRING, false},      {"version", JSON_STRING, false},
	{"arch", JSON_STRING, false},       {"components", JSON_ARRAY, false}, {"selfTest", JSON_OBJECT, true},
};
static const struct key component_keys[] = {
	{"name", JSON_STRING, false},
	{"version", JSON_STRING, false},
	{"digest", JSON_STRING, false},
};
static const struct key self_test_keys[] = {{"argv", JSON_ARRAY, false}, {"expect", JSON_STRING, false}};

static const char *const type_names[] = {
	[JSON_OBJECT] = "an object",
	[JSON_ARRAY] = "an array",
	[JSON_STRING] = "a string",
};

/* The struct that is being filled; what it owns already goes when the parse fails. */
struct parse {
	struct kt_manifest manifest;
	struct kt_error *err; /* never NULL */
};

static int invalid(struct parse *parse, const char *what, const char *value, const char *flaw)
{
	char shown[KT_SHOWN_MAX];

	return kt_fail(parse->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s \"%s\" %s", what, kt_path_show(value, shown),
		       flaw);
}

static int out_of_memory(struct parse *parse)
{
	return kt_fail(parse->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
}

static const struct key *key_find(const struct key *keys, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* An object with the keys of its table, and no others. */
static int object_check(struct parse *parse, json_t *object, const struct key *keys, size_t count)
{
	const char *name;
	json_t *value;

	if (!json_is_object(object))
		return kt_fail(parse->err, EINVAL, KT_REASON_BUNDLE_INVALID, "must be an object");
	json_object_foreach (object, name, value) {
		const struct key *key = key_find(keys, count, name);

		if (!key)
			return invalid(parse, "key", name, "is not known here");
		if (json_typeof(value) != key->type)
			return kt_fail(parse->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s must be %s", key->name,
				       type_names[key->type]);
	}
	for (size_t i = 0; i < count; i++)
		if (!keys[i].is_optional && !json_object_get(object, keys[i].name))
			return kt_fail(parse->err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s is missing", keys[i].name);
	return 0;
}

static const char *text_get(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int text_copy(struct parse *parse, const char *text, char **ret_copy)
{
	*ret_copy = strdup(text);
	return *ret_copy ? 0 : out_of_memory(parse);
}

static int version_take(struct parse *parse, const json_t *object, char ret_version[KT_VERSION_MAX])
{
	const char *version = text_get(object, "version");

	if (!kt_version_is_valid(version))
		return invalid(parse, "version", version,
			       "is none: letters, digits and . _ - are allowed, 63 at most, a letter or digit first");
	memcpy(ret_version, version, strlen(version) + 1);
	return 0;
}

static int digest_take(struct parse *parse, const json_t *object, const char *key, char ret_hex[KT_DIGEST_HEX])
{
	const char *digest = text_get(object, key);

	if (strlen(digest) != KT_DIGEST_HEX - 1 || strspn(digest, "0123456789abcdef") != KT_DIGEST_HEX - 1)
		return invalid(parse, key, digest, "is not 64 lower-case hexadecimal digits");
	memcpy(ret_hex, digest, KT_DIGEST_HEX);
	return 0;
}

/* Names come in their one order, so none can come twice. */
static int name_take(struct parse *parse, const char *name, size_t *next_name, char ret_name[16])
{
	for (size_t i = 0; kt_component_names[i]; i++) {
		if (strcmp(kt_component_names[i], name) != 0)
			continue;
		if (i < *next_name)
			return invalid(parse, "name", name,
				       "comes twice or out of order (km runtime alpine-lib lib shim tools extras)");
		*next_name = i + 1;
		memcpy(ret_name, name, strlen(name) + 1);
		return 0;
	}
	return invalid(parse, "name", name, "is not a component (km runtime alpine-lib lib shim tools extras)");
}

static int component_parse(struct parse *parse, json_t *object, size_t *next_name, struct kt_component *component)
{
	int r = object_check(parse, object, component_keys, COUNT(component_keys));

	if (r == 0)
		r = name_take(parse, text_get(object, "name"), next_name, component->name);
	if (r == 0)
		r = version_take(parse, object, component->version);
	return r < 0 ? r : digest_take(parse, object, "digest", component->digest);
}

static int components_parse(struct parse *parse, const json_t *array)
{
	size_t count = json_array_size(array), next_name = 0;

	if (count > KT_COMPONENT_MAX)
		return kt_fail(parse->err, EINVAL, KT_REASON_BUNDLE_INVALID, "components: there are %d at most",
			       KT_COMPONENT_MAX);
	for (size_t i = 0; i < count; i++) {
		parse->manifest.component_count = i + 1;
		if (component_parse(parse, json_array_get(array, i), &next_name, &parse->manifest.components[i]) < 0)
			return kt_fail_prefix(parse->err, "components[%zu]", i);
	}

	if (!kt_manifest_component(&parse->manifest, "km"))
		return kt_fail(parse->err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "component km is missing: every bundle needs bin/km");
	return 0;
}

int kt_manifest_check_lists(const struct kt_manifest *manifest, struct kt_error *err)
{
	const char *program = manifest->self_test_argv ? manifest->self_test_argv[0] : NULL;
	char shown[KT_SHOWN_MAX];
	size_t count = 0;

	for (size_t i = 0; i < manifest->component_count; i++)
		count += manifest->components[i].list.count;
	if (count > KT_MANIFEST_FILES_MAX)
		return kt_fail(err, E2BIG, KT_REASON_BUNDLE_INVALID, "its components have %zu files, %d are allowed",
			       count, KT_MANIFEST_FILES_MAX);
	if (!kt_manifest_file(manifest, "bin/km"))
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "component km has no file km: every bundle needs bin/km");
	if (program && !kt_manifest_file(manifest, program))
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "selfTest: argv \"%s\" is not a file of this bundle", kt_path_show(program, shown));
	return 0;
}

/* One line that can be compared and shown. */
static int test_text_take(struct parse *parse, const char *text, const char *what, char **ret_copy)
{
	const char *flaw = !*text                               ? "is empty" :
			   strlen(text) > KT_SELF_TEST_TEXT_MAX ? "is too long" :
								  kt_text_flaw(text);

	return flaw ? invalid(parse, what, text, flaw) : text_copy(parse, text, ret_copy);
}

static int self_test_parse(struct parse *parse, json_t *object)
{
	int r = object_check(parse, object, self_test_keys, COUNT(self_test_keys));
	const json_t *array = json_object_get(object, "argv");
	size_t count = json_array_size(array);

	if (r < 0)
		return r;
	if (count == 0 || count > KT_SELF_TEST_ARGS_MAX)
		return kt_fail(parse->err, EINVAL, KT_REASON_BUNDLE_INVALID, "argv must have 1 to %d strings",
			       KT_SELF_TEST_ARGS_MAX);
	parse->manifest.self_test_argv = calloc(count + 1, sizeof(char *));
	if (!parse->manifest.self_test_argv)
		return out_of_memory(parse);
	for (size_t i = 0; i < count; i++) {
		const json_t *arg = json_array_get(array, i);

		if (!json_is_string(arg))
			return kt_fail(parse->err, EINVAL, KT_REASON_BUNDLE_INVALID, "argv must be strings");
		r = test_text_take(parse, json_string_value(arg), "argv", &parse->manifest.self_test_argv[i]);
		if (r < 0)
			return r;
	}
	return test_text_take(parse, text_get(object, "expect"), "expect", &parse->manifest.self_test_expect);
}

static int top_parse(struct parse *parse, json_t *root)
{
	int r = object_check(parse, root, top_keys, COUNT(top_keys));

	if (r < 0)
		return r;
	if (strcmp(text_get(root, "apiVersion"), API_VERSION) != 0)
		return invalid(parse, "apiVersion", text_get(root, "apiVersion"), "is not " API_VERSION);
	if (strcmp(text_get(root, "kind"), KIND) != 0)
		return invalid(parse, "kind", text_get(root, "kind"), "is not " KIND);
	r = version_take(parse, root, parse->manifest.version);
	if (r == 0 && strcmp(text_get(root, "arch"), ARCH) != 0) {
		r = invalid(parse, "arch", text_get(root, "arch"),
			    "is not " ARCH ": this bundle is for other machines");
		parse->err->reason = KT_REASON_ARCH_MISMATCH;
	}
	if (r < 0)
		return r;
	memcpy(parse->manifest.arch, ARCH, sizeof(ARCH));
	r = components_parse(parse, json_object_get(root, "components"));
	if (r == 0 && json_object_get(root, "selfTest") &&
	    self_test_parse(parse, json_object_get(root, "selfTest")) < 0)
		r = kt_fail_prefix(parse->err, "selfTest");
	return r;
}

int kt_manifest_parse(const char *bytes, size_t size, struct kt_manifest *ret_manifest, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	struct parse parse = {.err = &mine};
	char shown[KT_SHOWN_MAX];
	json_error_t failure;

	if (size > KT_MANIFEST_BYTES_MAX)
		return kt_fail(err, EFBIG, KT_REASON_BUNDLE_INVALID, "the manifest is larger than %d bytes",
			       KT_MANIFEST_BYTES_MAX);

	json_t *root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &failure);

	if (!root && !*failure.text) /* jansson's way to say it, mostly */
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot read the manifest: out of memory");
	if (!root)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the manifest is not valid JSON at line %d: %s",
			       failure.line, kt_path_show(failure.text, shown)); /* it quotes what is there */

	int r = top_parse(&parse, root);

	json_decref(root);
	if (r < 0) {
		kt_manifest_done(&parse.manifest);
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	}
	*ret_manifest = parse.manifest;
	return 0;
}
