/* The config file, on libyaml: one table of keys, walked once for each mapping of the document.
 * A config that says what we would ignore misleads whoever wrote it: so every key must have a row, every value its
 * type and bounds, and all problems are reported at once, each with its line. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/config.h"

/* libyaml looks through all open brackets at each token: a file of nothing else would take it seconds. */
#define BRACKETS_MAX 1000

enum key_kind {
	KEY_FIXED,  /* must be choices[0] */
	KEY_CHOICE, /* choices[0] is false, choices[1] is true */
	KEY_BOOL,
	KEY_UINT, /* min..max */
	KEY_ROOTS,
};

struct key {
	const char *section; /* "" at the top */
	const char *name;
	enum key_kind kind;
	size_t offset;
	unsigned min, max;
	const char *choices[2];
};

#define AT(member) .offset = offsetof(struct kt_config, member)

static const struct key keys[] = {
	{"", "apiVersion", KEY_FIXED, .choices = {"kontain.app/v1"}},
	{"", "kind", KEY_FIXED, .choices = {"Config"}},
	{"", "desired", KEY_CHOICE, AT(desired_absent), .choices = {"present", "absent"}},
	{"", "unfitNodes", KEY_CHOICE, AT(unfit_not_ready), .choices = {"settled", "notReady"}},
	{"store", "roots", KEY_ROOTS, AT(roots)},
	{"store", "keep", KEY_UINT, AT(store_keep), 0, 1000},
	{"store", "verifyIntervalSeconds", KEY_UINT, AT(verify_interval_s), 60, 604800},
	{"proof", "allowEmulated", KEY_BOOL, AT(allow_emulated)},
	{"proof", "intervalSeconds", KEY_UINT, AT(proof_interval_s), 5, 3600},
	{"proof", "timeoutSeconds", KEY_UINT, AT(proof_timeout_s), 1, 60},
	{"node", "loadModules", KEY_BOOL, AT(load_modules)},
	{"report", "heartbeatSeconds", KEY_UINT, AT(heartbeat_s), 30, 3600},
	{"report", "startDelaySeconds", KEY_UINT, AT(start_delay_s), 0, 300},
	{"report", "legacyLabel", KEY_BOOL, AT(legacy_label)},
	{"report", "unguarded", KEY_BOOL, AT(unguarded)},
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

struct reading {
	yaml_document_t *document; /* borrowed */
	const char *source;        /* borrowed */
	struct kt_config config;
	unsigned problem_count;
	unsigned told_count;
	char problems[400]; /* leaves room in kt_error for "and N more" */
	size_t used;
};

void kt_config_init(struct kt_config *config)
{
	*config = (struct kt_config){
		.root_count = 1,
		.roots = {"/opt/kontain"},
		.verify_interval_s = 6 * 60 * 60,
		.proof_interval_s = 60,
		.proof_timeout_s = 10,
		.load_modules = true,
		.heartbeat_s = 300,
		.start_delay_s = 1,
	};
}

/* A problem is reported whole or only counted. */
__attribute__((format(printf, 3, 4))) static void problem_add(struct reading *reading, size_t line, const char *format,
							      ...)
{
	char text[sizeof(reading->problems)];
	va_list args;
	int head = snprintf(text, sizeof(text), "%s%.200s:%zu: ", reading->used ? "\n" : "", reading->source, line);
	size_t size;

	va_start(args, format);
	(void)vsnprintf(text + head, sizeof(text) - (size_t)head, format, args);
	va_end(args);
	size = strlen(text);
	reading->problem_count++;
	if (reading->told_count + 1 < reading->problem_count || reading->used + size >= sizeof(reading->problems))
		return;
	memcpy(reading->problems + reading->used, text, size + 1);
	reading->used += size;
	reading->told_count++;
}

static int problems_fail(const struct reading *reading, struct kt_error *err)
{
	unsigned more = reading->problem_count - reading->told_count;

	if (more > 0)
		return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "%s\nand %u more", reading->problems, more);
	return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "%s", reading->problems);
}

static size_t line_of(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

/* The text of a scalar, NULL for another kind of node and for a text with a NUL in it. */
static const char *scalar_text(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE || strcmp((const char *)node->tag, YAML_STR_TAG) != 0 ||
	    strlen((const char *)node->data.scalar.value) != node->data.scalar.length)
		return NULL;
	return (const char *)node->data.scalar.value;
}

/* As scalar_text, for words that mean something else than a string only without quotes. */
static const char *plain_text(const yaml_node_t *node)
{
	const char *text = scalar_text(node);

	return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? text : NULL;
}

static bool is_null(const yaml_node_t *node)
{
	const char *text = plain_text(node);

	return text && (!*text || strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

/* ---- values ---- */

static void choice_take(struct reading *reading, const struct key *key, const yaml_node_t *node)
{
	const char *text = scalar_text(node);
	bool *member = (bool *)((char *)&reading->config + key->offset);

	for (int i = 0; text && i < 2; i++) {
		if (strcmp(text, key->choices[i]) == 0) {
			*member = i == 1;
			return;
		}
	}
	problem_add(reading, line_of(node), "%s: expected %s or %s", key->name, key->choices[0], key->choices[1]);
}

static void fixed_take(struct reading *reading, const struct key *key, const yaml_node_t *node)
{
	const char *text = scalar_text(node);

	if (!text || strcmp(text, key->choices[0]) != 0)
		problem_add(reading, line_of(node), "%s: expected %s", key->name, key->choices[0]);
}

static void bool_take(struct reading *reading, const struct key *key, const yaml_node_t *node)
{
	const char *text = plain_text(node);
	bool *member = (bool *)((char *)&reading->config + key->offset);

	if (text && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		*member = text[0] == 't';
	else
		problem_add(reading, line_of(node), "%s: expected true or false", key->name);
}

/* Digits alone: no sign, no unit, and no leading zero, which YAML 1.1 and 1.2 read differently. */
static void uint_take(struct reading *reading, const struct key *key, const yaml_node_t *node)
{
	const char *text = plain_text(node);
	unsigned *member = (unsigned *)(void *)((char *)&reading->config + key->offset);
	size_t length = text ? strspn(text, "0123456789") : 0;
	unsigned number = 0;

	if (length > 0 && length <= 9 && !text[length] && (text[0] != '0' || length == 1)) {
		for (size_t i = 0; i < length; i++)
			number = number * 10 + (unsigned)(text[i] - '0');
		if (number >= key->min && number <= key->max) {
			*member = number;
			return;
		}
	}
	problem_add(reading, line_of(node), "%s: expected an integer from %u to %u", key->name, key->min, key->max);
}

const char *kt_config_root(const char *text, char path[KT_CONFIG_PATH_MAX])
{
	size_t used = 0;

	if (!text || text[0] != '/')
		return "expected an absolute path";
	for (const char *part = text; *part;) {
		size_t length = strcspn(++part, "/");

		if (length == 2 && strncmp(part, "..", 2) == 0)
			return "expected a path without ..";
		if (length > 0 && !(length == 1 && *part == '.')) {
			if (used + 1 + length >= KT_CONFIG_PATH_MAX)
				return "the path is too long";
			path[used++] = '/';
			memcpy(path + used, part, length);
			used += length;
		}
		part += length;
	}
	path[used] = '\0';
	for (const char *c = path; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return "expected a path without control characters";
	return used > 0 ? NULL : "the root of the filesystem cannot be the store";
}

static void root_take(struct reading *reading, const yaml_node_t *node)
{
	struct kt_config *config = &reading->config;
	char path[KT_CONFIG_PATH_MAX] = "";
	const char *wrong = kt_config_root(scalar_text(node), path);

	for (size_t i = 0; !wrong && i < config->root_count; i++)
		if (strcmp(config->roots[i], path) == 0)
			wrong = "this path is named twice";
	if (wrong)
		problem_add(reading, line_of(node), "roots: %s", wrong);
	else
		memcpy(config->roots[config->root_count++], path, sizeof(path));
}

static void roots_take(struct reading *reading, const yaml_node_t *node)
{
	if (node->type != YAML_SEQUENCE_NODE) {
		problem_add(reading, line_of(node), "roots: expected a list of paths");
		return;
	}

	const yaml_node_item_t *start = node->data.sequence.items.start, *end = node->data.sequence.items.top;

	if (start == end || end - start > KT_CONFIG_ROOTS_MAX) {
		problem_add(reading, line_of(node), "roots: 1 to %d paths are wanted", KT_CONFIG_ROOTS_MAX);
		return;
	}
	reading->config.root_count = 0; /* the file's list stands instead of the default one */
	for (const yaml_node_item_t *item = start; item < end; item++)
		root_take(reading, yaml_document_get_node(reading->document, *item));
}

static void value_take(struct reading *reading, const struct key *key, const yaml_node_t *node)
{
	static void (*const takers[])(struct reading *, const struct key *, const yaml_node_t *) = {
		[KEY_FIXED] = fixed_take,
		[KEY_CHOICE] = choice_take,
		[KEY_BOOL] = bool_take,
		[KEY_UINT] = uint_take,
	};

	if (key->kind == KEY_ROOTS)
		roots_take(reading, node);
	else
		takers[key->kind](reading, key, node);
}

/* ---- mappings ---- */

static const struct key *key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static bool is_section(const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (*keys[i].section && strcmp(keys[i].section, name) == 0)
			return true;
	return false;
}

/* The name of a pair, or NULL after telling what is wrong with it. */
static const char *name_take(struct reading *reading, const yaml_node_t *mapping, const yaml_node_pair_t *pair)
{
	const yaml_node_t *node = yaml_document_get_node(reading->document, pair->key);
	const char *name = scalar_text(node);

	if (!name) {
		problem_add(reading, line_of(node), "expected a plain word as key");
		return NULL;
	}
	for (const yaml_node_pair_t *other = mapping->data.mapping.pairs.start; other < pair; other++) {
		const yaml_node_t *first = yaml_document_get_node(reading->document, other->key);
		const char *text = scalar_text(first);

		if (text && strcmp(text, name) == 0) {
			problem_add(reading, line_of(node), "key %.60s is in line %zu already", name, line_of(first));
			return NULL;
		}
	}
	return name;
}

static void mapping_take(struct reading *reading, const char *section, const yaml_node_t *mapping);

static void pair_take(struct reading *reading, const char *section, const yaml_node_t *mapping,
		      const yaml_node_pair_t *pair)
{
	const yaml_node_t *key_node = yaml_document_get_node(reading->document, pair->key);
	const yaml_node_t *value = yaml_document_get_node(reading->document, pair->value);
	const char *name = name_take(reading, mapping, pair);
	const struct key *key = name ? key_find(section, name) : NULL;

	if (!name)
		return;
	if (key)
		value_take(reading, key, value);
	else if (!*section && is_section(name))
		mapping_take(reading, name, value);
	else
		problem_add(reading, line_of(key_node), "unknown key %s%s%.60s", section, *section ? "." : "", name);
}

/* Sections are one level deep, so this goes no deeper whatever the document does. */
static void mapping_take(struct reading *reading, const char *section, const yaml_node_t *mapping)
{
	if (is_null(mapping)) /* all of its keys are commented out */
		return;
	if (mapping->type != YAML_MAPPING_NODE) {
		problem_add(reading, line_of(mapping), "%s: keys and values are wanted",
			    *section ? section : "the file");
		return;
	}
	for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top;
	     pair++)
		pair_take(reading, section, mapping, pair);
}

/* ---- the file ---- */

static int parser_fail(const yaml_parser_t *parser, const char *source, struct kt_error *err)
{
	if (parser->error == YAML_MEMORY_ERROR)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot read %s: out of memory", source);
	if (parser->error == YAML_READER_ERROR)
		return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "%s: no text in UTF-8 at byte %zu: %s", source,
			       parser->problem_offset, parser->problem ? parser->problem : "unreadable");
	return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "%s:%zu: invalid YAML: %s", source,
		       parser->problem_mark.line + 1, parser->problem ? parser->problem : "unreadable");
}

static int brackets_check(const char *bytes, size_t size, const char *source, struct kt_error *err)
{
	size_t count = 0, line = 1;

	for (size_t i = 0; i < size; i++) {
		line += bytes[i] == '\n';
		count += bytes[i] == '[' || bytes[i] == '{';
		if (count > BRACKETS_MAX)
			return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "%s:%zu: more than %d brackets", source,
				       line, BRACKETS_MAX);
	}
	return 0;
}

/* Loads the next document and walks it; a second one is a problem. */
static int document_take(yaml_parser_t *parser, struct reading *reading, bool is_first, struct kt_error *err)
{
	KT_OWN(yaml_document_delete) yaml_document_t document = {.nodes.start = NULL};
	const yaml_node_t *root;

	if (!yaml_parser_load(parser, &document))
		return parser_fail(parser, reading->source, err);
	reading->document = &document;
	root = yaml_document_get_root_node(&document);
	if (root && is_first)
		mapping_take(reading, "", root);
	else if (root)
		problem_add(reading, line_of(root), "expected one document, another begins here");
	reading->document = NULL;
	return root ? 1 : 0;
}

/* What the bytes say, on top of what *config says already. */
static int bytes_take(const char *bytes, size_t size, const char *source, struct kt_config *config,
		      struct kt_error *err)
{
	struct reading reading = {.source = source, .config = *config};
	KT_OWN(yaml_parser_delete) yaml_parser_t parser = {.error = YAML_NO_ERROR};
	int r;

	if (size > KT_CONFIG_BYTES_MAX)
		return kt_fail(err, EFBIG, KT_REASON_CONFIG_INVALID, "%s: larger than %d bytes", source,
			       KT_CONFIG_BYTES_MAX);
	r = brackets_check(bytes, size, source, err);
	if (r < 0)
		return r;
	if (!yaml_parser_initialize(&parser))
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot read %s: out of memory", source);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, size);
	r = document_take(&parser, &reading, true, err);
	if (r > 0)
		r = document_take(&parser, &reading, false, err);
	if (r < 0)
		return r;
	if (reading.problem_count > 0)
		return problems_fail(&reading, err);
	*config = reading.config;
	return 0;
}

int kt_config_parse(const char *bytes, size_t size, const char *source, struct kt_config *ret_config,
		    struct kt_error *err)
{
	struct kt_config config;
	int r;

	kt_config_init(&config);
	r = bytes_take(bytes, size, source, &config, err);
	if (r == 0)
		*ret_config = config;
	return r;
}

/* ---- files ---- */

void kt_config_sources_done(struct kt_config_sources *sources)
{
	for (size_t i = 0; i < sources->count; i++) {
		kt_free_mem(&sources->list[i].path);
		kt_free_mem(&sources->list[i].bytes);
	}
	sources->count = 0;
}

static int file_read(const char *path, struct kt_config_sources *sources, struct kt_error *err)
{
	struct kt_config_source *source = &sources->list[sources->count];
	struct kt_error cause = {.code = 0};
	int r;

	*source = (struct kt_config_source){.path = strdup(path)};
	if (!source->path)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "cannot read %s: out of memory", path);
	sources->count++;
	r = kt_fs_read_all(AT_FDCWD, path, KT_CONFIG_BYTES_MAX, &source->bytes, &source->size, &cause);
	return r < 0 ? kt_fail(err, -r, KT_REASON_CONFIG_INVALID, "%s", cause.text) : 0;
}

/* Neither what is hidden, as the folders are that a kubelet keeps beside the links of a ConfigMap, nor anything
 * else. */
static int is_config_name(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 && strcmp(entry->d_name + length - 5, ".yaml") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name); /* the same in every locale */
}

static int folder_read(const char *path, struct kt_config_sources *sources, struct kt_error *err)
{
	struct dirent **entries = NULL;
	int count = scandir(path, &entries, is_config_name, by_name), r = 0;

	if (count < 0)
		return kt_fail_errno(err, errno, KT_REASON_CONFIG_INVALID, "cannot read the folder %s", path);
	if (count == 0 || count > KT_CONFIG_FILES_MAX)
		r = kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "%s has %d files *.yaml, expected 1 to %d", path,
			    count, KT_CONFIG_FILES_MAX);
	for (int i = 0; i < count; i++) {
		char file[PATH_MAX];

		if (r == 0 && (size_t)snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name) >= sizeof(file))
			r = kt_fail(err, ENAMETOOLONG, KT_REASON_CONFIG_INVALID, "%.200s: the path is too long", path);
		if (r == 0)
			r = file_read(file, sources, err);
		free(entries[i]);
	}
	free(entries);
	return r;
}

int kt_config_read(const char *path, struct kt_config_sources *ret_sources, struct kt_error *err)
{
	KT_OWN(kt_config_sources_done) struct kt_config_sources sources = {.count = 0};
	struct stat info;
	bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
	int r = is_folder ? folder_read(path, &sources, err) : file_read(path, &sources, err);

	if (r < 0)
		return r;
	*ret_sources = sources;
	sources.count = 0;
	return 0;
}

int kt_config_take(const struct kt_config_sources *sources, struct kt_config *ret_config, struct kt_error *err)
{
	struct kt_config config;
	int r = 0;

	kt_config_init(&config);
	for (size_t i = 0; r == 0 && i < sources->count; i++)
		r = bytes_take(sources->list[i].bytes, sources->list[i].size, sources->list[i].path, &config, err);
	if (r == 0)
		*ret_config = config;
	return r;
}

int kt_config_load(const char *path, struct kt_config *ret_config, struct kt_error *err)
{
	KT_OWN(kt_config_sources_done) struct kt_config_sources sources = {.count = 0};
	int r = kt_config_read(path, &sources, err);

	return r < 0 ? r : kt_config_take(&sources, ret_config, err);
}

/* ---- back to a document, by the same table ---- */

static json_t *roots_print(const struct kt_config *config)
{
	json_t *list = json_array();

	for (size_t i = 0; i < config->root_count; i++)
		if (json_array_append_new(list, json_string(config->roots[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	return list;
}

static json_t *value_print(const struct key *key, const struct kt_config *config)
{
	const void *member = (const char *)config + key->offset;

	switch (key->kind) {
	case KEY_FIXED:
		return json_string(key->choices[0]);
	case KEY_CHOICE:
		return json_string(key->choices[*(const bool *)member]);
	case KEY_BOOL:
		return json_boolean(*(const bool *)member);
	case KEY_UINT:
		return json_integer(*(const unsigned *)member);
	case KEY_ROOTS:
		return roots_print(config);
	}
	return NULL;
}

static json_t *section_get(json_t *root, const char *name)
{
	json_t *section = *name ? json_object_get(root, name) : root;

	if (!section && json_object_set_new(root, name, json_object()) == 0)
		section = json_object_get(root, name);
	return section;
}

/* JSON is YAML, in one line. */
char *kt_config_print(const struct kt_config *config)
{
	json_t *root = json_object();
	char *text = NULL;
	bool is_whole = root != NULL;

	for (size_t i = 0; is_whole && i < KEY_COUNT; i++) {
		json_t *section = section_get(root, keys[i].section);

		is_whole = section && json_object_set_new(section, keys[i].name, value_print(&keys[i], config)) == 0;
	}
	if (is_whole)
		text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text;
}
