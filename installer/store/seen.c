/* Where what is known of trees lies: .seen-<component or set>-<version> in the root. */
#include "seen.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"

/* 100,000 paths of the longest kind, and a stamp before each; a cache that is larger is not one of ours. */
#define SEEN_BYTES_MAX (KT_LISTS_BYTES_MAX + KT_MANIFEST_FILES_MAX * 64)

static void name_set(const char *part, const char *version, char ret_name[KT_PLACE_MAX])
{
	(void)snprintf(ret_name, KT_PLACE_MAX, KT_STORE_SEEN "%s-%s", part, version);
}

int kt_seen_read(const struct kt_store *store, const char *part, const char *version, struct kt_seen *ret_seen)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	char name[KT_PLACE_MAX];
	size_t size = 0;

	name_set(part, version, name);
	if (kt_fs_read_all(store->dir, name, SEEN_BYTES_MAX, &bytes, &size, KT_ERROR_IGNORED) < 0 ||
	    kt_seen_parse(bytes, size, ret_seen) < 0)
		return -ENOENT;
	bytes = NULL; /* the result's now */
	return 0;
}

/* Not synced: a cache that a crash cut is found by its hash, and what it is about was synced before. */
int kt_seen_write(const struct kt_store *store, const char *part, const char *version, const struct kt_seen *head,
		  const char *body, size_t body_size, struct kt_error *err)
{
	char name[KT_PLACE_MAX], partial[KT_PLACE_MAX + 16];
	size_t size = 0;
	int r = 0;
	KT_OWN(kt_free_mem) char *text = kt_seen_print(head, body, body_size, &size);

	if (!text)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	name_set(part, version, name);
	(void)snprintf(partial, sizeof(partial), KT_STORE_PARTIAL "%s", name + 1);
	if (unlinkat(store->dir, partial, 0) < 0 && errno != ENOENT)
		r = kt_negative_errno();
	if (r == 0)
		r = kt_fs_make_file(store->dir, partial, text, size, 0644);
	if (r == 0 && renameat(store->dir, partial, store->dir, name) < 0)
		r = kt_negative_errno();
	if (r < 0)
		(void)unlinkat(store->dir, partial, 0);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot note what was read of %s %s", part, version) :
		       0;
}

/* The directory that a cache of this name describes; false when it is no name of one. */
static bool place_of(const char *name, char ret_place[KT_PLACE_MAX])
{
	const char *rest = name + strlen(KT_STORE_SEEN);

	if (strncmp(rest, KT_SEEN_SET "-", strlen(KT_SEEN_SET "-")) == 0) {
		kt_place_set(rest + strlen(KT_SEEN_SET "-"), ret_place);
		return true;
	}
	for (size_t i = 0; kt_component_names[i]; i++) {
		size_t length = strlen(kt_component_names[i]);

		if (strncmp(rest, kt_component_names[i], length) != 0 || rest[length] != '-')
			continue;
		kt_place_version(kt_component_names[i], rest + length + 1, ret_place);
		return true;
	}
	return false;
}

static int sweep_visit(void *context, int dir, const char *name)
{
	char place[KT_PLACE_MAX];

	(void)context;
	if (strncmp(name, KT_STORE_SEEN, strlen(KT_STORE_SEEN)) != 0 ||
	    (place_of(name, place) && kt_fs_exists(dir, place)))
		return 0;
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? kt_negative_errno() : 0;
}

int kt_seen_sweep(const struct kt_store *store)
{
	return kt_each_entry(store->dir, ".", sweep_visit, NULL);
}
