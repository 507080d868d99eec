#include "layout.h"

#include <string.h>

#include "kontain/manifest.h"

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

const char *kt_layout_strip(char *path)
{
	static const char root[] = "opt/kontain/";
	size_t length = strlen(path);

	while (length > 1 && path[length - 1] == '/')
		path[--length] = '\0';
	while (strncmp(path, "./", 2) == 0 && path[2] != '/')
		path += 2;
	if (strncmp(path, root, sizeof(root) - 1) == 0)
		path += sizeof(root) - 1;
	return strcmp(path, ".") == 0 || strcmp(path, "opt") == 0 || strcmp(path, "opt/kontain") == 0 ||
			       *path == '\0'
		       ? NULL
		       : path;
}

bool kt_layout_takes(const char *path)
{
	for (size_t i = 0; kt_component_names[i]; i++)
		if (is_below(path, kt_component_folder(kt_component_names[i])))
			return true;
	return strcmp(path, KT_PACK_SELF_TEST) == 0;
}

bool kt_layout_enters(const char *folder)
{
	return kt_layout_takes(folder) || strcmp(folder, "tests") == 0;
}
