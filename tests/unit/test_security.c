/* links: kt_node kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/node/host/security.h"

static void test_selinux_words(void **state)
{
	static const struct {
		const char *enforce;
		bool is_known;
		const char *word;
	} rows[] = {
		{"1", true, "enforcing"}, {"0", true, "permissive"}, {NULL, true, "disabled"},  {NULL, false, "absent"},
		{"", true, "unknown"},    {"2", true, "unknown"},    {"1\n1", true, "unknown"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(kt_selinux_word(rows[i].enforce, rows[i].is_known), rows[i].word);
}

/* A tree that says everything, but in plain files: nothing in it is believed. */
static void test_decoys(void **state)
{
	static const char *const folders[] = {
		"", "/sys", "/sys/fs", "/sys/fs/selinux", "/sys/kernel", "/sys/kernel/security", "/proc"};
	static const char *const files[][2] = {
		{"/sys/fs/selinux/enforce", "1"},
		{"/sys/kernel/security/lockdown", "none [integrity]"},
		{"/proc/filesystems", "nodev\tselinuxfs"},
	};
	char root[] = "/tmp/kt-security-XXXXXX", path[128], word[KT_SECURITY_MAX];

	(void)state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 1; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", root, folders[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", root, files[i][0]);

		FILE *file = fopen(path, "w");

		assert_non_null(file);
		fputs(files[i][1], file);
		assert_int_equal(fclose(file), 0);
	}
	kt_selinux_read(root, word);
	assert_string_equal(word, "unknown");
	kt_lockdown_read(root, word);
	assert_string_equal(word, "unknown");
	for (size_t i = sizeof(files) / sizeof(files[0]); i-- > 0;) {
		snprintf(path, sizeof(path), "%s%s", root, files[i][0]);
		assert_int_equal(unlink(path), 0);
	}
	for (size_t i = sizeof(folders) / sizeof(folders[0]); i-- > 0;) {
		snprintf(path, sizeof(path), "%s%s", root, folders[i]);
		assert_int_equal(rmdir(path), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_selinux_words),
		cmocka_unit_test(test_decoys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
