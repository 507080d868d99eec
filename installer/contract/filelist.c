/* Lines in, lines out. A list has one form: what is read back is printed as the same bytes, so that a digest of them
 * names what they say. */
#include "kontain/contract/filelist.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/own.h"
#include "kontain/contract/paths.h"

enum { COLUMN_KIND, COLUMN_MODE, COLUMN_SIZE, COLUMN_WHAT, COLUMN_PATH, COLUMNS };

void kt_filelist_done(struct kt_filelist *list)
{
	free(list->text);
	free(list->files);
	*list = (struct kt_filelist){.text = NULL};
}

static int line_fail(struct kt_error *err, size_t line, const char *what, const char *value, const char *flaw)
{
	char shown[KT_SHOWN_MAX];

	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "line %zu: %s \"%s\" %s", line, what,
		       kt_path_show(value, shown), flaw);
}

/* Digits without a sign, a blank or a zero in front, as they are printed. */
static bool size_parse(const char *text, uint64_t *ret_size)
{
	size_t length = strlen(text);

	if (length == 0 || length > 13 || strspn(text, "0123456789") != length || (length > 1 && text[0] == '0'))
		return false;
	*ret_size = strtoull(text, NULL, 10);
	return *ret_size <= (uint64_t)KT_FILE_BYTES_MAX;
}

static int file_parse(char *const columns[COLUMNS], size_t line, struct kt_file *file, struct kt_error *err)
{
	const char *mode = columns[COLUMN_MODE], *sha256 = columns[COLUMN_WHAT];

	if (strcmp(mode, "0644") != 0 && strcmp(mode, "0755") != 0)
		return line_fail(err, line, "mode", mode, "is neither 0644 nor 0755");
	if (!size_parse(columns[COLUMN_SIZE], &file->size_bytes))
		return line_fail(err, line, "size", columns[COLUMN_SIZE], "is not a size in bytes");
	if (strlen(sha256) != KT_DIGEST_HEX - 1 || strspn(sha256, "0123456789abcdef") != KT_DIGEST_HEX - 1)
		return line_fail(err, line, "sha256", sha256, "is not 64 lower-case hexadecimal digits");
	file->mode = mode[2] == '4' ? 0644 : 0755;
	file->sha256 = sha256;
	return 0;
}

static int link_parse(const char *component, char *const columns[COLUMNS], size_t line, struct kt_file *file,
		      struct kt_error *err)
{
	const char *flaw = kt_link_flaw(component, file->path, columns[COLUMN_WHAT]);

	if (strcmp(columns[COLUMN_MODE], "-") != 0 || strcmp(columns[COLUMN_SIZE], "-") != 0)
		return line_fail(err, line, "link", file->path, "must have - as mode and - as size");
	if (flaw)
		return line_fail(err, line, "link", columns[COLUMN_WHAT], flaw);
	file->link = columns[COLUMN_WHAT];
	return 0;
}

/* Cuts a line that begins at text; the line feed is there. */
static int line_parse(const char *component, char *text, size_t line, struct kt_file *file, struct kt_error *err)
{
	char *columns[COLUMNS] = {text};
	char *end = strchr(text, '\n');
	const char *flaw;

	*end = '\0';
	for (size_t i = 1; i < COLUMNS; i++) {
		char *tab = strchr(columns[i - 1], '\t');

		if (!tab)
			return line_fail(err, line, "line", text,
					 "has not the five columns kind, mode, size, SHA-256 or "
					 "target, path");
		*tab = '\0';
		columns[i] = tab + 1;
	}
	flaw = kt_path_flaw(columns[COLUMN_PATH]); /* a tab more is a control character in the path */
	if (!flaw)
		flaw = kt_path_reserved(component, columns[COLUMN_PATH]);
	if (flaw)
		return line_fail(err, line, "path", columns[COLUMN_PATH], flaw);
	*file = (struct kt_file){.path = columns[COLUMN_PATH]};
	if (strcmp(text, "f") == 0)
		return file_parse(columns, line, file, err);
	if (strcmp(text, "l") == 0)
		return link_parse(component, columns, line, file, err);
	return line_fail(err, line, "kind", text, "is neither f nor l");
}

static size_t lines_count(const char *text, size_t size)
{
	size_t count = 0;

	for (const char *end; (end = memchr(text, '\n', size)); count++) {
		size -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	return count;
}

static int digest_set(struct kt_filelist *list)
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();

	if (!digest)
		return -ENOMEM;
	kt_digest_add(digest, list->text, list->size);
	kt_digest_take(digest, list->digest);
	return 0;
}

static int lines_parse(const char *component, struct kt_filelist *list, struct kt_error *err)
{
	size_t lines = lines_count(list->text, list->size), index = 0;
	char *text = list->text;
	const char *flaw;

	if (lines > KT_MANIFEST_FILES_MAX)
		return kt_fail(err, E2BIG, KT_REASON_BUNDLE_INVALID, "it has %zu files, a bundle has %d at most", lines,
			       KT_MANIFEST_FILES_MAX);
	list->files = calloc(lines, sizeof(*list->files));
	if (!list->files || digest_set(list) < 0)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	for (size_t i = 0; i < lines; i++) {
		char *next = strchr(text, '\n') + 1;
		int r = line_parse(component, text, i + 1, &list->files[i], err);

		if (r < 0)
			return r;
		list->total_bytes += list->files[i].size_bytes;
		list->count = i + 1;
		text = next;
	}
	flaw = kt_files_flaw(list->files, list->count, &index);
	return flaw ? line_fail(err, index + 1, "path", list->files[index].path, flaw) : 0;
}

int kt_filelist_parse(const char *component, char **text, size_t size, struct kt_filelist *ret_list,
		      struct kt_error *err)
{
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = kt_take_ptr(text), .size = size};
	struct kt_error mine = {.code = 0};
	int r;

	if (size > KT_LISTS_BYTES_MAX)
		return kt_fail(err, EFBIG, KT_REASON_BUNDLE_INVALID, "it is larger than %d bytes", KT_LISTS_BYTES_MAX);
	if (size == 0)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "it is empty");
	if (memchr(list.text, '\0', size))
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "it has a NUL character");
	if (list.text[size - 1] != '\n')
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "its last line has no end");
	r = lines_parse(component, &list, &mine);
	if (r < 0)
		return kt_fail(err, mine.code, mine.reason, "%s", mine.text);
	*ret_list = list;
	list = (struct kt_filelist){.text = NULL};
	return 0;
}

char *kt_filelist_print(const struct kt_file *files, size_t count, size_t *ret_size)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	FILE *page = open_memstream(&text, ret_size);

	if (!page)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (files[i].link)
			(void)fprintf(page, "l\t-\t-\t%s\t%s\n", files[i].link, files[i].path);
		else
			(void)fprintf(page, "f\t%04" PRIo32 "\t%" PRIu64 "\t%s\t%s\n", files[i].mode,
				      files[i].size_bytes, files[i].sha256, files[i].path);
	}

	bool is_broken = ferror(page) != 0;

	return fclose(page) != 0 || is_broken ? NULL : kt_take_ptr(&text);
}

static int path_compare(const void *path, const void *file)
{
	return strcmp(path, ((const struct kt_file *)file)->path);
}

const struct kt_file *kt_filelist_find(const struct kt_filelist *list, const char *path)
{
	return list->count > 0 ? bsearch(path, list->files, list->count, sizeof(*list->files), path_compare) : NULL;
}
