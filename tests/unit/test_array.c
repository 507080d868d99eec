/* links: kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kontain/base/array.h"
#include "kontain/base/own.h"

struct item {
	size_t number;
	char rest[24];
};

static void test_it_grows_and_keeps(void **state)
{
	KT_OWN(kt_free_mem) struct item *items = NULL;
	size_t count = 0, room = 0, grown = 0;

	(void)state;
	for (; count < 1000; count++) {
		size_t before = room;

		assert_int_equal(kt_array_reserve(&items, count, &room, sizeof(*items)), 0);
		assert_true(count < room);
		grown += room != before;
		items[room - 1].rest[sizeof(items->rest) - 1] = 1; /* all of it is there: the sanitizers look */
		items[count].number = count;
	}
	for (size_t i = 0; i < count; i++)
		assert_int_equal(items[i].number, i);
	assert_true(grown < 10); /* not one copy an item */
}

static void test_room_that_is_there_is_left(void **state)
{
	KT_OWN(kt_free_mem) struct item *items = NULL;
	struct item *before;
	size_t room = 0;

	(void)state;
	assert_int_equal(kt_array_reserve(&items, 0, &room, sizeof(*items)), 0);
	before = items;
	assert_int_equal(kt_array_reserve(&items, room - 1, &room, sizeof(*items)), 0);
	assert_ptr_equal(items, before);
}

/* The sanitizers' allocator would end the program where malloc(3) answers that there is no memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* More than can be counted in bytes is no smaller array. */
static void test_too_much_leaves_all_as_it_was(void **state)
{
	KT_OWN(kt_free_mem) struct item *items = calloc(1, sizeof(*items));
	struct item *before = items;
	size_t room = SIZE_MAX / 4;

	(void)state;
	items->number = 7;
	assert_int_equal(kt_array_reserve(&items, room, &room, sizeof(*items)), -ENOMEM);
	assert_ptr_equal(items, before);
	assert_int_equal(items->number, 7);
	assert_true(room == SIZE_MAX / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_grows_and_keeps),
		cmocka_unit_test(test_room_that_is_there_is_left),
		cmocka_unit_test(test_too_much_leaves_all_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
