/* links: kt_base */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/log.h"

/* What was written to stderr between the two calls. */
static int saved_stderr, catcher;

static void catch_start(int fd)
{
	saved_stderr = dup(2);
	catcher = fd;
	dup2(fd, 2);
}

static void catch_end(void)
{
	dup2(saved_stderr, 2);
	close(saved_stderr);
}

static size_t json_lines(char *text, size_t size, enum kt_log_level most, void (*speak)(void))
{
	int ends[2];
	ssize_t got;

	assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
	catch_start(ends[1]);
	kt_log_init("tester", most);
	speak();
	catch_end();
	close(ends[1]);
	got = read(ends[0], text, size - 1);
	close(ends[0]);
	text[got > 0 ? got : 0] = '\0';
	return strlen(text);
}

static void speak_plain(void)
{
	kt_log(KT_LOG_INFO, "landed", "version", "1.2", "err", (char *)NULL, "reason", "Ready", KT_LOG_BARE("percent"),
	       "7", NULL);
	kt_log(KT_LOG_DEBUG, "hidden", NULL);
	kt_log(KT_LOG_ERROR, "bare", NULL);
}

static void test_json_line(void **state)
{
	char text[4096];

	(void)state;
	json_lines(text, sizeof(text), KT_LOG_INFO, speak_plain);
	assert_memory_equal(text, "{\"ts\":\"20", 9);
	assert_non_null(strstr(text,
			       "Z\",\"level\":\"info\",\"program\":\"tester\",\"msg\":\"landed\",\"version\":\"1.2\","
			       "\"reason\":\"Ready\",\"percent\":7}\n{\"ts\""));
	assert_null(strstr(text, "hidden"));
	assert_null(strstr(text, "err\":"));
	assert_non_null(strstr(text, "\"level\":\"error\",\"program\":\"tester\",\"msg\":\"bare\"}\n"));
}

static void speak_dirty(void)
{
	kt_log(KT_LOG_WARN, "odd", "err", "a\"b\\c\nd\x1b[0m\xff\xc3\xa4\x7f", NULL);
}

static void test_nothing_dirty_gets_out(void **state)
{
	char text[4096];

	(void)state;
	json_lines(text, sizeof(text), KT_LOG_INFO, speak_dirty);
	assert_non_null(strstr(text, "\"err\":\"a\\\"b\\\\c\\nd\\u001b[0m?\xc3\xa4\\u007f\"}\n"));
}

static char huge[100000];

static void speak_huge(void)
{
	memset(huge, '\n', sizeof(huge) - 1);
	kt_log(KT_LOG_ERROR, "huge", "a", huge, "b", huge, "c", huge, "d", huge, "e", huge, "f", huge, "g", "last",
	       NULL);
}

/* Whatever comes, a line is one line and closed. */
static void test_large_values_are_cut(void **state)
{
	static char text[65536];
	size_t size;

	(void)state;
	size = json_lines(text, sizeof(text), KT_LOG_DEBUG, speak_huge);
	assert_in_range(size, 4000, 8192);
	assert_string_equal(text + size - 3, "\"}\n");
	assert_ptr_equal(strchr(text, '\n'), text + size - 1);
	assert_non_null(strstr(text, "...\",\"b\":\""));
}

static void test_text_on_a_terminal(void **state)
{
	char text[4096];
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave;
	ssize_t got;

	(void)state;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		skip();
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (slave < 0)
		skip();
	catch_start(slave);
	kt_log_init("tester", KT_LOG_INFO);
	kt_log(KT_LOG_INFO, "landed", "version", "1.2", "err", "two words", "path", "", NULL);
	kt_log(KT_LOG_ERROR, "failed", "err", "\x1b[2J", NULL);
	catch_end();
	got = read(master, text, sizeof(text) - 1);
	if (got >= 0 && !memchr(text, '2', (size_t)got))
		got = -1;
	assert_true(got > 0);
	text[got] = '\0';
	assert_non_null(strstr(text, " tester: landed version=1.2 err=\"two words\" path=\"\"\r\n"));
	close(slave);
	close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_line),
		cmocka_unit_test(test_nothing_dirty_gets_out),
		cmocka_unit_test(test_large_values_are_cut),
		cmocka_unit_test(test_text_on_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
