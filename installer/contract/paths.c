/* Which names a bundle may hold. A name is refused for what it could do wherever the bundle goes: leave its folder,
 * hide on a terminal, take the place of what the store keeps, or lie below a link. */
#include "kontain/contract/paths.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kontain/base/own.h"
#include "kontain/base/utf8.h"
#include "kontain/contract/manifest.h"

/* Control characters of ASCII and U+0080..9f. */
static bool is_control(const char *character)
{
	const unsigned char *byte = (const unsigned char *)character;

	return byte[0] < 0x20 || byte[0] == 0x7f || (byte[0] == 0xc2 && byte[1] < 0xa0);
}

const char *kt_text_flaw(const char *text)
{
	for (size_t length; *text; text += length) {
		length = kt_utf8_length(text);
		if (length == 0)
			return "is not UTF-8";
		if (is_control(text))
			return "has a control character";
	}
	return NULL;
}

static bool is_part(const char *part, size_t length, const char *text)
{
	return strlen(text) == length && memcmp(part, text, length) == 0;
}

const char *kt_path_flaw(const char *path)
{
	const char *flaw = NULL;

	if (!*path)
		return "is empty";
	if (strlen(path) >= KT_MANIFEST_PATH_MAX)
		return "is too long";
	if (*path == '/')
		return "is absolute";
	flaw = kt_text_flaw(path);
	for (const char *part = path; !flaw && part;) {
		size_t length = strcspn(part, "/");

		if (length == 0)
			flaw = "has an empty part";
		else if (length > NAME_MAX)
			flaw = "has a part that is too long";
		else if (is_part(part, length, "."))
			flaw = "has a \".\" part";
		else if (is_part(part, length, ".."))
			flaw = "has a \"..\" part";
		part = part[length] ? part + length + 1 : NULL;
	}
	return flaw;
}

const char *kt_path_reserved(const char *component, const char *path)
{
	static const char *const names[] = {KT_MANIFEST_NAME, KT_FILELIST_NAME, ".kontain-component"};
	static const char partial[] = ".partial-";
	bool is_extra = strcmp(component, KT_COMPONENT_EXTRAS) == 0;
	size_t length = strcspn(path, "/");
	char name[32];

	if (!is_extra && strncmp(path, partial, strlen(partial)) == 0)
		return "is a name that the store keeps for itself";
	if (length >= sizeof(name))
		return NULL;
	(void)snprintf(name, sizeof(name), "%.*s", (int)length, path);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(name, names[i]) == 0)
			return "is a name that the store keeps for itself";
	for (size_t i = 0; kt_component_names[i]; i++) {
		char list[sizeof(name)];

		(void)snprintf(list, sizeof(list), "%s" KT_FILELIST_NAME, kt_component_names[i]);
		if (strcasecmp(name, list) == 0)
			return "is the name of a component's list";
		if (is_extra && strcasecmp(name, kt_component_folder(kt_component_names[i])) == 0)
			return "lies in a component's folder";
	}
	return NULL;
}

/* The one way out of a tree: km's tools lie in a component of their own, beside it, under the path that they have in
 * bin/. */
static bool is_to_tool(const char *component, const char *path, const char *target)
{
	if (strcmp(component, "km") != 0)
		return false;
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		if (strncmp(target, "../", 3) != 0)
			return false;
		target += 3;
	}
	return strncmp(target, KT_TOOLS_ABOVE, strlen(KT_TOOLS_ABOVE)) == 0 &&
	       strcmp(target + strlen(KT_TOOLS_ABOVE), path) == 0;
}

/* ".." only in front, and not more of them than the link has folders above it. After a name it would be taken from
 * where that name leads, which another link decides. */
const char *kt_link_escape(const char *component, const char *path, const char *target)
{
	bool is_absolute = *target == '/', has_name = false;
	size_t room = 0;

	if (is_to_tool(component, path, target))
		return NULL;
	if (is_absolute && strncmp(target, KT_ROOT "/", strlen(KT_ROOT "/")) != 0)
		return "leads outside of " KT_ROOT;
	for (const char *slash = path; (slash = strchr(slash, '/')); slash++)
		room++;
	for (const char *part = target; part;) {
		size_t length = strcspn(part, "/");

		if (is_part(part, length, "..")) {
			if (is_absolute || has_name)
				return "has a \"..\" behind a name";
			if (room-- == 0)
				return "leads out of its tree";
		} else {
			has_name = has_name || (length > 0 && !is_part(part, length, "."));
		}
		part = part[length] ? part + length + 1 : NULL;
	}
	return NULL;
}

const char *kt_link_flaw(const char *component, const char *path, const char *target)
{
	const char *flaw = kt_text_flaw(target);

	if (flaw)
		return flaw;
	if (!*target)
		return "is empty";
	if (strlen(target) >= KT_MANIFEST_PATH_MAX)
		return "is too long";
	for (const char *part = target; part;) {
		size_t length = strcspn(part, "/");

		if (length > NAME_MAX)
			return "has a part that is too long";
		part = part[length] ? part + length + 1 : NULL;
	}
	return kt_link_escape(component, path, target);
}

/* As strcmp(3), but a folder comes before everything beside it: so whatever lies below a name follows it at once. */
static int folder_first(const void *left, const void *right)
{
	const unsigned char *one = (const unsigned char *)(*(const struct kt_file *const *)left)->path;
	const unsigned char *two = (const unsigned char *)(*(const struct kt_file *const *)right)->path;

	while (*one && *one == *two) {
		one++;
		two++;
	}
	/* 1 is below every character that a path may have */
	return (int)(*one == '/' ? 1 : *one) - (int)(*two == '/' ? 1 : *two);
}

static bool is_below(const char *path, const char *name)
{
	size_t length = strlen(name);

	return strncmp(path, name, length) == 0 && path[length] == '/';
}

const char *kt_files_flaw(const struct kt_file *files, size_t count, size_t *ret_index)
{
	const char *flaw = NULL;

	for (size_t i = 1; i < count; i++) {
		int order = strcmp(files[i - 1].path, files[i].path);

		*ret_index = i;
		if (order == 0)
			return "is there twice";
		if (order > 0)
			return "is not in order";
	}
	if (count < 2)
		return NULL;

	KT_OWN(kt_free_mem) const struct kt_file **order = calloc(count, sizeof(*order));

	if (!order)
		return "out of memory";
	for (size_t i = 0; i < count; i++)
		order[i] = &files[i];
	qsort(order, count, sizeof(*order), folder_first);
	for (size_t i = 1; i < count && !flaw; i++) {
		flaw = is_below(order[i]->path, order[i - 1]->path) ? "lies below a file or link" : NULL;
		*ret_index = (size_t)(order[i] - files);
	}
	return flaw;
}

const char *kt_path_show(const char *path, char ret_shown[KT_SHOWN_MAX])
{
	size_t used = 0;

	while (*path) {
		size_t length = kt_utf8_length(path);
		bool is_plain = length > 0 && !is_control(path);
		size_t wanted = is_plain ? length : length > 0 ? 4 * length : 4; /* "\xff" a byte */

		if (length == 0)
			length = 1;
		if (used + wanted > KT_SHOWN_MAX - 4) {
			memcpy(ret_shown + used, "...", 3);
			used += 3;
			break;
		}
		if (is_plain)
			memcpy(ret_shown + used, path, length);
		for (size_t i = 0; !is_plain && i < length; i++)
			(void)snprintf(ret_shown + used + 4 * i, 5, "\\x%02x", (unsigned char)path[i]);
		used += wanted;
		path += length;
	}
	ret_shown[used] = '\0';
	return ret_shown;
}
