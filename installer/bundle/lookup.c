/* A walk through a manifest instead of a disk. */
#include "lookup.h"

#include <stdio.h>
#include <string.h>

#define WALK_MAX  4096 /* PATH_MAX */
#define LINKS_MAX 40   /* what Linux follows (path_resolution(7)) */

struct walk {
	const struct kt_manifest *manifest;
	char at[WALK_MAX]; /* where we are, links resolved; "" is the root */
	size_t length;
	unsigned links;
};

static bool path_walk(struct walk *walk, const char *path);

/* The store's own names for what the root shows: current/lib is lib, versions/lib/<this version> is lib too. */
static void name_translate(struct walk *walk)
{
	for (size_t i = 0; i < walk->manifest->component_count; i++) {
		const struct kt_component *component = &walk->manifest->components[i];
		const char *folder = kt_component_source(component->name);
		char place[256];

		if (strcmp(folder, ".") == 0) /* the extras have no name under the root */
			continue;
		(void)snprintf(place, sizeof(place), "versions/%s/%s%s", component->name, component->version,
			       strcmp(component->name, "km") == 0 ? "/bin" : "");
		if (strcmp(walk->at, place) == 0 ||
		    (strncmp(walk->at, "current/", 8) == 0 && strcmp(walk->at + 8, folder) == 0)) {
			memmove(walk->at, folder, strlen(folder) + 1);
			walk->length = strlen(folder);
			return;
		}
	}
}

static void name_leave(struct walk *walk)
{
	char *slash = strrchr(walk->at, '/');

	walk->length = slash ? (size_t)(slash - walk->at) : 0;
	walk->at[walk->length] = '\0';
}

/* False: it leaves the root, or leads in circles. */
static bool part_walk(struct walk *walk, const char *part, size_t length)
{
	const struct kt_file *file;

	if (length == 0 || (length == 1 && part[0] == '.'))
		return true;
	if (length == 2 && part[0] == '.' && part[1] == '.') {
		if (walk->length == 0)
			return false;
		name_leave(walk);
		return true;
	}
	if (walk->length + length + 2 > sizeof(walk->at))
		return false;
	if (walk->length > 0)
		walk->at[walk->length++] = '/';
	memcpy(walk->at + walk->length, part, length);
	walk->length += length;
	walk->at[walk->length] = '\0';
	name_translate(walk);
	file = kt_manifest_entry(walk->manifest, walk->at);
	if (!file || !file->link)
		return true;
	if (++walk->links > LINKS_MAX)
		return false;
	if (file->link[0] != '/') {
		name_leave(walk);
		return path_walk(walk, file->link);
	}
	walk->length = 0;
	walk->at[0] = '\0';
	return path_walk(walk, file->link + strlen(KT_ROOT)); /* nowhere else, says the parser */
}

static bool path_walk(struct walk *walk, const char *path)
{
	while (*path) {
		size_t length = strcspn(path, "/");

		if (!part_walk(walk, path, length))
			return false;
		path += length + (path[length] == '/');
	}
	return true;
}

enum kt_lead kt_manifest_lead(const struct kt_manifest *manifest, const char *path)
{
	struct walk walk = {.manifest = manifest, .at = ""};

	if (!path_walk(&walk, path))
		return KT_LEAD_OUTSIDE;
	return kt_manifest_file(manifest, walk.at) ? KT_LEAD_FILE : KT_LEAD_NOTHING;
}
