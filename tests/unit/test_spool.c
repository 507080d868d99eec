/* links: kt_pack kt_bundle kt_contract kt_base */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/pack/spool.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

struct room {
	char path[32];
	struct kt_place place;
};

static int setup(void **state)
{
	static struct room room;

	room = (struct room){.path = "/tmp/kt-spool-XXXXXX"};
	if (!mkdtemp(room.path))
		return -1;
	room.place = (struct kt_place){.dir = open(room.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .parent = -1};
	*state = &room;
	return room.place.dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct room *room = *state;

	kt_place_done(&room->place);
	return rmdir(room->path); /* what was spooled had no name */
}

static int file_of(const void *bytes, size_t size)
{
	int fd = memfd_create("spool", MFD_CLOEXEC);

	assert_true(fd >= 0 && kt_fs_write_full(fd, bytes, size) == 0);
	return fd;
}

/* Everything that is handed out, in portions, is what is kept; and its end is an end. */
static void test_all_of_it(void **state)
{
	struct room *room = *state;
	size_t size = 200000, at = 0;
	KT_OWN(kt_free_mem) char *bytes = malloc(size), *again = malloc(size);
	struct kt_error err = {0};
	struct kt_spool spool;
	const void *portion;
	ssize_t got;

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 7 + i / 251);

	KT_OWN(kt_close_fd) int fd = file_of(bytes, size);

	assert_int_equal(kt_spool_open(fd, &room->place, &spool, &err), 0);
	while ((got = kt_spool_next(&spool, &portion, &err)) > 0) {
		assert_memory_equal(portion, bytes + at, (size_t)got);
		at += (size_t)got;
	}
	assert_int_equal(got, 0);
	assert_int_equal(at, size);
	assert_int_equal(spool.size_bytes, size);
	assert_int_equal(pread(spool.fd, again, size, 0), size);
	assert_memory_equal(again, bytes, size);
	assert_int_equal(kt_spool_next(&spool, &portion, &err), 0);
	kt_spool_done(&spool);
}

/* While headers are read, no more than what is allowed, and a portion; and never more than all that may be. */
static void test_caps(void **state)
{
	struct room *room = *state;
	KT_OWN(kt_free_mem) char *bytes = calloc(1, 200000);
	struct kt_error err = {0};
	struct kt_spool spool;
	const void *portion;
	ssize_t got;

	bytes[0] = 'x';

	KT_OWN(kt_close_fd) int fd = file_of(bytes, 200000);

	assert_int_equal(kt_spool_open(fd, &room->place, &spool, &err), 0);
	spool.allowed_bytes = 64 * 1024;
	while ((got = kt_spool_next(&spool, &portion, &err)) > 0)
		assert_true(spool.size_bytes <= 80 * 1024);
	assert_int_equal(got, -EFBIG);
	assert_non_null(strstr(err.text, "headers that are too large"));
	spool.allowed_bytes = UINT64_MAX;
	assert_true(kt_spool_next(&spool, &portion, &err) > 0);
	spool.size_bytes = KT_PACK_BYTES_MAX - 1000; /* as though that much had come */
	while ((got = kt_spool_next(&spool, &portion, &err)) > 0)
		;
	assert_int_equal(got, -EFBIG);
	assert_non_null(strstr(err.text, "more than 4096 MiB"));
	kt_spool_done(&spool);
}

static void test_ends(void **state)
{
	static const struct {
		uint64_t from, to;
		size_t dirt; /* where a byte is not zero; 0: nowhere but in the first block */
		const char *said;
	} rows[] = {
		{512, 1536, 0, NULL},
		{512, 1024, 0, "two blocks of zeros"},
		{512, 512, 0, "two blocks of zeros"},
		{0, 1024, 0, "two blocks of zeros"}, /* the first block is none */
		{512, 2048, 0, "two blocks of zeros"},
		{512, 1536, 600, "two blocks of zeros"},
		{512, 1536, 1535, "two blocks of zeros"},
		{512, 1536, 1536, "behind its end"},
		{512, 1536, 99999, "behind its end"},
	};
	struct room *room = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_free_mem) char *bytes = calloc(1, 100000);
		struct kt_error err = {0};
		struct kt_spool spool;
		const void *portion;

		memset(bytes, 'h', 512);
		if (rows[i].dirt)
			bytes[rows[i].dirt] = 1;

		KT_OWN(kt_close_fd) int fd = file_of(bytes, 100000);

		assert_int_equal(kt_spool_open(fd, &room->place, &spool, &err), 0);
		assert_true(kt_spool_next(&spool, &portion, &err) >= 2048);

		int r = kt_spool_end(&spool, rows[i].from, rows[i].to, &err);

		if ((r == 0) != !rows[i].said || (r < 0 && !strstr(err.text, rows[i].said)))
			fail_msg("row %zu: %s", i, r < 0 ? err.text : "taken");
		kt_spool_done(&spool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_all_of_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_caps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
