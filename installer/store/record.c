/* Lines out, lines in. The reader believes nothing: a record may have been edited, cut or replaced. */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"

static bool is_one_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	return true;
}

static int lines_print(FILE *file, const struct kt_component *component, struct kt_error *err)
{
	(void)fprintf(file, "kontain-component 1 %s %s %s %zu\n", component->name, component->version,
		      component->digest, component->file_count);
	for (size_t i = 0; i < component->file_count; i++) {
		const struct kt_bundle_file *one = &component->files[i];

		if (!is_one_line(one->path) || (one->link && !is_one_line(one->link)) ||
		    strcmp(one->path, KT_RECORD_NAME) == 0)
			return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID,
				       "component %s has a file name that a store cannot hold: %.200s", component->name,
				       one->path);
		if (one->link)
			(void)fprintf(file, "l %s\t%s\n", one->path, one->link);
		else
			(void)fprintf(file, "f %o %" PRIu64 " %s %s\n", one->mode, one->size_bytes, one->sha256,
				      one->path);
	}
	(void)fputs("end\n", file);
	return 0;
}

int kt_record_write(int dir, const struct kt_component *component, struct kt_error *err)
{
	KT_OWN(kt_close_fd)
	int fd = kt_fs_open_beneath(dir, KT_RECORD_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	KT_OWN(kt_free_mem) char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	int r = file ? lines_print(file, component, err) : 0;

	if (!file || fclose(file) != 0)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	if (r < 0)
		return r;
	r = fd < 0 ? fd : kt_fs_write_full(fd, text, size);
	if (r == 0 && fchmod(fd, 0644) < 0)
		r = -errno;
	if (r == 0 && close(kt_take_fd(&fd)) < 0)
		r = -errno;
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot write the record of component %s",
				     component->name) :
		       0;
}

void kt_record_done(struct kt_record *record)
{
	kt_free_mem(&record->text);
	record->body = NULL;
}

static bool is_component(const char *name)
{
	for (size_t i = 0; kt_component_names[i]; i++)
		if (strcmp(kt_component_names[i], name) == 0)
			return true;
	return false;
}

int kt_record_read(int dir, struct kt_record *ret_record, struct kt_error *err)
{
	KT_OWN(kt_record_done) struct kt_record record = {.text = NULL};
	int length = 0, r;

	r = kt_fs_read_all(dir, KT_RECORD_NAME, KT_MANIFEST_BYTES_MAX, &record.text, &record.size, err);
	if (r < 0)
		return r;
	if (sscanf(record.text, "kontain-component 1 %15s %63s %64s %zu%n", record.name, record.version, record.digest,
		   &record.file_count, &length) != 4 ||
	    record.text[length] != '\n' || strlen(record.text) != record.size || record.size < 5 ||
	    strcmp(record.text + record.size - 5, "\nend\n") != 0 || !is_component(record.name) ||
	    !kt_version_is_valid(record.version))
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED, KT_RECORD_NAME " is not a record");
	record.body = record.text + length + 1;
	*ret_record = record;
	record.text = NULL;
	return 0;
}

/* Digits alone, as lines_print writes them, and a blank behind; NULL for anything else. */
static char *number_take(char *text, int base, uint64_t *ret_number)
{
	char *end;

	if (*text < '0' || *text > '9') /* strtoull would take a sign or blanks */
		return NULL;
	errno = 0;
	*ret_number = strtoull(text, &end, base);
	return *end == ' ' && errno == 0 ? end + 1 : NULL;
}

static bool file_line_parse(char *line, struct kt_record_line *ret_line)
{
	uint64_t mode = 0;
	char *size = number_take(line, 8, &mode);
	char *sha256 = size ? number_take(size, 10, &ret_line->size_bytes) : NULL;

	if (!sha256 || mode > 07777 || strcspn(sha256, " ") != KT_DIGEST_HEX - 1 || sha256[KT_DIGEST_HEX - 1] != ' ')
		return false;
	ret_line->mode = (unsigned)mode;
	ret_line->sha256 = sha256;
	ret_line->path = sha256 + KT_DIGEST_HEX;
	return ret_line->path[0] != '\0';
}

bool kt_record_next(char **cursor, struct kt_record_line *ret_line)
{
	char *line = *cursor, *end = strchr(line, '\n'), *tab;

	*cursor = NULL;
	*ret_line = (struct kt_record_line){.path = NULL};
	if (!end)
		return false;
	*end = '\0';
	if (strcmp(line, "end") == 0 && end[1] == '\0') {
		*cursor = end + 1;
		return false;
	}
	if (strncmp(line, "f ", 2) == 0 && !file_line_parse(line + 2, ret_line))
		return false;
	if (strncmp(line, "l ", 2) == 0 && (tab = strchr(line, '\t'))) {
		*tab = '\0';
		ret_line->path = line + 2;
		ret_line->link = tab + 1;
	}
	if (!ret_line->path || !ret_line->path[0] || (ret_line->link && !ret_line->link[0]))
		return false;
	*cursor = end + 1;
	return true;
}

struct fault {
	enum kt_reason reason;
	const char *what; /* NULL: none */
};

static struct fault changed(const char *what)
{
	return (struct fault){KT_REASON_STORE_FILE_CHANGED, what};
}

static struct fault absent(int code)
{
	if (code == ENOENT || code == ENOTDIR || code == ELOOP)
		return (struct fault){KT_REASON_STORE_FILE_LOST, "is missing"};
	return (struct fault){KT_REASON_STORE_DAMAGED, "cannot be read"};
}

/* One file or link, below its parent, as stat(2) shows it. */
static struct fault line_check(int parent, const char *name, const struct kt_record_line *line, struct stat *ret_info)
{
	char target[KT_MANIFEST_PATH_MAX];

	if (fstatat(parent, name, ret_info, AT_SYMLINK_NOFOLLOW) < 0)
		return absent(errno);
	if (line->link) {
		ssize_t length = readlinkat(parent, name, target, sizeof(target));

		if (length < 0 || (size_t)length != strlen(line->link) || memcmp(target, line->link, (size_t)length) != 0)
			return changed("is not the link that was landed");
		return changed(NULL);
	}
	if (!S_ISREG(ret_info->st_mode))
		return changed("is not a regular file");
	if ((uint64_t)ret_info->st_size != line->size_bytes)
		return changed("has another size than was landed");
	return changed((ret_info->st_mode & 07777) != line->mode ? "has another mode than was landed" : NULL);
}

/* A walk over a record, and beside it over what was seen of the same files in the same order. */
struct walk {
	struct kt_record_check *check;
	char *cursor;      /* of what was seen; NULL when nothing is known, or no more */
	uint64_t left_bytes;
	struct kt_reader reader;
};

static void walk_done(struct walk *walk)
{
	kt_reader_done(&walk->reader);
}

static struct fault content_check(struct walk *walk, int parent, const char *name, const struct kt_record_line *line)
{
	struct kt_reading reading;
	int r;

	walk->check->is_unread = true; /* whatever it says: the next tick would have to read it again */
	if (line->link || line->size_bytes > walk->left_bytes)
		return changed(NULL);
	walk->left_bytes -= line->size_bytes;
	r = walk->reader.digest ? 0 : kt_reader_init(&walk->reader);
	if (r == 0)
		r = kt_reader_read(&walk->reader, parent, name, &reading);
	if (r < 0)
		return absent(-r);
	return changed(strncmp(reading.sha256, line->sha256, KT_DIGEST_HEX - 1) != 0 ?
			       "has another content than was landed" :
			       NULL);
}

static struct fault stamp_check(struct walk *walk, int parent, const char *name, const struct kt_record_line *line,
				const struct stat *info)
{
	struct kt_seen_file seen;

	if (!walk->check->seen) {
		walk->check->is_unread = true;
		return changed(NULL);
	}
	if (walk->cursor && (!kt_seen_next(&walk->cursor, &seen) || strcmp(seen.path, line->path) != 0))
		walk->cursor = NULL;
	if (!walk->cursor || seen.stamp != kt_stamp(info))
		return content_check(walk, parent, name, line);
	return changed(seen.is_wrong ? "has another content than was landed" : NULL);
}

int kt_record_check(struct kt_record *record, int version_dir, const char *place, struct kt_record_check *check,
		    struct kt_error *err)
{
	KT_OWN(kt_close_fd)
	int files = kt_fs_open_beneath(version_dir, kt_place_inside(record->name), O_RDONLY | O_DIRECTORY, 0);
	KT_OWN(kt_way_done) struct kt_way way;
	KT_OWN(walk_done)
	struct walk walk = {
		.check = check, .cursor = check->seen ? check->seen->body : NULL, .left_bytes = check->read_max_bytes};
	char *cursor = record->text + (record->body - record->text);
	struct kt_record_line line;
	size_t count = 0;

	kt_way_init(&way, files);
	check->is_unread = false;
	check->km_digest[0] = '\0';
	if (files < 0)
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_FILE_LOST, "%s has no files", place);
	while (kt_record_next(&cursor, &line)) {
		const char *name = NULL;
		int parent = kt_way_enter(&way, line.path, false, &name);
		struct stat info;
		struct fault fault = parent < 0 ? absent(-parent) : line_check(parent, name, &line, &info);

		if (!fault.what)
			fault = stamp_check(&walk, parent, name, &line, &info);
		if (fault.what)
			return kt_fail(err, EUCLEAN, fault.reason, "%s/%.200s %s", place, line.path, fault.what);
		if (!line.link && strcmp(line.path, "km") == 0)
			(void)snprintf(check->km_digest, KT_DIGEST_HEX, "%s", line.sha256);
		count++;
	}
	if (!cursor || count != record->file_count)
		return kt_fail(err, EUCLEAN, KT_REASON_STORE_DAMAGED, "%s/" KT_RECORD_NAME " is broken", place);
	return 0;
}
