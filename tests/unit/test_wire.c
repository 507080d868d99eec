/* links: kt_plugin kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "plugin/wire.h"

/* The bytes are written here by hand, by the numbers of the API. */

static void assert_bytes(const uint8_t *bytes, size_t size, const char *expected, size_t expected_size)
{
	assert_non_null(bytes);
	assert_int_equal(size, expected_size);
	assert_memory_equal(bytes, expected, size);
}
#define ASSERT_BYTES(bytes, size, expected) assert_bytes(bytes, size, expected, sizeof(expected) - 1)

static void test_registration(void **context)
{
	size_t size = 0;
	KT_OWN(kt_free_mem) uint8_t *bytes = kt_wire_print_registration("k.sock", "a/b", &size);

	(void)context;
	ASSERT_BYTES(bytes, size,
		     "\x0a\x07v1beta1\x12\x06k.sock\x1a\x03"
		     "a/b");
}

static void test_devices(void **context)
{
	size_t size = 0;
	KT_OWN(kt_free_mem) uint8_t *bytes = kt_wire_print_devices(2, true, &size);
	KT_OWN(kt_free_mem) uint8_t *other = NULL;

	(void)context;
	ASSERT_BYTES(bytes, size, "\x0a\x10\x0a\x05kvm-0\x12\x07Healthy\x0a\x10\x0a\x05kvm-1\x12\x07Healthy");
	other = kt_wire_print_devices(1, false, &size);
	ASSERT_BYTES(other, size, "\x0a\x12\x0a\x05kvm-0\x12\x09Unhealthy");
}

static void test_grants(void **context)
{
	struct kt_wire_grant grant = {.device = {"/r/kvm", "/dev/kvm"}, .mount_count = 1, .mounts = {{"/h", "/c"}}};
	size_t size = 0;
	KT_OWN(kt_free_mem) uint8_t *bytes = kt_wire_print_grants(&grant, 1, &size);

	(void)context;
	ASSERT_BYTES(bytes, size,
		     "\x0a\x24"
		     "\x12\x0a\x0a\x02/c\x12\x02/h\x18\x01"
		     "\x1a\x16\x0a\x08/dev/kvm\x12\x06/r/kvm\x1a\x02rw");
}

struct seen {
	size_t containers, ids;
	char last[16];
};

static int see(void *context, char *const *ids, size_t count, struct kt_error *err)
{
	struct seen *seen = context;

	(void)err;
	seen->containers++;
	seen->ids += count;
	if (count > 0)
		strncpy(seen->last, ids[count - 1], sizeof(seen->last) - 1);
	return 0;
}

static int read_bytes(enum kt_wire_request kind, const char *bytes, size_t size, struct seen *ret_seen)
{
	struct kt_error err = {0};

	*ret_seen = (struct seen){0};
	return kt_wire_read(kind, (const uint8_t *)bytes, size, see, ret_seen, &err);
}
#define READ(kind, text, seen) read_bytes(kind, text, sizeof(text) - 1, seen)

static void test_read(void **context)
{
	struct seen seen;

	(void)context;
	assert_int_equal(READ(KT_WIRE_ALLOCATE, "", &seen), 0);
	assert_int_equal(seen.containers, 0);
	assert_int_equal(READ(KT_WIRE_ALLOCATE, "\x0a\x0e\x0a\x05kvm-1\x0a\x05kvm-2\x0a\x00", &seen), 0);
	assert_int_equal(seen.containers, 2);
	assert_int_equal(seen.ids, 2);
	assert_string_equal(seen.last, "kvm-2");
	assert_int_equal(READ(KT_WIRE_PRE_START, "\x0a\x05kvm-1", &seen), 0);
	assert_int_equal(seen.ids, 1);
	/* a field of a later API is passed over */
	assert_int_equal(READ(KT_WIRE_PRE_START, "\x7a\x02xx\x0a\x05kvm-1", &seen), 0);
	assert_int_equal(seen.ids, 1);
}

static void test_refused(void **context)
{
	static const char *const broken[] = {"\xff", "\x0a\x05kvm", "\x0a\xff\xff\xff\xff\x0f", "\x0a\x03\x0a\x05k"};
	char many[2 * (KT_WIRE_CONTAINERS_MAX + 1)];
	KT_OWN(kt_free_mem) char *huge = malloc(256 << 10);
	struct seen seen;

	(void)context;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
		assert_int_equal(read_bytes(KT_WIRE_ALLOCATE, broken[i], strlen(broken[i]), &seen), -EINVAL);
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = i % 2 ? 0 : 0x0a;
	assert_int_equal(read_bytes(KT_WIRE_ALLOCATE, many, sizeof(many), &seen), -EINVAL);
	assert_int_equal(seen.containers, 0);
	assert_int_equal(read_bytes(KT_WIRE_ALLOCATE, many, sizeof(many) - 2, &seen), 0);
	/* Empty strings by the hundred thousand: what they take in memory is bounded. */
	assert_non_null(huge);
	for (size_t i = 0; i < 256 << 10; i++)
		huge[i] = i % 2 ? 0 : 0x0a;
	assert_int_equal(read_bytes(KT_WIRE_PRE_START, huge, 256 << 10, &seen), -EINVAL);
	assert_int_equal(read_bytes(KT_WIRE_ALLOCATE, huge, 256 << 10, &seen), -EINVAL);
	/* All devices of the largest count are not too many. */
	for (size_t i = 0; i < 10000; i++)
		memcpy(huge + 10 * i, "\x0a\x08kvm-9999", 10);
	assert_int_equal(read_bytes(KT_WIRE_PRE_START, huge, 100000, &seen), 0);
	assert_int_equal(seen.ids, 10000);
}

static void test_numbers(void **context)
{
	static const char *const bad[] = {
		"", "kvm", "kvm-", "kvm-10", "kvm-01", "kvm-1x", "KVM-1", "kvm-99999999999", "kvm--1"};
	unsigned number = 77;

	(void)context;
	assert_true(kt_wire_number("kvm-9", 10, &number));
	assert_int_equal(number, 9);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(kt_wire_number(bad[i], 10, &number));
	assert_int_equal(number, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registration), cmocka_unit_test(test_devices), cmocka_unit_test(test_grants),
		cmocka_unit_test(test_read),         cmocka_unit_test(test_refused), cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
