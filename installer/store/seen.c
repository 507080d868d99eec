/* Lines out, lines in. A cache that was cut or edited by chance is found by its hash and is not there; one that was
 * forged is as good as the forger's root rights, and the next deep verification does not look at it. */
#include "seen.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "record.h"

#define HEAD "kontain-seen 1 "

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 by the golden ratio, as splitmix64 has it */
	return hash ^ (hash >> 32);
}

static uint64_t time_mix(uint64_t hash, const struct timespec *when)
{
	return mix(mix(hash, (uint64_t)when->tv_sec), (uint64_t)when->tv_nsec);
}

uint64_t kt_stamp(const struct stat *info)
{
	uint64_t hash = mix(info->st_ino, (uint64_t)info->st_size);

	hash = time_mix(mix(hash, info->st_mode), &info->st_mtim);
	hash = time_mix(hash, &info->st_ctim);
	return hash != KT_STAMP_NONE ? hash : 1;
}

uint64_t kt_seen_mark(int dir, const char *part)
{
	bool is_set = strcmp(part, KT_SEEN_SET) == 0;
	struct stat info;

	if (fstatat(dir, is_set ? "." : KT_RECORD_NAME, &info, AT_SYMLINK_NOFOLLOW) < 0)
		return KT_STAMP_NONE;
	return is_set ? mix(1, info.st_ino) : kt_stamp(&info);
}

static void name_set(const char *part, const char *version, char ret_name[KT_PLACE_MAX])
{
	(void)snprintf(ret_name, KT_PLACE_MAX, KT_STORE_SEEN "%s-%s", part, version);
}

static uint64_t text_hash(const char *text, size_t size)
{
	uint64_t hash = size;

	for (; size >= sizeof(uint64_t); size -= sizeof(uint64_t), text += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, text, sizeof(word));
		hash = mix(hash, word);
	}
	for (; size > 0; size--)
		hash = mix(hash, (unsigned char)*text++);
	return hash;
}

/* 16 digits, as they are written; false for anything else. */
static bool hex_parse(const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (int i = 0; i < 16; i++) {
		char c = text[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret_value = value;
	return true;
}

void kt_seen_done(struct kt_seen *seen)
{
	kt_free_mem(&seen->text);
	seen->body = NULL;
}

#define TAIL_BYTES (sizeof("end 0123456789abcdef\n") - 1)

int kt_seen_parse(char *bytes, size_t size, uint64_t mark, struct kt_seen *ret_seen)
{
	struct kt_seen seen = {.text = bytes, .size = size};
	uint64_t hash, marked;
	int length = 0;
	char digest[KT_DIGEST_HEX];

	if (size < TAIL_BYTES + 2 || strlen(bytes) != size || strncmp(bytes, HEAD, strlen(HEAD)) != 0)
		return -EINVAL;

	const char *tail = bytes + size - TAIL_BYTES;

	if (tail[-1] != '\n' || strncmp(tail, "end ", 4) != 0 || !hex_parse(tail + 4, &hash) || bytes[size - 1] != '\n' ||
	    hash != text_hash(bytes, size - TAIL_BYTES))
		return -EINVAL;
	if (sscanf(bytes + strlen(HEAD), "%16" SCNx64 " %" SCNd64 " %zu %64s%n", &marked, &seen.read_at, &seen.file_count,
		   digest, &length) != 4 ||
	    bytes[strlen(HEAD) + (size_t)length] != '\n' || marked != mark || mark == KT_STAMP_NONE || seen.read_at < 0)
		return -EINVAL;
	if (strlen(digest) == KT_DIGEST_HEX - 1 && strspn(digest, "0123456789abcdef") == KT_DIGEST_HEX - 1)
		memcpy(seen.digest, digest, sizeof(digest));
	else if (strcmp(digest, "-") != 0)
		return -EINVAL;
	seen.body = bytes + strlen(HEAD) + (size_t)length + 1;
	*ret_seen = seen;
	return 0;
}

int kt_seen_read(const struct kt_store *store, const char *part, const char *version, uint64_t mark,
		 struct kt_seen *ret_seen)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	char name[KT_PLACE_MAX];
	size_t size = 0;

	name_set(part, version, name);
	if (kt_fs_read_all(store->dir, name, KT_MANIFEST_BYTES_MAX, &bytes, &size, NULL) < 0 ||
	    kt_seen_parse(bytes, size, mark, ret_seen) < 0)
		return -ENOENT;
	bytes = NULL; /* the result's now */
	return 0;
}

bool kt_seen_next(char **cursor, struct kt_seen_file *ret_file)
{
	char *line = *cursor, *end = strchr(line, '\n');

	if (!end || (line[0] != '=' && line[0] != '!') || !hex_parse(line + 1, &ret_file->stamp) || line[17] != ' ')
		return false;
	*end = '\0';
	ret_file->is_wrong = line[0] == '!';
	ret_file->path = line + 18;
	*cursor = end + 1;
	return true;
}

static int lines_print(FILE *file, const struct kt_seen_file *files, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		for (const char *c = files[i].path; *c; c++)
			if ((unsigned char)*c < 0x20)
				return -EINVAL;
		(void)fprintf(file, "%c%016" PRIx64 " %s\n", files[i].is_wrong ? '!' : '=', files[i].stamp, files[i].path);
	}
	return 0;
}

int kt_seen_write(const struct kt_store *store, const char *part, const char *version, uint64_t mark, int64_t read_at,
		  const char *digest, const struct kt_seen_file *files, size_t count, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	char name[KT_PLACE_MAX], tail[TAIL_BYTES + 1];
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	int r;

	if (!file)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	(void)fprintf(file, HEAD "%016" PRIx64 " %" PRId64 " %zu %s\n", mark, read_at, count, *digest ? digest : "-");
	r = lines_print(file, files, count);
	if (fflush(file) != 0)
		r = -ENOMEM;
	if (r == 0)
		(void)snprintf(tail, sizeof(tail), "end %016" PRIx64 "\n", text_hash(text, size));
	if (r == 0)
		(void)fputs(tail, file);
	if (fclose(file) != 0 && r == 0)
		r = -ENOMEM;
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_INTERNAL, "cannot note what was read of %s %s", part, version);
	name_set(part, version, name);
	return kt_fs_replace_file(store->dir, name, text, size, 0600, err);
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
	if (strncmp(name, KT_STORE_SEEN, strlen(KT_STORE_SEEN)) != 0 || (place_of(name, place) && kt_fs_exists(dir, place)))
		return 0;
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int kt_seen_sweep(const struct kt_store *store)
{
	return kt_each_entry(store->dir, ".", sweep_visit, NULL);
}
