/* links: kt_pack kt_bundle kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/pack/layout.h"

static void test_root(void **state)
{
	static const struct {
		const char *path;
		bool is_taken, is_entered;
	} rows[] = {
		{"lib", true, true},
		{"lib/x", true, true},
		{"usr/lib/gcc/x", true, true},
		{"usr/lib", true, true},
		{"usr", false, true},
		{"usr/bin/x", false, false},
		{"lib64", false, false},
		{"usr/libexec/x", false, false},
		{"usr/local/lib/x", false, false},
		{"etc/lib", false, false},
		{".PKGINFO", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(kt_layout_root_takes(rows[i].path), rows[i].is_taken);
		assert_int_equal(kt_layout_root_enters(rows[i].path), rows[i].is_entered);
	}
}

static void test_root_target(void **state)
{
	static const char *const rows[][3] = {
		{"usr/lib/libc.so", "/lib/ld-musl-x86_64.so.1", "../../lib/ld-musl-x86_64.so.1"},
		{"lib/libz.so", "/usr/lib/libz.so.1", "../usr/lib/libz.so.1"},
		{"lib", "/usr/lib", "usr/lib"},
		{"usr/lib/x", "/usr/libexec/x", "/usr/libexec/x"},
		{"usr/lib/x", "../libexec/x", "../libexec/x"},
		{"usr/lib/x", "y", "y"},
	};
	char target[64], small[16];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(kt_layout_root_target(rows[i][0], rows[i][1], target, sizeof(target)), rows[i][2]);
	/* what does not fit stays as it is */
	assert_string_equal(kt_layout_root_target("usr/lib/x", "/lib/0123456789", small, sizeof(small)),
			    "/lib/0123456789");
}

static void test_image(void **state)
{
	(void)state;
	assert_true(kt_layout_image_takes("index.json"));
	assert_true(kt_layout_image_takes("blobs/sha256/0"));
	assert_true(kt_layout_image_takes("0a1b/layer.tar"));
	assert_false(kt_layout_image_takes("layer.tar"));
	assert_false(kt_layout_image_takes("x/index.json"));
	assert_false(kt_layout_image_takes("lib/libc.so"));
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(test_root),
	cmocka_unit_test(test_root_target),
	cmocka_unit_test(test_image),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
