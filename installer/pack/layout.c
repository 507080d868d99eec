#include "layout.h"

#include <stdio.h>
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

static const char *const root_folders[] = {"lib", "usr/lib"};

bool kt_layout_root_takes(const char *path)
{
	for (size_t i = 0; i < sizeof(root_folders) / sizeof(root_folders[0]); i++)
		if (strcmp(root_folders[i], path) == 0 || is_above(root_folders[i], path))
			return true;
	return false;
}

bool kt_layout_root_enters(const char *folder)
{
	return kt_layout_root_takes(folder) || strcmp(folder, "usr") == 0;
}

const char *kt_layout_root_target(const char *path, const char *target, char *ret_target, size_t size)
{
	size_t used = 0;

	if (target[0] != '/' || !kt_layout_root_takes(target + 1))
		return target;
	ret_target[0] = '\0';
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++)
		used += (size_t)snprintf(ret_target + used, used < size ? size - used : 0, "../");
	if (used + strlen(target) > size)
		return target; /* as long as no link is */
	memcpy(ret_target + used, target + 1, strlen(target));
	return ret_target;
}

bool kt_layout_image_takes(const char *path)
{
	static const char layer[] = "/layer.tar";
	size_t length = strlen(path), tail = strlen(layer);

	return strcmp(path, "index.json") == 0 || strcmp(path, "manifest.json") == 0 ||
	       is_above("blobs/sha256", path) || (length > tail && strcmp(path + length - tail, layer) == 0);
}
