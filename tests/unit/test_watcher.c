/* links: kt_kube kt_contract kt_base */
/* When a watch is opened, what its lines say, and how long its failures wait. Pure: the clock is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "kube/watcher.h"

#define START 1000000

static void opened(struct kt_watcher *watcher, int64_t now_ms)
{
	char path[512];

	assert_true(kt_watcher_next(watcher, now_ms, path, sizeof(path)));
	assert_false(kt_watcher_next(watcher, now_ms, path, sizeof(path)));
}

static void test_what_is_asked_for(void **context)
{
	struct kt_watcher watcher;
	char path[512];
	int least = 1 << 30, most = 0;

	(void)context;
	for (uint64_t seed = 0; seed < 200; seed++) {
		const char *length;

		kt_watcher_init(&watcher, "mine", 300, seed, START);
		assert_int_equal(kt_watcher_due_ms(&watcher), START);
		assert_false(kt_watcher_next(&watcher, START - 1, path, sizeof(path)));
		assert_true(kt_watcher_next(&watcher, START, path, sizeof(path)));
		assert_non_null(strstr(path, "fieldSelector=metadata.name%3Dmine&resourceVersion=0&"));
		assert_non_null(strstr(path, "allowWatchBookmarks=true"));
		length = strstr(path, "timeoutSeconds=");
		assert_non_null(length);
		least = atoi(length + 15) < least ? atoi(length + 15) : least;
		most = atoi(length + 15) > most ? atoi(length + 15) : most;
	}
	assert_in_range(least, 300, 340); /* spread: thousands must not end at once */
	assert_in_range(most, 560, 600);
}

#define OBJECT(name)                                                                         \
	"{\"kind\":\"Node\",\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"77\"," \
	"\"labels\":{\"kontain.app/km\":\"true\"}},\"spec\":{},\"status\":{}}"

static const struct {
	const char *line;
	enum kt_news news;
	const char *said;
} lines[] = {
	{"{\"type\":\"ADDED\",\"object\":" OBJECT("mine") "}", KT_NEWS_NODE, ""},
	{"{\"type\":\"MODIFIED\",\"object\":" OBJECT("mine") "}", KT_NEWS_NODE, ""},
	{"{\"type\":\"DELETED\",\"object\":" OBJECT("mine") "}", KT_NEWS_GONE, ""},
	{"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Node\",\"metadata\":{\"resourceVersion\":\"78\"}}}",
	 KT_NEWS_NONE, ""},
	{"{\"type\":\"ADDED\",\"object\":" OBJECT("other") "}", KT_NEWS_BROKEN, "is not node mine"},
	{"{\"type\":\"DELETED\",\"object\":" OBJECT("other") "}", KT_NEWS_BROKEN, "is not node mine"},
	{"{\"type\":\"ADDED\"}", KT_NEWS_BROKEN, "is not node mine"},
	{"{\"type\":\"ERROR\",\"object\":{\"code\":410,\"message\":\"too old resource version\"}}", KT_NEWS_BROKEN,
	 "too old resource version"},
	{"{\"type\":\"INVENTED\",\"object\":" OBJECT("mine") "}", KT_NEWS_BROKEN, "is not an event"},
	{"{\"type\":7}", KT_NEWS_BROKEN, "is not an event"},
	{"[]", KT_NEWS_BROKEN, "is not an event"},
	{"{\"type\":\"ADDED\",\"type\":\"ERROR\"}", KT_NEWS_BROKEN, "not JSON"},
	{"\xff", KT_NEWS_BROKEN, "not JSON"},
};

static void test_lines(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct kt_node_view view = {.taint_index = -1};
		struct kt_watcher watcher;
		enum kt_news news;

		kt_watcher_init(&watcher, "mine", 300, 1, START);
		opened(&watcher, START);
		news = kt_watcher_read(&watcher, lines[i].line, strlen(lines[i].line), START + 50000, &view);
		if (news != lines[i].news || !strstr(watcher.problem, lines[i].said))
			fail_msg("%s: %d, %s", lines[i].line, (int)news, watcher.problem);
		assert_true((watcher.problem[0] == '\0') == (news != KT_NEWS_BROKEN));
		assert_int_equal(view.version, news == KT_NEWS_NODE ? 77 : 0);
		/* any line is a sign of life */
		assert_false(kt_watcher_is_silent(&watcher, START + 50000 + 89999));
		assert_true(kt_watcher_is_silent(&watcher, START + 50000 + 90000));
		assert_int_equal(kt_watcher_due_ms(&watcher), START + 50000 + 90000);
		kt_node_view_done(&view);
	}
}

static const struct {
	const char *how;
	long code;
	unsigned retry_after_s;
	int64_t held_ms;
	unsigned times;
	int64_t least_ms, most_ms; /* until the next one, after so many of them */
} ends[] = {
	{"ended by the server after its time", 200, 0, 400000, 1, 500, 1000},
	{"and so each time", 200, 0, 400000, 50, 500, 1000},
	{"dropped at once", 200, 0, 100, 1, 500, 1000},
	{"dropped at once, again and again", 200, 0, 100, 50, 15000, 30000},
	{"silent connection", 0, 0, 100, 3, 2000, 4000},
	{"no right", 403, 0, 100, 1, 150000, 300000},
	{"no right, for ever", 403, 0, 100, 50, 150000, 300000},
	{"asked to wait", 429, 20, 100, 1, 20000, 31000},
	{"an error", 500, 0, 100, 4, 4000, 8000},
};

static void test_ends(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct kt_kube_reply reply = {
			.code = ends[i].code, .retry_after_s = ends[i].retry_after_s, .problem = "no answer"};
		struct kt_watcher watcher;
		int64_t now_ms = START, wait_ms = 0;

		kt_watcher_init(&watcher, "mine", 300, i + 7, START);
		for (unsigned n = 0; n < ends[i].times; n++) {
			opened(&watcher, now_ms);
			now_ms += ends[i].held_ms;
			kt_watcher_end(&watcher, &reply, now_ms);
			wait_ms = kt_watcher_due_ms(&watcher) - now_ms;
			now_ms = kt_watcher_due_ms(&watcher);
		}
		if (wait_ms < ends[i].least_ms || wait_ms > ends[i].most_ms)
			fail_msg("%s: %lld ms", ends[i].how, (long long)wait_ms);
		assert_true((watcher.problem[0] == '\0') == (ends[i].code == 200));
		assert_false(kt_watcher_is_silent(&watcher, now_ms + 1000000));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_asked_for),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
