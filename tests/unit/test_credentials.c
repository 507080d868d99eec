/* links: kt_kube kt_contract kt_base */
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
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "kube/credentials.h"

static char folder[] = "/tmp/kt-credentials-XXXXXX";

static void path_of(const char *name, char path[64])
{
	snprintf(path, 64, "%s/%s", folder, name);
}

static void write_token(const char *bytes, size_t size)
{
	KT_OWN(kt_close_fd) int fd = -1;
	char path[64];

	path_of("token", path);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
}

static const struct {
	const char *bytes;
	int code;           /* 0: taken */
	const char *header; /* or a part of the error */
} rows[] = {
	{"abc.DEF-1_2~+/=", 0, "Authorization: Bearer abc.DEF-1_2~+/="},
	{"abc\n", 0, "Authorization: Bearer abc"},
	{"abc \r\n\n", 0, "Authorization: Bearer abc"},
	{"", EBADMSG, "token is empty"},
	{"\n\n", EBADMSG, "token is empty"},
	{"secret\r\nX-Evil: 1", EBADMSG, "token is not a bearer token"},
	{"secret secret", EBADMSG, "token is not a bearer token"},
	{"secret\x7f", EBADMSG, "token is not a bearer token"},
	{"secret\xc3\xa4", EBADMSG, "token is not a bearer token"},
};

static void test_tokens(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_credentials_forget) char *header = NULL;
		struct kt_error err = {0};

		write_token(rows[i].bytes, strlen(rows[i].bytes));
		assert_int_equal(kt_credentials_header(folder, &header, &err), -rows[i].code);
		if (rows[i].code == 0) {
			assert_string_equal(header, rows[i].header);
			continue;
		}
		assert_null(header);
		assert_non_null(strstr(err.text, rows[i].header));
		assert_null(strstr(err.text, "secret"));
	}
}

static void test_a_nul_is_no_end(void **context)
{
	KT_OWN(kt_credentials_forget) char *header = NULL;
	struct kt_error err = {0};

	(void)context;
	write_token("abc\0def", 7);
	assert_int_equal(kt_credentials_header(folder, &header, &err), -EBADMSG);
}

static void test_sizes(void **context)
{
	KT_OWN(kt_free_mem) char *bytes = malloc(KT_TOKEN_BYTES_MAX + 1);
	struct kt_error err = {0};

	(void)context;
	assert_non_null(bytes);
	memset(bytes, 'a', KT_TOKEN_BYTES_MAX + 1);
	for (int over = 0; over <= 1; over++) {
		KT_OWN(kt_credentials_forget) char *header = NULL;

		write_token(bytes, KT_TOKEN_BYTES_MAX + over);
		assert_int_equal(kt_credentials_header(folder, &header, &err), over ? -EFBIG : 0);
	}
}

/* The kubelet's projected volume: token -> ..data/token, ..data -> a folder that is exchanged as a whole. */
static void test_a_projected_volume_is_followed(void **context)
{
	static const char *const values[] = {"first", "second"};
	char path[64], other[64], text[64];

	(void)context;
	path_of("token", path);
	(void)unlink(path);
	assert_int_equal(symlink("..data/token", path), 0);
	for (int i = 0; i < 2; i++) {
		KT_OWN(kt_credentials_forget) char *header = NULL;
		KT_OWN(kt_close_fd) int fd = -1;
		struct kt_error err = {0};

		path_of(values[i], path);
		assert_int_equal(mkdir(path, 0700), 0);
		snprintf(text, sizeof(text), "%s/token", values[i]);
		path_of(text, path);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		assert_int_equal(write(fd, values[i], strlen(values[i])), (ssize_t)strlen(values[i]));
		path_of("..tmp", path);
		path_of("..data", other);
		assert_int_equal(symlink(values[i], path), 0);
		assert_int_equal(rename(path, other), 0);
		assert_int_equal(kt_credentials_header(folder, &header, &err), 0);
		assert_string_equal(header + strlen("Authorization: Bearer "), values[i]);
	}
}

static void test_no_file(void **context)
{
	KT_OWN(kt_credentials_forget) char *header = NULL;
	struct kt_error err = {0};
	char path[64];

	(void)context;
	path_of("token", path);
	(void)unlink(path);
	assert_int_equal(kt_credentials_header(folder, &header, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	/* One that would never end, or hold us up. */
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(kt_credentials_header(folder, &header, &err) < 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(kt_credentials_header(folder, &header, &err) < 0);
	assert_int_equal(rmdir(path), 0);
	assert_null(header);
}

static int begin(void **context)
{
	(void)context;
	return mkdtemp(folder) ? 0 : -1;
}

static int end(void **context)
{
	static const char *const names[] = {"token", "..data", "first/token", "second/token", "first", "second", ""};
	char path[64];

	(void)context;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_of(names[i], path);
		(void)remove(path);
	}
	return access(folder, F_OK) < 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),  cmocka_unit_test(test_a_nul_is_no_end),
		cmocka_unit_test(test_sizes),   cmocka_unit_test(test_a_projected_volume_is_followed),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
