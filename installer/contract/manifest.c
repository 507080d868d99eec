/* The manifest as a value: names, digests, and how it is written. Reading is manifestparse.c's matter.
 *
 * Keys always come in the same order and nothing depends on when or where: the same struct is the same bytes, and two
 * manifests can be compared by diff. */
#include "kontain/contract/manifest.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/own.h"

const char *const kt_component_names[KT_COMPONENT_MAX + 1] = {"km",   "runtime",          "alpine-lib",        "lib",
							      "shim", KT_COMPONENT_TOOLS, KT_COMPONENT_EXTRAS, NULL};

const char *kt_component_folder(const char *name)
{
	return strcmp(name, "km") == 0 ? "bin" : name;
}

const char *kt_component_source(const char *name)
{
	return strcmp(name, KT_COMPONENT_EXTRAS) == 0 ? "." : kt_component_folder(name);
}

const struct kt_component *kt_manifest_component(const struct kt_manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->component_count; i++)
		if (strcmp(manifest->components[i].name, name) == 0)
			return &manifest->components[i];
	return NULL;
}

struct kt_component *kt_manifest_add(struct kt_manifest *manifest, const char *name, struct kt_filelist *list)
{
	struct kt_component *component = &manifest->components[manifest->component_count++];

	*component = (struct kt_component){.list = *list};
	(void)snprintf(component->name, sizeof(component->name), "%s", name);
	(void)snprintf(component->version, sizeof(component->version), "sha-%.12s", list->digest);
	memcpy(component->digest, list->digest, sizeof(component->digest));
	*list = (struct kt_filelist){.text = NULL};
	return component;
}

void kt_manifest_done(struct kt_manifest *manifest)
{
	for (size_t i = 0; i < manifest->component_count; i++)
		kt_filelist_done(&manifest->components[i].list);
	for (char **arg = manifest->self_test_argv; arg && *arg; arg++)
		free(*arg);
	free(manifest->self_test_argv);
	free(manifest->self_test_expect);
	*manifest = (struct kt_manifest){.component_count = 0};
}

static const struct kt_component *component_of(const struct kt_manifest *manifest, const char *folder, size_t length)
{
	for (size_t i = 0; i < manifest->component_count; i++) {
		const char *own = kt_component_source(manifest->components[i].name);

		if (strlen(own) == length && memcmp(own, folder, length) == 0)
			return &manifest->components[i];
	}
	return NULL;
}

const struct kt_file *kt_manifest_entry(const struct kt_manifest *manifest, const char *path)
{
	size_t length = strcspn(path, "/");
	const struct kt_component *component = component_of(manifest, path, length);

	if (component)
		return path[length] ? kt_filelist_find(&component->list, path + length + 1) : NULL;
	component = kt_manifest_component(manifest, KT_COMPONENT_EXTRAS);
	return component ? kt_filelist_find(&component->list, path) : NULL;
}

const struct kt_file *kt_manifest_file(const struct kt_manifest *manifest, const char *path)
{
	const struct kt_file *file = kt_manifest_entry(manifest, path);

	return file && !file->link ? file : NULL;
}

/* ---- printing ---- */

struct page {
	FILE *file;
	bool is_broken;
};

static void text_print(struct page *page, const char *before, const char *text)
{
	json_t *value = json_string(text); /* NULL for what is no UTF-8 */

	(void)fputs(before, page->file);
	if (!value || json_dumpf(value, page->file, JSON_ENCODE_ANY) < 0)
		page->is_broken = true;
	json_decref(value);
}

static void component_print(struct page *page, const struct kt_component *component)
{
	text_print(page, "\n    {\"name\": ", component->name);
	text_print(page, ", \"version\": ", component->version);
	text_print(page, ",\n     \"digest\": ", component->digest);
	(void)fputc('}', page->file);
}

static void self_test_print(struct page *page, const struct kt_manifest *manifest)
{
	(void)fputs(",\n  \"selfTest\": {\"argv\": [", page->file);
	for (char **arg = manifest->self_test_argv; *arg; arg++)
		text_print(page, arg == manifest->self_test_argv ? "" : ", ", *arg);
	text_print(page, "], \"expect\": ", manifest->self_test_expect ? manifest->self_test_expect : "");
	(void)fputc('}', page->file);
}

char *kt_manifest_print(const struct kt_manifest *manifest)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	size_t size = 0;
	struct page page = {.file = open_memstream(&text, &size)};

	if (!page.file)
		return NULL;
	(void)fputs("{\n  \"apiVersion\": \"kontain.app/v1\",\n  \"kind\": \"Bundle\"", page.file);
	text_print(&page, ",\n  \"version\": ", manifest->version);
	text_print(&page, ",\n  \"arch\": ", manifest->arch);
	(void)fputs(",\n  \"components\": [", page.file);
	for (size_t i = 0; i < manifest->component_count; i++) {
		(void)fputs(i ? "," : "", page.file);
		component_print(&page, &manifest->components[i]);
	}
	(void)fputs("\n  ]", page.file);
	if (manifest->self_test_argv)
		self_test_print(&page, manifest);
	(void)fputs("\n}\n", page.file);
	if (ferror(page.file))
		page.is_broken = true;
	if (fclose(page.file) != 0 || page.is_broken)
		return NULL;
	return kt_take_ptr(&text);
}
