/* links: kt_store kt_bundle kt_contract kt_base */
/* The store's record of a component, which lies on a disk that others may have written to: read, walked, and written
 * again. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../../installer/store/record.h"
#include "fuzz.h"
#include "kontain/fs.h"
#include "kontain/own.h"

#define LINES_MAX 256 /* that are written again */

static int folder = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	folder = open(fuzz_space(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_REQUIRE(folder >= 0);
	return 0;
}

/* Puts the bytes at the record's name. */
static void record_put(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_close_fd) int fd = openat(folder, KT_RECORD_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	FUZZ_REQUIRE(fd >= 0 && kt_fs_write_full(fd, bytes, size) == 0);
}

/* A line's strings are of that line: they lie between its start and where the next one begins. */
static void line_check(const struct kt_record_line *line, const char *start, const char *next)
{
	FUZZ_REQUIRE(line->path > start && line->path < next && *line->path);
	FUZZ_REQUIRE(line->path + strlen(line->path) < next);
	FUZZ_REQUIRE(!line->link != !line->sha256);
	if (line->link)
		FUZZ_REQUIRE(line->link > line->path && line->link + strlen(line->link) < next);
	else
		FUZZ_REQUIRE(line->sha256 > start && line->sha256 + 64 < line->path && line->mode <= 07777);
}

static void component_done(struct kt_component *component)
{
	for (size_t i = 0; i < component->file_count; i++) {
		free(component->files[i].path);
		free(component->files[i].link);
	}
	free(component->files);
}

static void file_add(struct kt_component *component, const struct kt_record_line *line)
{
	struct kt_bundle_file *file = &component->files[component->file_count];

	if (component->file_count == LINES_MAX)
		return;
	*file = (struct kt_bundle_file){.path = strdup(line->path), .link = line->link ? strdup(line->link) : NULL,
					.mode = line->mode, .size_bytes = line->size_bytes};
	if (line->sha256)
		memcpy(file->sha256, line->sha256, 64);
	FUZZ_REQUIRE(file->path && !file->link == !line->link);
	component->file_count++;
}

/* What was read, written down again, is read as the same. */
static void component_check(const struct kt_component *component)
{
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	struct kt_record_line line;
	struct kt_error err = {.code = 0};
	char *cursor;

	FUZZ_REQUIRE(unlinkat(folder, KT_RECORD_NAME, 0) == 0);
	if (kt_record_write(folder, component, &err) < 0) { /* a name of control characters, or the record's own */
		fuzz_check_refusal(-err.code, &err);
		FUZZ_REQUIRE(err.reason == KT_REASON_BUNDLE_INVALID);
		return;
	}
	FUZZ_REQUIRE(kt_record_read(folder, &record, NULL) == 0 && record.file_count == component->file_count);
	FUZZ_REQUIRE(strcmp(record.version, component->version) == 0 && strcmp(record.name, component->name) == 0);
	cursor = record.text + (record.body - record.text);
	for (size_t i = 0; i < component->file_count; i++) {
		const struct kt_bundle_file *file = &component->files[i];

		FUZZ_REQUIRE(kt_record_next(&cursor, &line) && strcmp(line.path, file->path) == 0);
		FUZZ_REQUIRE(file->link ? fuzz_is_same(line.link, file->link)
					: line.mode == file->mode && line.size_bytes == file->size_bytes);
	}
	FUZZ_REQUIRE(!kt_record_next(&cursor, &line) && cursor);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	KT_OWN(component_done) struct kt_component component = {.files = calloc(LINES_MAX, sizeof(*component.files))};
	struct kt_error err = {.code = 0};
	struct kt_record_line line;
	size_t count = 0;
	int r;

	record_put(bytes, size);
	r = kt_record_read(folder, &record, &err);
	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(err.reason == KT_REASON_STORE_DAMAGED);
		return 0;
	}
	FUZZ_REQUIRE(kt_version_is_valid(record.version));

	char *cursor = record.text + (record.body - record.text);

	for (const char *start = cursor; kt_record_next(&cursor, &line); start = cursor, count++) {
		line_check(&line, start, cursor);
		file_add(&component, &line);
	}
	strcpy(component.name, record.name);
	strcpy(component.version, record.version);
	memcpy(component.digest, record.digest, sizeof(component.digest));
	/* one that broke off, or whose count is not that of its lines, is damaged: kt_record_check says so */
	if (!cursor || count != record.file_count || count != component.file_count)
		return 0;
	fuzz_taken++;
	component_check(&component);
	return 0;
}
