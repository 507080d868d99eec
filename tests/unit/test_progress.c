/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* Progress as a log and as a terminal see it, on a clock that the test turns. */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../installer/jobs/progress.h"
#include "kontain/base/log.h"
#include "kontain/base/own.h"

#define MIB (UINT64_C(1024) * 1024)

static int64_t clock_ms;

static int64_t clock_read(void)
{
	return clock_ms;
}

struct call {
	int64_t after_ms;
	const char *part;
	uint64_t done, total;
};

/* A landing whose words go to fd; done: whether it ended whole. */
static void landing_play(int fd, bool is_quiet, bool tells_ends, const struct call *calls, bool is_whole)
{
	KT_OWN(kt_close_fd) int saved = dup(STDERR_FILENO);
	struct kt_progress progress;

	assert_true(saved >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	kt_log_init("test", KT_LOG_INFO);
	kt_progress_init(&progress, "1.0", is_quiet, tells_ends);
	clock_ms = 1000;
	progress.now_ms = clock_read;
	progress.told_ms = clock_ms;
	for (; calls->part; calls++) {
		clock_ms += calls->after_ms;
		kt_progress_tell(&progress, calls->part, calls->done, calls->total);
	}
	kt_progress_done(&progress, is_whole);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	kt_log_init("test", KT_LOG_INFO);
}

static const struct call long_landing[] = {
	{0, "", 0, 300 * MIB},
	{100, "km", MIB, 300 * MIB},
	{4800, "km", 2 * MIB, 300 * MIB},
	{100, "runtime", 3 * MIB, 300 * MIB}, /* 5 s since the last word */
	{4999, "runtime", 100 * MIB, 300 * MIB},
	{1, "alpine-lib", 150 * MIB, 300 * MIB},
	{100, "extras", 300 * MIB, 300 * MIB},
	{0, NULL, 0, 0},
};
static const struct call nothing_to_copy[] = {{0, "", 0, 0}, {0, NULL, 0, 0}};
static const struct call not_begun[] = {{0, NULL, 0, 0}};

static void test_events(void **state)
{
	static const struct {
		const char *name;
		const struct call *calls;
		bool is_quiet, tells_ends, is_whole;
		const char *wanted; /* event/component/done/percent of each line */
	} rows[] = {
		{"logged", long_landing, false, true, true,
		 "copying//0/0 copying/runtime/3145728/1 copying/alpine-lib/157286400/50 copied//314572800/100 "},
		{"logged, and it failed", long_landing, false, true, false,
		 "copying//0/0 copying/runtime/3145728/1 copying/alpine-lib/157286400/50 "},
		{"of a person's script", long_landing, false, false, true,
		 "copying/runtime/3145728/1 copying/alpine-lib/157286400/50 "},
		{"quiet", long_landing, true, true, true, ""},
		{"nothing to copy", nothing_to_copy, false, true, true, "copying//0/100 copied//0/100 "},
		{"nothing begun", not_begun, false, true, true, ""},
		{"refused", not_begun, false, true, false, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_close_file) FILE *file = tmpfile();
		char line[1024], said[1024] = "";

		landing_play(fileno(file), rows[i].is_quiet, rows[i].tells_ends, rows[i].calls, rows[i].is_whole);
		rewind(file);
		while (fgets(line, sizeof(line), file)) {
			json_t *event = json_loads(line, 0, NULL);
			const char *part = json_string_value(json_object_get(event, "component"));
			size_t used = strlen(said);

			assert_non_null(event); /* one whole line each */
			assert_string_equal(json_string_value(json_object_get(event, "version")), "1.0");
			assert_true(json_is_integer(json_object_get(event, "total_bytes")));
			snprintf(said + used, sizeof(said) - used, "%s/%s/%lld/%lld ",
				 json_string_value(json_object_get(event, "msg")), part ? part : "",
				 json_integer_value(json_object_get(event, "done_bytes")),
				 json_integer_value(json_object_get(event, "percent")));
			json_decref(event);
		}
		if (strcmp(said, rows[i].wanted) != 0)
			fail_msg("%s: %s", rows[i].name, said);
	}
}

/* One line, written over and over: nothing but carriage returns between, one newline at the end. */
static void test_terminal(void **state)
{
	KT_OWN(kt_close_fd) int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	char said[2048] = "";
	size_t used = 0;

	(void)state;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		skip();

	KT_OWN(kt_close_fd) int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	assert_true(terminal >= 0 && tcgetattr(terminal, &raw) == 0);
	cfmakeraw(&raw);
	assert_int_equal(tcsetattr(terminal, TCSANOW, &raw), 0);
	landing_play(terminal, true, false, long_landing, true);
	landing_play(terminal, false, false, long_landing, true);
	/* the kernel hands it over piece by piece; the quiet one would stand before it */
	while (!strchr(said, '\n')) {
		struct pollfd polled = {.fd = master, .events = POLLIN};

		assert_int_equal(poll(&polled, 1, 60000), 1);

		ssize_t got = read(master, said + used, sizeof(said) - 1 - used);

		assert_true(got > 0);
		used += (size_t)got;
	}
	assert_int_equal(strncmp(said, "\rlanding 1.0: 1 of 300 MiB, 0 %  km", 35), 0);
	assert_non_null(strstr(said, "\rlanding 1.0: 100 of 300 MiB, 33 %  runtime    \r"));
	assert_ptr_equal(strchr(said, '\n'), said + used - 1);
	assert_null(strchr(said, '{'));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
