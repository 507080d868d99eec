/* links: kt_bundle kt_contract kt_base mutates: manifest */
/* A bundle's manifest, and what follows on one that is taken: printed, read again, searched. */
#include <stdlib.h>
#include <string.h>

#include "../../../installer/bundle/lookup.h"
#include "fuzz.h"
#include "kontain/manifest.h"
#include "kontain/own.h"

#define PAIRS_MAX 64 /* so that looking at each pair of paths stays quick */

static bool is_hex_digest(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* Of one tree: is one path the other, or a folder of it? */
static bool is_in_the_way(const char *one, const char *two)
{
	size_t length = strlen(one);

	return strncmp(one, two, length) == 0 && (two[length] == '\0' || two[length] == '/');
}

static void files_check(const struct kt_bundle_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct kt_bundle_file *file = &files[i];

		FUZZ_REQUIRE(fuzz_is_good_path(file->path));
		FUZZ_REQUIRE(i == 0 || strcmp(file[-1].path, file->path) < 0);
		FUZZ_REQUIRE(!is_in_the_way(KT_MANIFEST_NAME, file->path) && !is_in_the_way(".files", file->path));
		FUZZ_REQUIRE(kt_files_find(files, count, file->path) == file);
		for (size_t k = 0; k < count && count <= PAIRS_MAX; k++)
			FUZZ_REQUIRE(k == i || !is_in_the_way(file->path, files[k].path));
		if (file->link) {
			FUZZ_REQUIRE(file->link[0] && fuzz_is_visible(file->link));
			FUZZ_REQUIRE(strlen(file->link) < KT_MANIFEST_PATH_MAX);
			FUZZ_REQUIRE(file->link[0] == '/' ? strncmp(file->link, "/opt/kontain/", 13) == 0 &&
								    !fuzz_is_leaving("", file->link + 13)
							  : !fuzz_is_leaving(file->path, file->link));
			continue;
		}
		FUZZ_REQUIRE(file->mode == 0644 || file->mode == 0755);
		FUZZ_REQUIRE(file->size_bytes <= UINT64_C(1) << 40);
		FUZZ_REQUIRE(is_hex_digest(file->sha256));
	}
}

static size_t components_check(const struct kt_manifest *manifest)
{
	size_t files = 0, name = 0;

	FUZZ_REQUIRE(manifest->component_count >= 1 && manifest->component_count <= KT_COMPONENT_MAX);
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];
		char digest[KT_DIGEST_HEX];

		while (kt_component_names[name] && strcmp(kt_component_names[name], component->name) != 0)
			name++;
		FUZZ_REQUIRE(kt_component_names[name] != NULL); /* known, in order, once */
		FUZZ_REQUIRE(kt_version_is_valid(component->version) && component->file_count > 0);
		kt_component_digest(component, digest);
		FUZZ_REQUIRE(is_hex_digest(digest) && strcmp(digest, component->digest) == 0);
		files_check(component->files, component->file_count);
		files += component->file_count;
	}
	return files;
}

static void extras_check(const struct kt_manifest *manifest)
{
	files_check(manifest->extras, manifest->extra_count);
	for (size_t i = 0; i < manifest->extra_count; i++) {
		FUZZ_REQUIRE(!is_in_the_way(KT_MANIFEST_NAME, manifest->extras[i].path));
		for (size_t k = 0; kt_component_names[k]; k++)
			FUZZ_REQUIRE(!is_in_the_way(kt_component_folder(kt_component_names[k]), manifest->extras[i].path));
	}
}

static void self_test_check(const struct kt_manifest *manifest)
{
	size_t words = 0;

	FUZZ_REQUIRE(!manifest->self_test_argv == !manifest->self_test_expect);
	if (!manifest->self_test_argv)
		return;
	for (; manifest->self_test_argv[words]; words++)
		FUZZ_REQUIRE(manifest->self_test_argv[words][0] && fuzz_is_visible(manifest->self_test_argv[words]));
	FUZZ_REQUIRE(words >= 1 && words <= 32);
	FUZZ_REQUIRE(manifest->self_test_expect[0] && fuzz_is_visible(manifest->self_test_expect));
	FUZZ_REQUIRE(kt_manifest_file(manifest, manifest->self_test_argv[0]) != NULL);
}

/* What the ELF contract asks of it: where does each link lead, through all the others? */
static void links_follow(const struct kt_manifest *manifest)
{
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];

		for (size_t k = 0; k < component->file_count && k < PAIRS_MAX; k++) {
			char path[KT_MANIFEST_PATH_MAX + 16];

			(void)snprintf(path, sizeof(path), "%s/%s", kt_component_folder(component->name),
				       component->files[k].path);
			if (!component->files[k].link)
				FUZZ_REQUIRE(kt_manifest_lead(manifest, path) == KT_LEAD_FILE ||
					     kt_manifest_lead(manifest, path) == KT_LEAD_NOTHING);
			else
				(void)kt_manifest_lead(manifest, path);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	KT_OWN(kt_manifest_done) struct kt_manifest again = {.component_count = 0};
	struct kt_error err = {.code = 0};
	int r = kt_manifest_parse((const char *)bytes, size, &manifest, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(manifest.component_count == 0 && !manifest.extras && !manifest.self_test_argv);
		return 0;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(kt_version_is_valid(manifest.version) && strcmp(manifest.arch, "x86_64") == 0);
	FUZZ_REQUIRE(components_check(&manifest) + manifest.extra_count <= KT_MANIFEST_FILES_MAX);
	FUZZ_REQUIRE(kt_manifest_component(&manifest, "km") == &manifest.components[0]);
	FUZZ_REQUIRE(kt_manifest_file(&manifest, "bin/km") != NULL);
	extras_check(&manifest);
	self_test_check(&manifest);
	links_follow(&manifest);

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(&manifest);

	FUZZ_REQUIRE(text != NULL);
	FUZZ_REQUIRE(kt_manifest_parse(text, strlen(text), &again, NULL) == 0);

	KT_OWN(kt_free_mem) char *text_again = kt_manifest_print(&again);

	FUZZ_REQUIRE(fuzz_is_same(text, text_again));
	return 0;
}
