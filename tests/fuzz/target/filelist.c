/* links: kt_bundle kt_contract kt_base */
/* A component's list, of a bundle or of the store: a digit says of which component, the rest is the list. What is taken
 * is printed as the same bytes, and its links are followed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../installer/bundle/lookup.h"
#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/contract/filelist.h"
#include "kontain/contract/manifest.h"

#define PAIRS_MAX 64 /* so that looking at each pair of paths stays quick */

/* Of one tree: is one path the other, or a folder of it? */
static bool is_in_the_way(const char *one, const char *two)
{
	size_t length = strlen(one);

	return strncmp(one, two, length) == 0 && (two[length] == '\0' || two[length] == '/');
}

/* A string of the list itself. */
static bool is_of(const struct kt_filelist *list, const char *text)
{
	return text >= list->text && text + strlen(text) < list->text + list->size;
}

static void file_check(const char *component, const struct kt_filelist *list, const struct kt_file *file)
{
	FUZZ_REQUIRE(is_of(list, file->path) && fuzz_is_good_path(file->path));
	FUZZ_REQUIRE(!fuzz_is_reserved(component, file->path));
	FUZZ_REQUIRE(!file->link != !file->sha256);
	FUZZ_REQUIRE(kt_filelist_find(list, file->path) == file);
	if (file->link) {
		FUZZ_REQUIRE(is_of(list, file->link) && fuzz_is_good_link(component, file->path, file->link));
		return;
	}
	FUZZ_REQUIRE(file->mode == 0644 || file->mode == 0755);
	FUZZ_REQUIRE(file->size_bytes <= UINT64_C(1) << 40);
	FUZZ_REQUIRE(is_of(list, file->sha256) && strlen(file->sha256) == 64 &&
		     strspn(file->sha256, "0123456789abcdef") == 64);
}

static void files_check(const char *component, const struct kt_filelist *list)
{
	uint64_t total_bytes = 0;

	FUZZ_REQUIRE(list->count >= 1 && list->count <= KT_MANIFEST_FILES_MAX);
	for (size_t i = 0; i < list->count; i++) {
		file_check(component, list, &list->files[i]);
		FUZZ_REQUIRE(i == 0 || strcmp(list->files[i - 1].path, list->files[i].path) < 0);
		for (size_t k = 0; k < list->count && list->count <= PAIRS_MAX; k++)
			FUZZ_REQUIRE(k == i || !is_in_the_way(list->files[i].path, list->files[k].path));
		total_bytes += list->files[i].size_bytes;
	}
	FUZZ_REQUIRE(list->total_bytes == total_bytes);
}

/* The same bytes, and their own digest. */
static void printed_check(const struct kt_filelist *list, const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char hex[KT_DIGEST_HEX];
	size_t printed_size = 0;
	KT_OWN(kt_free_mem) char *printed = kt_filelist_print(list->files, list->count, &printed_size);

	FUZZ_REQUIRE(digest && printed && printed_size == size && memcmp(printed, bytes, size) == 0);
	kt_digest_add(digest, bytes, size);
	kt_digest_take(digest, hex);
	FUZZ_REQUIRE(fuzz_is_same(hex, list->digest));
}

/* What the ELF contract asks of it: where does each link lead, through all the others? */
static void links_follow(const char *component, const struct kt_filelist *list)
{
	struct kt_manifest manifest = {.component_count = 1, .components = {{.version = "1", .list = *list}}};
	const char *source = kt_component_source(component);
	bool is_extra = strcmp(source, ".") == 0;
	struct kt_error err = {.code = 0};
	int r;

	strcpy(manifest.components[0].name, component);
	for (size_t i = 0; i < list->count && i < PAIRS_MAX; i++) {
		const struct kt_file *file = &list->files[i];
		char path[KT_MANIFEST_PATH_MAX + 16];

		(void)snprintf(path, sizeof(path), "%s%s%s", is_extra ? "" : source, is_extra ? "" : "/", file->path);
		FUZZ_REQUIRE(kt_manifest_entry(&manifest, path) == file);
		FUZZ_REQUIRE(kt_manifest_file(&manifest, path) == (file->link ? NULL : file));
		if (file->link)
			(void)kt_manifest_lead(&manifest, path);
		else /* the store's own names mean something else than the extras' files of these names */
			FUZZ_REQUIRE(kt_manifest_lead(&manifest, path) == KT_LEAD_FILE ||
				     (is_extra && kt_manifest_lead(&manifest, path) == KT_LEAD_NOTHING));
	}
	r = kt_manifest_check_lists(&manifest, &err);
	if (r < 0)
		fuzz_check_refusal(r, &err);
	FUZZ_REQUIRE((r == 0) == (kt_manifest_file(&manifest, "bin/km") != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	struct kt_error err = {.code = 0};
	const char *component;
	char *text;
	int r;

	if (size == 0)
		return 0;
	component = kt_component_names[(uint8_t)(bytes[0] - '0') % KT_COMPONENT_MAX];
	bytes++;
	size--;
	text = malloc(size + 1);
	FUZZ_REQUIRE(text != NULL);
	memcpy(text, bytes, size);
	text[size] = '\0';
	r = kt_filelist_parse(component, &text, size, &list, &err);
	FUZZ_REQUIRE(text == NULL);
	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(err.reason == KT_REASON_BUNDLE_INVALID);
		FUZZ_REQUIRE(!list.text && !list.files && list.count == 0);
		return 0;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(list.size == size);
	files_check(component, &list);
	printed_check(&list, bytes, size);
	links_follow(component, &list);
	return 0;
}
