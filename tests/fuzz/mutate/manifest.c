/* A manifest's components carry the digest of their files, which no mutation hits: nine times of ten it is put right
 * again, by the words of the format and not by the code that is tried. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/digest.h"
#include "kontain/own.h"

static void json_drop(json_t **json)
{
	json_decref(*json);
}

static void text_add(struct kt_digest *digest, const char *text)
{
	kt_digest_add(digest, text ? text : "", text ? strlen(text) : 0);
}

/* "path\0mode\0size\0sha256\n" or "path\0->link\n" */
static void file_add(struct kt_digest *digest, const json_t *file)
{
	const char *link = json_string_value(json_object_get(file, "link"));
	char size[32];

	text_add(digest, json_string_value(json_object_get(file, "path")));
	kt_digest_add(digest, "", 1);
	if (link) {
		text_add(digest, "->");
		text_add(digest, link);
	} else {
		text_add(digest, json_string_value(json_object_get(file, "mode")));
		(void)snprintf(size, sizeof(size), "%" JSON_INTEGER_FORMAT,
			       json_integer_value(json_object_get(file, "size")));
		kt_digest_add(digest, "", 1);
		text_add(digest, size);
		kt_digest_add(digest, "", 1);
		text_add(digest, json_string_value(json_object_get(file, "sha256")));
	}
	text_add(digest, "\n");
}

static void component_mend(json_t *component)
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();
	char hex[KT_DIGEST_HEX] = "";
	size_t i;
	json_t *file;

	if (!digest || !json_is_object(component))
		return;
	json_array_foreach(json_object_get(component, "files"), i, file)
		file_add(digest, file);
	kt_digest_take(digest, hex);
	(void)json_object_set_new(component, "digest", json_string(hex));
}

size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed)
{
	size_t mutated = LLVMFuzzerMutate(bytes, size, most), i;
	KT_OWN(json_drop) json_t *root = seed % 10 == 0 ? NULL : json_loadb((char *)bytes, mutated, 0, NULL);
	json_t *component;

	if (!root)
		return mutated;
	json_array_foreach(json_object_get(root, "components"), i, component)
		component_mend(component);

	size_t wanted = json_dumpb(root, NULL, 0, JSON_COMPACT);

	if (wanted == 0 || wanted > most)
		return mutated;
	return json_dumpb(root, (char *)bytes, wanted, JSON_COMPACT);
}
