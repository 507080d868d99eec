#include "layout.h"

#include <string.h>

#include "kontain/contract/manifest.h"

bool kt_layout_in_component(const char *path)
{
	size_t length = strcspn(path, "/");

	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *folder = kt_component_source(kt_component_names[i]);

		if (strlen(folder) == length && memcmp(folder, path, length) == 0)
			return true;
	}
	return false;
}

const char *kt_layout_strip(char *path)
{
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
	while (strncmp(path, "./", 2) == 0 && path[2] != '/')
		path += 2;
	return strcmp(path, ".") == 0 || !*path ? NULL : path;
}

bool kt_layout_takes(const char *path, const char *self_test)
{
	return (kt_layout_in_component(path) && strchr(path, '/')) || strcmp(path, KT_PACK_SELF_TEST) == 0 ||
	       (self_test && strcmp(path, self_test) == 0);
}

static bool is_above(const char *folder, const char *path)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && path[length] == '/';
}

bool kt_layout_enters(const char *folder, const char *self_test)
{
	return kt_layout_in_component(folder) || is_above(folder, KT_PACK_SELF_TEST) ||
	       (self_test && is_above(folder, self_test));
}
