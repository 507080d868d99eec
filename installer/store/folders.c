/* The folders whose own entries say what the store serves: its root (the pointers), sets/, the current set, and where
 * that set's links lead. Trees below them are the deep check's matter. */
#include <stdio.h>

#include "kontain/base/fs.h"
#include "layout.h"

void kt_store_each_folder(const struct kt_store *store, kt_store_visit_folder *visit, void *context)
{
	char current[KT_VERSION_MAX], set[KT_PLACE_MAX];

	visit(context, ".");
	visit(context, KT_STORE_SETS);
	if (kt_place_read_pointer(store->dir, KT_STORE_CURRENT, current) < 0)
		return;
	kt_place_set(current, set);
	visit(context, set);
	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *folder = kt_component_folder(kt_component_names[i]);
		char link[2 * KT_PLACE_MAX], target[KT_PLACE_MAX + 8], version[KT_VERSION_MAX], place[KT_PLACE_MAX];

		(void)snprintf(link, sizeof(link), "%s/%s", set, folder);
		if (kt_fs_read_link(store->dir, link, target, sizeof(target)) < 0 ||
		    !kt_place_parse_link(folder, target, version))
			continue;
		kt_place_files(kt_component_names[i], version, place);
		visit(context, place);
	}
}
