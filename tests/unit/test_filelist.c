/* links: kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "kontain/contract/filelist.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const char whole[] = "f\t0644\t0\t" SHA "\t\"\\\xc3\xa4\n"
			    "f\t0644\t0\t" SHA "\ta b\n"
			    "f\t0755\t2959872\t" SHA "\tkm\n"
			    "l\t-\t-\t/opt/kontain/runtime/libc.so\tz\n";
#define WHOLE_DIGEST "04d8cc79142ea628f63eb49f88aa0376434ca1067b38557e92c3e72cfe7e3cc6" /* by sha256sum */

static int parse(const char *component, const char *text, size_t size, struct kt_filelist *list, struct kt_error *err)
{
	char *copy = malloc(size + 1);
	int r;

	memcpy(copy, text, size);
	copy[size] = '\0';
	r = kt_filelist_parse(component, &copy, size, list, err);
	assert_null(copy); /* taken, whatever the answer is */
	return r;
}

static void test_round_trip(void **state)
{
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	struct kt_error err = {0};
	size_t size = 0;

	(void)state;
	if (parse("lib", whole, strlen(whole), &list, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(list.count, 4);
	assert_int_equal(list.total_bytes, 2959872);
	assert_int_equal(list.size, strlen(whole));
	assert_string_equal(list.digest, WHOLE_DIGEST);
	assert_string_equal(list.files[1].path, "a b");
	assert_int_equal(list.files[1].mode, 0644);
	assert_int_equal(list.files[2].mode, 0755);
	assert_int_equal(list.files[2].size_bytes, 2959872);
	assert_string_equal(list.files[2].sha256, SHA);
	assert_null(list.files[2].link);
	assert_string_equal(list.files[3].link, "/opt/kontain/runtime/libc.so");
	assert_null(list.files[3].sha256);
	assert_ptr_equal(kt_filelist_find(&list, "km"), &list.files[2]);
	assert_null(kt_filelist_find(&list, "k"));

	KT_OWN(kt_free_mem) char *text = kt_filelist_print(list.files, list.count, &size);

	assert_int_equal(size, strlen(whole));
	assert_memory_equal(text, whole, size);
	assert_null(kt_filelist_find(&(struct kt_filelist){.text = NULL}, "km"));
}

#define FILE_ "f\t0644\t4\t" SHA "\t"

static const struct {
	const char *component;
	const char *text;
	const char *said;
} bad_rows[] = {
	{"lib", "", "it is empty"},
	{"lib", "\n", "line 1: line \"\" has not the five columns"},
	{"lib", FILE_ "a", "its last line has no end"},
	{"lib", FILE_ "a\n\n", "line 2: line"},
	{"lib", FILE_ "a\r\n", "path \"a\\x0d\" has a control character"},
	{"lib", FILE_ "a\tb\n", "has a control character"},
	{"lib", FILE_ "\n", "path \"\" is empty"},
	{"lib", FILE_ "../a\n", "path \"../a\" has a \"..\" part"},
	{"lib", FILE_ "/a\n", "is absolute"},
	{"lib", FILE_ "a\xff\n", "is not UTF-8"},
	{"lib", FILE_ ".files\n", "is a name that the store keeps"},
	{"extras", FILE_ "bin/x\n", "lies in a component's folder"},
	{"lib", FILE_ "b\n" FILE_ "a\n", "line 2: path \"a\" is not in order"},
	{"lib", FILE_ "a\n" FILE_ "a\n", "is there twice"},
	{"lib", FILE_ "a\n" FILE_ "a/b\n", "lies below a file or link"},
	{"lib", "d\t-\t-\t-\ta\n", "kind \"d\" is neither f nor l"},
	{"lib", "F\t0644\t4\t" SHA "\ta\n", "kind \"F\""},
	{"lib", " f\t0644\t4\t" SHA "\ta\n", "kind"},
	{"lib", "f 0644 4 " SHA " a\n", "has not the five columns"},
	{"lib", "f\t0644\t4\t" SHA "\n", "has not the five columns"},
	{"lib", "f\t644\t4\t" SHA "\ta\n", "mode \"644\" is neither"},
	{"lib", "f\t4755\t4\t" SHA "\ta\n", "mode \"4755\" is neither"},
	{"lib", "f\t0777\t4\t" SHA "\ta\n", "mode"},
	{"lib", "f\t-\t4\t" SHA "\ta\n", "mode"},
	{"lib", "f\t0644\t-1\t" SHA "\ta\n", "size \"-1\" is not a size"},
	{"lib", "f\t0644\t04\t" SHA "\ta\n", "size"},
	{"lib", "f\t0644\t\t" SHA "\ta\n", "size"},
	{"lib", "f\t0644\t4 \t" SHA "\ta\n", "size"},
	{"lib", "f\t0644\t1099511627777\t" SHA "\ta\n", "size"},
	{"lib", "f\t0644\t18446744073709551620\t" SHA "\ta\n", "size"},
	{"lib", "f\t0644\t4\tE3" SHA "\ta\n", "sha256"},
	{"lib", "f\t0644\t4\t-\ta\n", "sha256"},
	{"lib", "f\t0644\t4\tE3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\ta\n", "sha256"},
	{"lib", "f\t0644\t4\te3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85\ta\n", "sha256"},
	{"lib", "f\t0644\t4\tg3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\ta\n", "sha256"},
	{"lib", "l\t-\t-\t../x\ta\n", "link \"../x\" leads out of its tree"},
	{"lib", "l\t-\t-\t\ta\n", "is empty"},
	{"lib", "l\t0777\t-\tx\ta\n", "must have - as mode"},
	{"lib", "l\t-\t0\tx\ta\n", "must have - as mode"},
	{"lib", "l\t-\t-\t../tools/a\ta\n", "leads out of its tree"},
};

static void test_bad_lists(void **state)
{
	struct kt_filelist list, before;
	struct kt_error err = {0};

	(void)state;
	memset(&list, 0x55, sizeof(list));
	before = list;
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		if (parse(bad_rows[i].component, bad_rows[i].text, strlen(bad_rows[i].text), &list, &err) == 0)
			fail_msg("taken: %s", bad_rows[i].text);
		if (err.reason != KT_REASON_BUNDLE_INVALID || !strstr(err.text, bad_rows[i].said))
			fail_msg("%s said: %s", bad_rows[i].text, err.text);
		assert_memory_equal(&list, &before, sizeof(list)); /* left alone */
	}
	/* the longest path and link, and one byte more */
	for (size_t more = 0; more < 2; more++) {
		char path[KT_MANIFEST_PATH_MAX + 1], text[KT_MANIFEST_PATH_MAX + 100];
		KT_OWN(kt_filelist_done) struct kt_filelist taken = {.text = NULL};

		for (size_t i = 0; i < sizeof(path); i++)
			path[i] = i % 2 ? '/' : 'a';
		path[KT_MANIFEST_PATH_MAX - 1] = 'a';
		path[KT_MANIFEST_PATH_MAX - 1 + more] = '\0';
		sprintf(text, FILE_ "%s\n", path);
		assert_int_equal(parse("lib", text, strlen(text), &taken, &err), more ? -EINVAL : 0);
		assert_true(!more || strstr(err.text, "is too long"));
		kt_filelist_done(&taken);
		sprintf(text, "l\t-\t-\t%s\ta\n", path);
		assert_int_equal(parse("lib", text, strlen(text), &taken, &err), more ? -EINVAL : 0);
		assert_true(!more || strstr(err.text, "is too long"));
	}
	assert_true(parse("lib", "f\0\n", 3, &list, &err) < 0);
	assert_non_null(strstr(err.text, "NUL"));
}

/* Every cut, and every byte turned into another: refused, or another list that prints as what it was read from. */
static void test_cut_and_turned(void **state)
{
	static const char bytes[] = {'\0', '\t', '\n', '/', 'x', '0', '\xff'};
	size_t size = strlen(whole);

	(void)state;
	for (size_t i = 0; i < size; i++) {
		for (size_t k = 0; k <= sizeof(bytes); k++) {
			KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
			KT_OWN(kt_free_mem) char *changed = strdup(whole);
			size_t length = k == sizeof(bytes) ? i : size, printed = 0;

			if (k < sizeof(bytes))
				changed[i] = bytes[k];
			if (parse("lib", changed, length, &list, KT_ERROR_IGNORED) < 0)
				continue;

			KT_OWN(kt_free_mem) char *text = kt_filelist_print(list.files, list.count, &printed);

			assert_int_equal(printed, length);
			assert_memory_equal(text, changed, length);
		}
	}
}

static void test_caps(void **state)
{
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	size_t line = strlen("l\t-\t-\tx\tf000000\n"), count = KT_MANIFEST_FILES_MAX;
	KT_OWN(kt_free_mem) char *text = malloc((count + 1) * line + 1);
	struct kt_error err = {0};

	(void)state;
	for (size_t i = 0; i <= count; i++)
		sprintf(text + i * line, "l\t-\t-\tx\tf%06zu\n", i);
	assert_int_equal(parse("lib", text, count * line, &list, &err), 0);
	assert_int_equal(list.count, count);
	assert_int_equal(parse("lib", text, (count + 1) * line, &list, &err), -E2BIG);

	KT_OWN(kt_free_mem) char *large = calloc(1, KT_LISTS_BYTES_MAX + 1);

	assert_int_equal(parse("lib", large, KT_LISTS_BYTES_MAX + 1, &list, &err), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bad_lists),
		cmocka_unit_test(test_cut_and_turned),
		cmocka_unit_test(test_caps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
