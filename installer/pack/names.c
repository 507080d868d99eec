#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/own.h"
#include "kontain/contract/paths.h"

#define PREFIX_DEPTH 2 /* opt/kontain/ */

void kt_names_done(struct kt_names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		free(names->list[i].path);
		free(names->list[i].target);
	}
	free(names->list);
	*names = (struct kt_names){.count = 0};
}

int kt_names_add(struct kt_names *names, enum kt_name_kind kind, const char *path, const char *target,
		 struct kt_error *err)
{
	struct kt_name name = {.kind = kind, .number = names->count};

	if (names->count == names->room) {
		size_t room = names->room ? names->room * 2 : 256;
		struct kt_name *grown = realloc(names->list, room * sizeof(*grown));

		if (!grown)
			return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
		names->list = grown;
		names->room = room;
	}
	name.path = strdup(path);
	name.target = target ? strdup(target) : NULL;
	names->list[names->count++] = name;
	if (!name.path || (target && !name.target))
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	return 0;
}

/* By path; at one path what is no folder first, then as they came. */
static int name_compare(const void *left, const void *right)
{
	const struct kt_name *one = left, *two = right;
	int order = strcmp(one->path, two->path);

	if (order == 0)
		order = (one->kind == KT_NAME_FOLDER) - (two->kind == KT_NAME_FOLDER);
	if (order == 0)
		order = one->number < two->number ? -1 : one->number > two->number;
	return order;
}

/* The entry at a path that is no folder; NULL for none. */
static const struct kt_name *leaf_find(const struct kt_names *names, const char *path, size_t length)
{
	size_t low = 0, high = names->count;

	while (low < high) { /* the first that is not before the path */
		size_t middle = low + (high - low) / 2;
		const char *other = names->list[middle].path;
		int order = strncmp(other, path, length);

		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == names->count || strncmp(names->list[low].path, path, length) != 0 ||
	    names->list[low].path[length] != '\0')
		return NULL;
	return names->list[low].kind == KT_NAME_FOLDER ? NULL : &names->list[low];
}

static int refuse(const char *path, const char *what, struct kt_error *err)
{
	char shown[KT_SHOWN_MAX];

	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "%s %s", kt_path_show(path, shown), what);
}

int kt_names_check(struct kt_names *names, struct kt_error *err)
{
	if (names->count > 0)
		qsort(names->list, names->count, sizeof(*names->list), name_compare);
	for (size_t i = 0; i < names->count; i++) {
		const struct kt_name *name = &names->list[i], *target;

		/* a folder may come again, as archives repeat them */
		if (i > 0 && strcmp(name[-1].path, name->path) == 0 && name[-1].kind != KT_NAME_FOLDER)
			return refuse(name->path, "is there twice", err);
		for (const char *slash = name->path; (slash = strchr(slash, '/')); slash++)
			if (leaf_find(names, name->path, (size_t)(slash - name->path)))
				return refuse(name->path, "lies below a file or link", err);
		if (name->kind != KT_NAME_HARD)
			continue;
		target = leaf_find(names, name->target, strlen(name->target));
		if (!target || target->kind == KT_NAME_LINK || target->number >= name->number)
			return refuse(name->path,
				      "is a hard link to something that is not an earlier regular file of the archive",
				      err);
	}
	return 0;
}

/* A path that ends in bin/km: what stands before it, and how many folders that is. */
static bool prefix_look(const char *path, size_t *ret_length, unsigned *ret_depth)
{
	static const char km[] = "bin/km";
	size_t length = strlen(path);

	if (length < strlen(km) || strcmp(path + length - strlen(km), km) != 0)
		return false;
	length -= strlen(km);
	if (length > 0 && path[length - 1] != '/')
		return false;
	*ret_length = length;
	*ret_depth = 0;
	for (size_t i = 0; i < length; i++)
		*ret_depth += path[i] == '/';
	return *ret_depth <= PREFIX_DEPTH;
}

int kt_names_prefix(const struct kt_names *names, char *ret_prefix, size_t size, struct kt_error *err)
{
	const struct kt_name *found = NULL, *other = NULL;
	unsigned depth, least = PREFIX_DEPTH + 1;
	size_t length, found_length = 0;
	char shown[KT_SHOWN_MAX];

	for (size_t i = 0; i < names->count; i++) {
		const struct kt_name *name = &names->list[i];

		if (name->kind == KT_NAME_FOLDER || !prefix_look(name->path, &length, &depth) || depth > least)
			continue;
		other = depth == least ? found : NULL;
		found = name;
		found_length = length;
		least = depth;
	}
	if (!found)
		return kt_fail(err, ENOENT, KT_REASON_BUNDLE_INVALID, "bin/km is missing: every bundle needs one");
	if (other)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID,
			       "it holds several trees, at %s and elsewhere: unpack it, and name one of them",
			       kt_path_show(found->path, shown));
	if (found_length >= size)
		return kt_fail(err, ENAMETOOLONG, KT_REASON_BUNDLE_INVALID, "its folder's name is too long");
	memcpy(ret_prefix, found->path, found_length);
	ret_prefix[found_length] = '\0';
	return 0;
}
