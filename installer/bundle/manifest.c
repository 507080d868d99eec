/* The manifest as a value: names, digests, and how it is written. Reading is parse.c's matter.
 *
 * One file a line, keys always in the same order and nothing that depends on when or where: the same struct is the same
 * bytes, and two manifests can be compared by diff. */
#include "kontain/manifest.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/own.h"

const char *const kt_component_names[KT_COMPONENT_MAX + 1] = {"km", "runtime", "alpine-lib", "lib", "shim", NULL};

const char *kt_component_folder(const char *name)
{
	return strcmp(name, "km") == 0 ? "bin" : name;
}

const struct kt_component *kt_manifest_component(const struct kt_manifest *manifest, const char *name)
{
	for (size_t i = 0; i < manifest->component_count; i++)
		if (strcmp(manifest->components[i].name, name) == 0)
			return &manifest->components[i];
	return NULL;
}

static void digest_add_text(struct kt_digest *digest, const char *text)
{
	kt_digest_add(digest, text, strlen(text) + 1); /* the NUL keeps neighbours apart */
}

void kt_component_digest(const struct kt_component *component, char ret_hex[KT_DIGEST_HEX])
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();

	ret_hex[0] = '\0'; /* equals no digest */
	for (size_t i = 0; digest && i < component->file_count; i++) {
		const struct kt_bundle_file *file = &component->files[i];
		char text[32];

		digest_add_text(digest, file->path);
		if (file->link) {
			kt_digest_add(digest, "->", 2);
			kt_digest_add(digest, file->link, strlen(file->link));
		} else {
			(void)snprintf(text, sizeof(text), "%04o", file->mode);
			digest_add_text(digest, text);
			(void)snprintf(text, sizeof(text), "%" PRIu64, file->size_bytes);
			digest_add_text(digest, text);
			kt_digest_add(digest, file->sha256, strlen(file->sha256));
		}
		kt_digest_add(digest, "\n", 1);
	}
	if (digest)
		kt_digest_take(digest, ret_hex);
}

static void files_done(struct kt_bundle_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(files[i].path);
		free(files[i].link);
	}
	free(files);
}

void kt_manifest_done(struct kt_manifest *manifest)
{
	for (size_t i = 0; i < manifest->component_count; i++)
		files_done(manifest->components[i].files, manifest->components[i].file_count);
	files_done(manifest->extras, manifest->extra_count);
	for (char **arg = manifest->self_test_argv; arg && *arg; arg++)
		free(*arg);
	free(manifest->self_test_argv);
	free(manifest->self_test_expect);
	*manifest = (struct kt_manifest){.component_count = 0};
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

static void files_print(struct page *page, const char *indent, const struct kt_bundle_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct kt_bundle_file *file = &files[i];

		(void)fprintf(page->file, "%s\n%s{", i ? "," : "", indent);
		text_print(page, "\"path\": ", file->path);
		if (file->link)
			text_print(page, ", \"link\": ", file->link);
		else
			(void)fprintf(page->file, ", \"mode\": \"%04o\", \"size\": %" PRIu64 ", \"sha256\": \"%s\"",
				      file->mode, file->size_bytes, file->sha256);
		(void)fputc('}', page->file);
	}
}

static void component_print(struct page *page, const struct kt_component *component)
{
	text_print(page, "\n    {\"name\": ", component->name);
	text_print(page, ", \"version\": ", component->version);
	text_print(page, ",\n     \"digest\": ", component->digest);
	(void)fputs(",\n     \"files\": [", page->file);
	files_print(page, "       ", component->files, component->file_count);
	(void)fputs("]}", page->file);
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
	if (manifest->extra_count > 0) {
		(void)fputs(",\n  \"extras\": [", page.file);
		files_print(&page, "    ", manifest->extras, manifest->extra_count);
		(void)fputc(']', page.file);
	}
	if (manifest->self_test_argv)
		self_test_print(&page, manifest);
	(void)fputs("\n}\n", page.file);
	if (ferror(page.file))
		page.is_broken = true;
	if (fclose(page.file) != 0 || page.is_broken)
		return NULL;
	return kt_take_ptr(&text);
}
