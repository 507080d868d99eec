/* links: kt_store kt_bundle kt_contract kt_base */
/* The cache of what was seen: what it says comes back, and nothing that was cut, edited or belongs to another place is
 * believed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/store/seen.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

struct place {
	char path[32];
	struct kt_store store; /* its directory alone: the cache needs no more */
};

static int setup(void **state)
{
	static struct place place;

	place = (struct place){.path = "/tmp/kt-seen-XXXXXX", .store = {.dir = -1, .lock = -1}};
	if (!mkdtemp(place.path))
		return -1;
	place.store.dir = open(place.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = &place;
	return place.store.dir < 0;
}

static int teardown(void **state)
{
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct place *place = *state;

	kt_store_done(&place->store);
	return kt_fs_remove_tree(tmp, place->path + strlen("/tmp/"), KT_ERROR_IGNORED);
}

static const struct kt_seen_file files[] = {
	{.path = "a b", .stamp = 1},
	{.path = "deep/er/= !", .stamp = UINT64_MAX, .is_wrong = true},
	{.path = "km", .stamp = KT_STAMP_NONE},
};
#define COUNT (sizeof(files) / sizeof(files[0]))

static int write_lines(const struct kt_store *store, const char *part, const struct kt_seen_file *lines, size_t count)
{
	struct kt_seen head = {.read_at = 1700000000, .count = count, .digest = SHA, .contract = SHA};
	char body[512] = "";

	for (size_t i = 0; i < count; i++)
		sprintf(body + strlen(body), "%c%016llx %s\n", lines[i].is_wrong ? '!' : '=',
			(unsigned long long)lines[i].stamp, lines[i].path);
	return kt_seen_write(store, part, "1.0", &head, body, strlen(body), KT_ERROR_IGNORED);
}

static int write_one(const struct kt_store *store)
{
	return write_lines(store, "km", files, COUNT);
}

static void test_round_trip(void **state)
{
	const struct kt_store *store = &((struct place *)*state)->store;
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
	struct kt_seen_file file;

	assert_int_equal(kt_seen_read(store, "km", "1.0", &seen), -ENOENT);
	assert_int_equal(write_one(store), 0);
	assert_int_equal(write_one(store), 0); /* in place of the first */
	assert_int_equal(kt_seen_read(store, "km", "1.0", &seen), 0);
	assert_int_equal(seen.read_at, 1700000000);
	assert_int_equal(seen.count, COUNT);
	assert_string_equal(seen.digest, SHA);
	assert_string_equal(seen.contract, SHA);
	assert_string_equal(seen.km_digest, "");
	assert_int_equal(kt_seen_body_size(&seen), 3 * 18 + strlen("a b\ndeep/er/= !\nkm\n"));

	char *cursor = seen.body;

	for (size_t i = 0; i < COUNT; i++) {
		assert_true(kt_seen_next(&cursor, &file));
		assert_string_equal(file.path, files[i].path);
		assert_true(file.stamp == files[i].stamp);
		assert_int_equal(file.is_wrong, files[i].is_wrong);
	}
	assert_false(kt_seen_next(&cursor, &file));
	assert_false(kt_seen_next(&cursor, &file)); /* and again not */
}

static void test_what_is_another_s(void **state)
{
	const struct kt_store *store = &((struct place *)*state)->store;
	KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};

	assert_int_equal(write_one(store), 0);
	assert_int_equal(kt_seen_read(store, "km", "2.0", &seen), -ENOENT);
	assert_int_equal(kt_seen_read(store, "lib", "1.0", &seen), -ENOENT);
}

/* Each cut, and each byte turned into another. */
static void test_what_is_spoilt(void **state)
{
	const struct kt_store *store = &((struct place *)*state)->store;
	KT_OWN(kt_free_mem) char *good = NULL;
	size_t size = 0;

	assert_int_equal(write_one(store), 0);
	assert_int_equal(kt_fs_read_all(store->dir, ".seen-km-1.0", 65536, &good, &size, KT_ERROR_IGNORED), 0);
	for (size_t i = 0; i < size; i++) {
		KT_OWN(kt_free_mem) char *cut = strndup(good, i);
		KT_OWN(kt_free_mem) char *turned = strdup(good);
		struct kt_seen seen;

		assert_int_equal(kt_seen_parse(cut, i, &seen), -EINVAL);
		for (unsigned bit = 0; bit < 8; bit++) {
			turned[i] = (char)(good[i] ^ (1 << bit));
			if (kt_seen_parse(turned, size, &seen) == 0)
				fail_msg("believed with bit %u of byte %zu turned", bit, i);
		}
	}
}

/* Whole by its hash, and yet no cache of ours: a walk over it ends, and within it. */
static void test_hostile_lines(void **state)
{
	static const char *const paths[] = {"", "a", "../../etc/passwd", "/etc/passwd", "=0000000000000001 x"};
	const struct kt_store *store = &((struct place *)*state)->store;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		KT_OWN(kt_seen_done) struct kt_seen seen = {.text = NULL};
		struct kt_seen_file file = {.path = paths[i], .stamp = 7};
		size_t count = 0;

		assert_int_equal(write_lines(store, "km", &file, 1), 0);
		assert_int_equal(kt_seen_read(store, "km", "1.0", &seen), 0);
		for (char *cursor = seen.body; kt_seen_next(&cursor, &file);) {
			assert_string_equal(file.path, paths[i]);
			count++;
		}
		assert_int_equal(count, 1);
	}
}

static void test_each_part_of_a_stamp_counts(void **state)
{
	const struct stat plain = {
		.st_ino = 5, .st_size = 6, .st_mode = S_IFREG | 0644, .st_mtim = {7, 8}, .st_ctim = {9, 10}};
	struct stat twists[] = {plain, plain, plain, plain, plain, plain, plain, plain, plain, plain};

	(void)state;
	twists[1].st_ino++;
	twists[2].st_size++;
	twists[3].st_mode = S_IFREG | 0755;
	twists[4].st_mtim.tv_sec++;
	twists[5].st_mtim.tv_nsec++;
	twists[6].st_ctim.tv_sec++;
	twists[7].st_ctim.tv_nsec++;
	twists[8].st_uid++;
	twists[9].st_gid++;
	assert_true(kt_stamp(&twists[0]) == kt_stamp(&plain));
	for (size_t i = 0; i < sizeof(twists) / sizeof(twists[0]); i++)
		for (size_t j = 0; j < i; j++)
			assert_false(kt_stamp(&twists[i]) == kt_stamp(&twists[j]));
	twists[0].st_ctim.tv_sec = time(NULL); /* it could be written again within the same second */
	assert_true(kt_stamp_settled(&twists[0]) == KT_STAMP_NONE);
	twists[0].st_ctim.tv_sec -= 3600;
	assert_false(kt_stamp_settled(&twists[0]) == KT_STAMP_NONE);
	twists[0].st_ctim.tv_sec += 7200; /* the clock was set back since */
	assert_false(kt_stamp_settled(&twists[0]) == KT_STAMP_NONE);
}

/* A stamp of what was made just now counts once the kernel's clock has gone on: a change would have another time. */
static void test_a_tick_is_awaited(void **state)
{
	const struct kt_store *store = &((struct place *)*state)->store;
	struct stat info, later;
	struct timespec now;

	for (int i = 0; i < 20; i++) {
		assert_int_equal(kt_fs_replace_file(store->dir, "new", "abc", 3, 0644, KT_ERROR_IGNORED), 0);
		assert_int_equal(fstatat(store->dir, "new", &info, 0), 0);
		if (info.st_ctim.tv_nsec == 0) /* of whole seconds, perhaps */
			continue;
		assert_true(kt_stamp_await_tick(&info));
		assert_int_equal(fchmodat(store->dir, "new", 0755, 0) + fchmodat(store->dir, "new", 0644, 0), 0);
		assert_int_equal(fstatat(store->dir, "new", &later, 0), 0);
		assert_false(kt_stamp(&info) == kt_stamp(&later));
	}
	assert_int_equal(clock_gettime(CLOCK_REALTIME, &now), 0);
	info.st_ctim = (struct timespec){now.tv_sec + 1, 1}; /* never comes while it is waited for */
	assert_false(kt_stamp_await_tick(&info));
	info.st_ctim = (struct timespec){now.tv_sec, 0}; /* of whole seconds: it could change again within this one */
	assert_false(kt_stamp_await_tick(&info));
	info.st_ctim = (struct timespec){now.tv_sec - 10, 0};
	assert_true(kt_stamp_await_tick(&info));
}

static void test_reading(void **state)
{
	const struct kt_store *store = &((struct place *)*state)->store;
	KT_OWN(kt_reader_done) struct kt_reader reader = {.digest = NULL};
	struct kt_reading reading;

	assert_int_equal(kt_reader_init(&reader), 0);
	assert_int_equal(kt_fs_replace_file(store->dir, "empty", "", 0, 0644, KT_ERROR_IGNORED), 0);
	assert_int_equal(kt_fs_replace_file(store->dir, "text", "abc", 3, 0644, KT_ERROR_IGNORED), 0);
	assert_int_equal(symlinkat("text", store->dir, "link") + mkfifoat(store->dir, "fifo", 0600), 0);
	assert_int_equal(kt_reader_read(&reader, store->dir, "text", &reading), 0);
	assert_string_equal(reading.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(reading.size_bytes, 3);
	assert_int_equal(kt_reader_read(&reader, store->dir, "empty", &reading), 0); /* nothing of the last is left */
	assert_string_equal(reading.sha256, SHA);
	assert_int_equal(kt_reader_read(&reader, store->dir, "link", &reading), -ELOOP);
	assert_int_equal(kt_reader_read(&reader, store->dir, "fifo", &reading), -EINVAL);
	assert_int_equal(kt_reader_read(&reader, store->dir, "none", &reading), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_round_trip),    TEST(test_what_is_another_s),           TEST(test_what_is_spoilt),
		TEST(test_hostile_lines), TEST(test_each_part_of_a_stamp_counts), TEST(test_a_tick_is_awaited),
		TEST(test_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
