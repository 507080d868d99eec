/* Stamps, and what is noted of them: lines out, lines in. A cache that was cut or edited by chance is found by its hash
 * and is not there; one that was
 * forged is as good as the forger's root rights, and the next deep verification does not look at it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kontain/base/own.h"
#include "kontain/bundle/treecheck.h"

#define HEAD "kontain-seen 2 "

#define SETTLED_S 2
#define TICKS_MAX 8 /* half ticks: two are the rule */

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

	hash = mix(mix(mix(hash, info->st_mode), info->st_uid), info->st_gid);
	hash = time_mix(hash, &info->st_mtim);
	hash = time_mix(hash, &info->st_ctim);
	return hash != KT_STAMP_NONE ? hash : 1;
}

uint64_t kt_stamp_settled(const struct stat *info)
{
	int64_t age_s = (int64_t)time(NULL) - info->st_ctim.tv_sec;

	/* a time in the future is of another setting of the clock: a change now would show */
	return age_s <= SETTLED_S && age_s >= -SETTLED_S ? KT_STAMP_NONE : kt_stamp(info);
}

/* An inode's times are those of CLOCK_REALTIME_COARSE, which stands still for a tick (1 to 10 ms): what changes within
 * the tick of the last change shows nothing. Once that clock is later than the ctime, every change shows. (Since Linux
 * 6.13 a ctime that was asked for is never given again; it may then be up to one tick ahead of the coarse clock.) A
 * time without nanoseconds is likely one of a filesystem that has none. */
bool kt_stamp_await_tick(const struct stat *info)
{
	struct timespec now, tick;

	if (info->st_ctim.tv_nsec == 0 || clock_getres(CLOCK_REALTIME_COARSE, &tick) < 0)
		return kt_stamp_settled(info) != KT_STAMP_NONE;
	for (int i = 0; i < TICKS_MAX; i++) {
		if (clock_gettime(CLOCK_REALTIME_COARSE, &now) < 0)
			return false;
		if (now.tv_sec > info->st_ctim.tv_sec ||
		    (now.tv_sec == info->st_ctim.tv_sec && now.tv_nsec > info->st_ctim.tv_nsec))
			return true;
		(void)nanosleep(&(struct timespec){.tv_nsec = tick.tv_nsec / 2}, NULL);
	}
	return kt_stamp_settled(info) != KT_STAMP_NONE;
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

/* 64 digits, or - for none. */
static bool digest_take(const char *text, char ret_digest[KT_DIGEST_HEX])
{
	if (strcmp(text, "-") == 0)
		ret_digest[0] = '\0';
	else if (strlen(text) == KT_DIGEST_HEX - 1 && strspn(text, "0123456789abcdef") == KT_DIGEST_HEX - 1)
		memcpy(ret_digest, text, KT_DIGEST_HEX);
	else
		return false;
	return true;
}

int kt_seen_parse(char *bytes, size_t size, struct kt_seen *ret_seen)
{
	struct kt_seen seen = {.text = bytes, .size = size};
	char digest[KT_DIGEST_HEX], km[KT_DIGEST_HEX], contract[KT_DIGEST_HEX];
	uint64_t hash;
	int length = 0;

	if (size < TAIL_BYTES + 2 || strlen(bytes) != size || strncmp(bytes, HEAD, strlen(HEAD)) != 0)
		return -EINVAL;

	const char *tail = bytes + size - TAIL_BYTES;

	if (tail[-1] != '\n' || strncmp(tail, "end ", 4) != 0 || !hex_parse(tail + 4, &hash) ||
	    bytes[size - 1] != '\n' || hash != text_hash(bytes, size - TAIL_BYTES))
		return -EINVAL;
	if (sscanf(bytes + strlen(HEAD), "%" SCNd64 " %zu %64s %64s %64s%n", &seen.read_at, &seen.count, digest, km,
		   contract, &length) != 5 ||
	    bytes[strlen(HEAD) + (size_t)length] != '\n' || seen.read_at < 0 || !digest_take(digest, seen.digest) ||
	    !digest_take(km, seen.km_digest) || !digest_take(contract, seen.contract))
		return -EINVAL;
	seen.body = bytes + strlen(HEAD) + (size_t)length + 1;
	*ret_seen = seen;
	return 0;
}

size_t kt_seen_body_size(const struct kt_seen *seen)
{
	return seen->size - TAIL_BYTES - (size_t)(seen->body - seen->text);
}

static const char *digest_show(const char *digest)
{
	return *digest ? digest : "-";
}

char *kt_seen_print(const struct kt_seen *head, const char *body, size_t body_size, size_t *ret_size)
{
	KT_OWN(kt_free_mem) char *text = NULL;
	FILE *file = open_memstream(&text, ret_size);
	bool is_broken;

	if (!file)
		return NULL;
	(void)fprintf(file, HEAD "%" PRId64 " %zu %s %s %s\n", head->read_at, head->count, digest_show(head->digest),
		      digest_show(head->km_digest), digest_show(head->contract));
	(void)fwrite(body, 1, body_size, file);
	if (fflush(file) == 0)
		(void)fprintf(file, "end %016" PRIx64 "\n", text_hash(text, *ret_size));
	is_broken = ferror(file) != 0;
	return fclose(file) != 0 || is_broken ? NULL : kt_take_ptr(&text);
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
