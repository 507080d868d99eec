/* links: kt_plugin kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/device.h"

static char folder[] = "/tmp/kt-device-XXXXXX";

static void test_parse(void **context)
{
	static const char misc[] = "229 fuse\n 60 kkm\n232 kvm\n235 autofs";
	dev_t number = 0;

	(void)context;
	assert_true(kt_device_parse(misc, "kvm", &number));
	assert_int_equal(number, makedev(10, 232));
	assert_true(kt_device_parse(misc, "kkm", &number));
	assert_int_equal(number, makedev(10, 60));
	assert_false(kt_device_parse(misc, "kv", &number));
	assert_false(kt_device_parse("", "kvm", &number));
	assert_false(kt_device_parse("232", "kvm", &number));
	assert_int_equal(number, makedev(10, 60));
}

static void test_make(void **context)
{
	struct kt_error err = {0};
	char path[64];
	struct stat info, again;
	int r;

	(void)context;
	snprintf(path, sizeof(path), "%s/null", folder);
	umask(077);
	r = kt_device_make(folder, "null", makedev(1, 3), &err);
	if (r == -EPERM)
		skip(); /* no CAP_MKNOD here */
	assert_int_equal(r, 0);
	assert_int_equal(lstat(path, &info), 0);
	assert_int_equal(info.st_mode, S_IFCHR | 0666);
	assert_int_equal(info.st_rdev, makedev(1, 3));
	/* what is right stays */
	assert_int_equal(kt_device_make(folder, "null", makedev(1, 3), &err), 0);
	assert_int_equal(lstat(path, &again), 0);
	assert_int_equal(again.st_ino, info.st_ino);
	/* what is not is replaced */
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(kt_device_make(folder, "null", makedev(1, 3), &err), 0);
	assert_int_equal(lstat(path, &info), 0);
	assert_int_equal(info.st_mode, S_IFCHR | 0666);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(kt_device_make(folder, "null", makedev(1, 3), &err), 0);
	assert_int_equal(lstat(path, &info), 0);
	assert_true(S_ISCHR(info.st_mode));
	/* others may write there */
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(kt_device_make(folder, "null", makedev(1, 3), &err), -EPERM);
	assert_non_null(strstr(err.text, "is open to others"));
	unlink(path);
}

static int make_folder(void **context)
{
	(void)context;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **context)
{
	(void)context;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_make)};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
