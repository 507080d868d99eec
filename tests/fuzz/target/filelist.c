/* links: kt_bundle kt_contract kt_base */
/* A component's list: what is taken is in order, names nothing outside, is printed as the same bytes, and is searched as
 * the ELF contract does. The first byte says whose list it is. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "../../../installer/bundle/lookup.h"
#include "fuzz.h"
#include "kontain/filelist.h"
#include "kontain/own.h"

#define PAIRS_MAX 64 /* so that looking at each pair of paths stays quick */

static bool is_hex_digest(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* Of one tree: is one path the other, in whatever case, or a folder of it? */
static bool is_in_the_way(const char *one, const char *two)
{
	size_t length = strlen(one);

	return strncasecmp(one, two, length) == 0 && (two[length] == '\0' || two[length] == '/');
}

/* The one way out of a tree: km's link to its tool of the same path. */
static bool is_to_tool(const char *component, const char *path, const char *target)
{
	const char *tool = strstr(target, "tools/");

	return strcmp(component, "km") == 0 && tool && strcmp(tool + 6, path) == 0;
}

static void files_check(const char *component, const struct kt_filelist *list)
{
	const struct kt_file *files = list->files;
	size_t count = list->count;

	for (size_t i = 0; i < count; i++) {
		const struct kt_file *file = &files[i];

		FUZZ_REQUIRE(fuzz_is_good_path(file->path));
		FUZZ_REQUIRE(i == 0 || strcmp(file[-1].path, file->path) < 0);
		FUZZ_REQUIRE(kt_filelist_find(list, file->path) == file);
		for (size_t k = 0; k < count && count <= PAIRS_MAX; k++)
			FUZZ_REQUIRE(k == i || !is_in_the_way(file->path, files[k].path));
		if (file->link) {
			FUZZ_REQUIRE(file->link[0] && fuzz_is_visible(file->link));
			FUZZ_REQUIRE(strlen(file->link) < KT_MANIFEST_PATH_MAX);
			FUZZ_REQUIRE(file->link[0] == '/' ? strncmp(file->link, "/opt/kontain/", 13) == 0 &&
								    !fuzz_is_leaving("", file->link + 13)
							  : !fuzz_is_leaving(file->path, file->link) ||
								    is_to_tool(component, file->path, file->link));
			continue;
		}
		FUZZ_REQUIRE(file->mode == 0644 || file->mode == 0755);
		FUZZ_REQUIRE(file->size_bytes <= UINT64_C(1) << 40);
		FUZZ_REQUIRE(is_hex_digest(file->sha256));
	}
}

/* Where does each path lead, through all the links? */
static void links_follow(const struct kt_manifest *manifest)
{
	const struct kt_component *component = &manifest->components[0];

	for (size_t k = 0; k < component->list.count && k < PAIRS_MAX; k++) {
		char path[KT_MANIFEST_PATH_MAX + 16];
		const char *folder = kt_component_source(component->name);
		enum kt_lead lead;

		(void)snprintf(path, sizeof(path), "%s/%s", strcmp(folder, ".") == 0 ? "" : folder, component->list.files[k].path);
		lead = kt_manifest_lead(manifest, path);
		FUZZ_REQUIRE(component->list.files[k].link || lead == KT_LEAD_FILE || lead == KT_LEAD_NOTHING);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	struct kt_error err = {.code = 0};
	const char *component = kt_component_names[size > 0 ? bytes[0] % KT_COMPONENT_MAX : 0];
	size_t length = size > 0 ? size - 1 : 0, printed = 0;
	char *text = malloc(length + 1);
	int r;

	FUZZ_REQUIRE(text != NULL);
	if (length > 0)
		memcpy(text, bytes + 1, length);
	text[length] = '\0';
	r = kt_filelist_parse(component, &text, length, &list, &err);
	FUZZ_REQUIRE(text == NULL);
	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(!list.text && !list.files);
		return 0;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(list.count > 0 && list.count <= KT_MANIFEST_FILES_MAX && is_hex_digest(list.digest));
	files_check(component, &list);

	KT_OWN(kt_free_mem) char *again = kt_filelist_print(list.files, list.count, &printed);

	FUZZ_REQUIRE(again && printed == length && memcmp(again, bytes + 1, length) == 0);
	(void)kt_manifest_add(&manifest, component, &list);
	links_follow(&manifest);
	return 0;
}
