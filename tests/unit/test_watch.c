/* links: kt_kube kt_contract kt_base */
/* The watch's bytes and pauses, with a clock of the test's own. What the reporter makes of what is seen is
 * test_reporter's matter; real streams, honest and lying, are tests/kube's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "kube/watch.h"

#define START 1000000
#define NODE(revision) \
	"{\"kind\":\"Node\",\"metadata\":{\"name\":\"mine\",\"uid\":\"u\",\"resourceVersion\":\"" revision "\"}}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

struct world {
	struct kt_reporter reporter;
	struct kt_watch watch;
	int64_t now_ms;
};

static int begin(void **context)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->now_ms = START;
	kt_reporter_init(&world->reporter, "mine", 300, 0, 42, START);
	kt_watch_init(&world->watch, "mine", &world->reporter, 300, 10, 42);
	world->reporter.has_seen = true;
	*context = world;
	return 0;
}

static int end(void **context)
{
	struct world *world = *context;

	kt_watch_done(&world->watch);
	kt_reporter_done(&world->reporter);
	free(world);
	return 0;
}

/* Waits for the pause to end: how long it was. */
static int64_t open_watch(struct world *world)
{
	struct kt_kube_request request;
	int64_t pause_ms = kt_watch_due_ms(&world->watch) - world->now_ms;

	if (pause_ms > 0) {
		assert_false(kt_watch_next(&world->watch, world->now_ms, &request));
		world->now_ms += pause_ms;
	}
	assert_true(kt_watch_next(&world->watch, world->now_ms, &request));
	assert_null(request.body);
	assert_false(kt_watch_next(&world->watch, world->now_ms, &request));
	return pause_ms;
}

static bool feed(struct world *world, const char *text)
{
	return kt_watch_feed(&world->watch, text, strlen(text), world->now_ms);
}

static void close_watch(struct world *world, long code, const char *body, unsigned retry_after_s)
{
	struct kt_kube_reply reply = {.code = code, .body = body, .size = strlen(body), .retry_after_s = retry_after_s};

	if (code == 0)
		snprintf(reply.problem, sizeof(reply.problem), "it was cut");
	kt_watch_end(&world->watch, &reply, world->now_ms);
}

static void test_what_is_asked(void **context)
{
	struct world *world = *context;
	struct kt_kube_request request;
	unsigned seconds;
	char *at;

	world->reporter.has_seen = false;
	assert_int_equal(kt_watch_due_ms(&world->watch), INT64_MAX);
	assert_false(kt_watch_next(&world->watch, world->now_ms, &request));
	world->reporter.is_gone = true;
	assert_true(kt_watch_next(&world->watch, world->now_ms, &request));
	assert_string_equal(request.verb, "GET");
	at = strstr(request.path, "&timeoutSeconds=");
	assert_non_null(at);
	seconds = (unsigned)strtoul(at + strlen("&timeoutSeconds="), NULL, 10);
	assert_in_range(seconds, 1800, 3600);
	*at = '\0';
	assert_string_equal(request.path, "/api/v1/nodes?watch=1&fieldSelector=metadata.name%3Dmine&resourceVersion=0"
					  "&allowWatchBookmarks=true");
}

static void test_events_come_in_pieces(void **context)
{
	struct world *world = *context;
	const char *text = EVENT("ADDED", NODE("7")) EVENT("MODIFIED", NODE("8"))
		EVENT("BOOKMARK", "{\"kind\":\"Node\",\"metadata\":{\"resourceVersion\":\"9\"}}");

	open_watch(world);
	for (const char *c = text; *c; c++)
		assert_true(kt_watch_feed(&world->watch, c, 1, world->now_ms));
	assert_int_equal(world->watch.events, 3);
	assert_int_equal(world->reporter.node.revision, 8);
	assert_true(feed(world, EVENT("MODIFIED", NODE("10")) EVENT("MODIFIED", NODE("11"))));
	assert_int_equal(world->reporter.node.revision, 11);
	assert_true(feed(world, EVENT("DELETED", NODE("12"))));
	assert_true(world->reporter.is_gone);
	assert_true(world->watch.is_up);
}

static void test_what_is_no_event_ends_it(void **context)
{
	static const struct {
		const char *text, *problem;
	} rows[] = {
		{"\n", "is not JSON"},
		{"\x01\xff{}{\n", "is not JSON"},
		{"{}\n", "expected ADDED"},
		{"[1]\n", "expected ADDED"},
		{EVENT("MOVED", NODE("8")), "type \"MOVED\""},
		{EVENT("MODIFIED", "{\"kind\":\"Node\",\"metadata\":{\"name\":\"other\"}}"), "is not node mine"},
		{EVENT("DELETED", "{}"), "is not node mine"},
		{EVENT("ADDED", "null"), "is not node mine"},
		{EVENT("ERROR", "{\"kind\":\"Status\",\"code\":410,\"message\":\"too old\"}"),
		 "ends the watch with 410: too old"},
		{EVENT("ERROR", "7"), "ends the watch with 0"},
	};
	struct world *world = *context;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		open_watch(world);
		assert_true(feed(world, EVENT("ADDED", NODE("7"))));
		assert_false(feed(world, rows[i].text));
		assert_false(feed(world, EVENT("MODIFIED", NODE("1000"))));
		close_watch(world, 0, "", 0);
		if (!strstr(world->watch.problem, rows[i].problem))
			fail_msg("row %zu: %s", i, world->watch.problem);
		assert_int_equal(world->reporter.node.revision, 7);
		assert_false(world->watch.is_up);
		assert_null(world->watch.line);
	}
}

static void test_a_line_has_an_end(void **context)
{
	struct world *world = *context;
	static char piece[16384];
	size_t fed = 0;
	int64_t pause_ms = 0;

	memset(piece, ' ', sizeof(piece));
	world->reporter.has_node = true;
	open_watch(world);
	while (fed < (64u << 20) && kt_watch_feed(&world->watch, piece, sizeof(piece), world->now_ms)) {
		fed += sizeof(piece);
		assert_true(world->watch.room <= KT_WATCH_LINE_MAX);
	}
	assert_true(fed <= KT_WATCH_LINE_MAX);
	assert_false(world->reporter.has_node); /* it is read instead */
	close_watch(world, 0, "", 0);
	assert_non_null(strstr(world->watch.problem, "larger than 2 MiB"));
	assert_null(world->watch.line);
	/* It will be so again: no more than one in a heartbeat. */
	for (unsigned i = 0; i < 12; i++) {
		pause_ms = open_watch(world);
		while (kt_watch_feed(&world->watch, piece, sizeof(piece), world->now_ms))
			;
		close_watch(world, 0, "", 0);
	}
	assert_in_range(pause_ms, 150000, 300000);
}

/* 410 at once, each time: as a quiet node's own resourceVersion would have it. */
static void test_an_endless_410_is_asked_less_and_less(void **context)
{
	struct world *world = *context;
	unsigned asked = 0;
	int64_t end = world->now_ms + 60 * 60 * 1000;

	for (; world->now_ms < end; asked++) {
		open_watch(world);
		assert_true(feed(world, EVENT("ADDED", NODE("7"))));
		assert_int_equal(kt_watch_is_well(&world->watch), asked < 2);
		assert_false(feed(world, EVENT("ERROR", "{\"code\":410,\"message\":\"too old\"}")));
		close_watch(world, 0, "", 0);
	}
	assert_in_range(asked, 120, 250); /* each 15 to 30 s */
	open_watch(world);
	world->now_ms += 60000;
	assert_true(feed(world, EVENT("BOOKMARK", "{}")));
	assert_true(kt_watch_is_well(&world->watch));
}

static void test_silence_ends_it(void **context)
{
	struct world *world = *context;

	open_watch(world);
	for (unsigned i = 0; i < 30; i++) {
		assert_true(feed(world, EVENT("BOOKMARK", "{\"kind\":\"Node\"}")));
		world->now_ms += 60000;
		assert_false(kt_watch_is_silent(&world->watch, world->now_ms));
	}
	/* Bytes that are no event are silence too. */
	assert_true(feed(world, " "));
	world->now_ms = kt_watch_due_ms(&world->watch);
	assert_true(feed(world, " "));
	assert_true(kt_watch_is_silent(&world->watch, world->now_ms));
	assert_false(kt_watch_is_silent(&world->watch, world->now_ms));
	assert_null(world->watch.line);
	assert_in_range(open_watch(world), 500, 11000);
}

static void test_a_flood_ends_it(void **context)
{
	struct world *world = *context;
	unsigned fed = 0;

	open_watch(world);
	for (unsigned i = 0; i < 3; i++) {
		for (fed = 0; fed < 600; fed++)
			assert_true(feed(world, EVENT("BOOKMARK", "{}")));
		world->now_ms += 60000;
	}
	for (fed = 0; fed < 5000 && feed(world, EVENT("BOOKMARK", "{}")); fed++)
		;
	assert_int_equal(fed, 600);
	close_watch(world, 0, "", 0);
	assert_non_null(strstr(world->watch.problem, "more than 600 events a minute"));
}

static void test_a_long_watch_comes_back_soon(void **context)
{
	struct world *world = *context;
	int64_t least = INT64_MAX, most = 0;

	for (unsigned i = 0; i < 100; i++) {
		open_watch(world);
		feed(world, EVENT("ADDED", NODE("7")));
		world->now_ms += 60000;
		feed(world, EVENT("BOOKMARK", "{}"));
		close_watch(world, 200, "", 0); /* timeoutSeconds are over */
		assert_in_range(kt_watch_due_ms(&world->watch) - world->now_ms, 500, 1000);
		open_watch(world);
		feed(world, EVENT("ADDED", NODE("7")));
		world->now_ms += 60000;
		feed(world, EVENT("BOOKMARK", "{}"));
		close_watch(world, 0, "", 0); /* with a server that went, as those of the whole fleet did */
		least = kt_watch_due_ms(&world->watch) - world->now_ms < least ?
				kt_watch_due_ms(&world->watch) - world->now_ms :
				least;
		most = kt_watch_due_ms(&world->watch) - world->now_ms > most ?
			       kt_watch_due_ms(&world->watch) - world->now_ms :
			       most;
	}
	assert_true(least < 3000 && most > 8000 && most <= 11000);
}

static void test_refusals(void **context)
{
	struct world *world = *context;
	int64_t pause_ms = 0;

	open_watch(world);
	close_watch(world, 429, "Too many requests, please try again later.\n", 7);
	assert_string_equal(world->watch.problem,
			    "the API server answers 429 to WATCH: Too many requests, please try again later.");
	assert_in_range(open_watch(world), 7000, 11500);
	for (unsigned i = 0; i < 12; i++) {
		close_watch(world, 500, "<html>", 0);
		pause_ms = open_watch(world);
	}
	assert_in_range(pause_ms, 15000, 30000);
	close_watch(world, 200, "", 0);
	assert_non_null(strstr(world->watch.problem, "ends without an event"));
	assert_in_range(open_watch(world), 15000, 30000);
	/* Where it is forbidden: one request a heartbeat. */
	for (unsigned i = 0; i < 5; i++) {
		close_watch(world, 403, "{\"message\":\"nodes is forbidden\"}", 0);
		assert_true(world->watch.is_forbidden);
		assert_non_null(strstr(world->watch.problem, "answers 403 to WATCH: nodes is forbidden"));
		assert_in_range(open_watch(world), 300000, 452000);
	}
	feed(world, EVENT("ADDED", NODE("7")));
	assert_false(world->watch.is_forbidden);
	assert_string_equal(world->watch.problem, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_asked),
		TEST(test_events_come_in_pieces),
		TEST(test_what_is_no_event_ends_it),
		TEST(test_a_line_has_an_end),
		TEST(test_an_endless_410_is_asked_less_and_less),
		TEST(test_silence_ends_it),
		TEST(test_a_flood_ends_it),
		TEST(test_a_long_watch_comes_back_soon),
		TEST(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
