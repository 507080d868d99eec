/* Names and places. Every path here is relative to the root's descriptor. */
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"

void kt_store_host(const struct kt_store *store, char ret_host[sizeof(store->path)])
{
	(void)snprintf(ret_host, sizeof(store->path), "%.*s", (int)(strlen(store->path) - strlen(store->root)),
		       store->path);
}

void kt_place_version(const char *component, const char *version, char ret_place[KT_PLACE_MAX])
{
	(void)snprintf(ret_place, KT_PLACE_MAX, KT_STORE_VERSIONS "/%s/%s", component, version);
}

const char *kt_place_inside(const char *component)
{
	return strcmp(component, "km") == 0 ? kt_component_folder(component) : ".";
}

void kt_place_files(const char *component, const char *version, char ret_place[KT_PLACE_MAX])
{
	const char *inside = kt_place_inside(component);
	bool is_below = strcmp(inside, ".") != 0;

	(void)snprintf(ret_place, KT_PLACE_MAX, KT_STORE_VERSIONS "/%s/%s%s%s", component, version, is_below ? "/" : "",
		       is_below ? inside : "");
}

void kt_place_set(const char *version, char ret_place[KT_PLACE_MAX])
{
	(void)snprintf(ret_place, KT_PLACE_MAX, KT_STORE_SETS "/%s", version);
}

void kt_place_manifest(const char *version, char ret_place[KT_PLACE_MAX])
{
	(void)snprintf(ret_place, KT_PLACE_MAX, KT_STORE_SETS "/%s/" KT_MANIFEST_NAME, version);
}

const char *kt_component_of_folder(const char *folder)
{
	for (size_t i = 0; kt_component_names[i]; i++)
		if (strcmp(kt_component_folder(kt_component_names[i]), folder) == 0)
			return kt_component_names[i];
	return NULL;
}

bool kt_is_linked_folder(const char *folder)
{
	for (size_t i = 0; i < KT_COMPONENT_LINKED; i++)
		if (strcmp(kt_component_folder(kt_component_names[i]), folder) == 0)
			return true;
	return false;
}

bool kt_place_parse_link(const char *folder, const char *target, char ret_version[KT_VERSION_MAX])
{
	const char *component = kt_component_of_folder(folder);
	char version[KT_VERSION_MAX], place[KT_PLACE_MAX], wanted[KT_PLACE_MAX + 8], prefix[64];

	if (!component)
		return false;

	int length = snprintf(prefix, sizeof(prefix), "../../" KT_STORE_VERSIONS "/%s/", component);

	if (strncmp(target, prefix, (size_t)length) != 0)
		return false;

	size_t size = strcspn(target + length, "/");

	if (size >= sizeof(version))
		return false;
	(void)snprintf(version, sizeof(version), "%.*s", (int)size, target + length);
	if (!kt_version_is_valid(version))
		return false;
	kt_place_files(component, version, place);
	(void)snprintf(wanted, sizeof(wanted), "../../%s", place);
	if (strcmp(target, wanted) != 0)
		return false;
	memcpy(ret_version, version, sizeof(version));
	return true;
}

int kt_place_read_pointer(int dir, const char *name, char ret_version[KT_VERSION_MAX])
{
	char target[KT_PLACE_MAX];
	int r = kt_fs_read_link(dir, name, target, sizeof(target));

	if (r < 0 && r != -EINVAL && r != -ENAMETOOLONG)
		return r;
	if (r < 0 || strncmp(target, KT_STORE_SETS "/", strlen(KT_STORE_SETS "/")) != 0)
		return -ENOENT;

	const char *version = target + strlen(KT_STORE_SETS "/");

	if (!kt_version_is_valid(version))
		return -ENOENT;
	memcpy(ret_version, version, strlen(version) + 1); /* a valid version fits */
	return 0;
}

int kt_sync_dir(int dir, const char *path)
{
	KT_OWN(kt_close_fd) int fd = kt_fs_open_beneath(dir, path, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	return fsync(fd) < 0 ? kt_negative_errno() : 0;
}
