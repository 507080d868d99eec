/* links: kt_kube kt_contract kt_base */
/* Whether the policy is in force, as the answers to a write that it refuses tell it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kube/guard.h"

#define START     1000000
#define HEARTBEAT 300

static char *ask(struct kt_guard *guard, int64_t now_ms)
{
	struct kt_kube_request request = {0};

	assert_true(kt_guard_next(guard, now_ms, &request));
	assert_string_equal(request.verb, "PATCH");
	assert_string_equal(request.content_type, "application/merge-patch+json");
	assert_string_equal(request.path, "/api/v1/nodes/mine?dryRun=All");
	assert_non_null(request.body);
	return request.body;
}

static void take(struct kt_guard *guard, long code, const char *body, int64_t now_ms)
{
	struct kt_kube_reply reply = {.code = code, .body = body, .size = strlen(body)};

	kt_guard_take(guard, &reply, now_ms);
}

static const char denied[] =
	"{\"kind\":\"Status\",\"message\":\"nodes \\\"mine\\\" is forbidden: ValidatingAdmissionPolicy "
	"'kontaind-own-node' with binding 'kontaind-own-node' denied request: kontaind may change no "
	"label but its own\"}";

static void test_answers(void **context)
{
	static const struct {
		long code;
		const char *body;
		enum kt_guard_answer answer;
		int64_t least_s, most_s; /* until the next question */
	} rows[] = {
		{200, "{\"kind\":\"Node\"}", KT_GUARD_OPEN, 270, 331},
		{422, denied, KT_GUARD_IN_FORCE, 3240, 3961},
		{403, "{\"message\":\"admission webhook \\\"x\\\" denied the request: labels\"}", KT_GUARD_IN_FORCE,
		 3240, 3961},
		{403, "{\"message\":\"User \\\"x\\\" cannot patch resource \\\"nodes\\\"\"}", KT_GUARD_UNKNOWN, 270,
		 331},
		{422, "{\"message\":\"Node \\\"mine\\\" is invalid: spec.x\"}", KT_GUARD_UNKNOWN, 270, 331},
		{400, "{\"message\":\"admission webhook \\\"x\\\" does not support dry run\"}", KT_GUARD_UNKNOWN, 270,
		 331},
		{401, "{\"message\":\"Unauthorized\"}", KT_GUARD_UNKNOWN, 270, 331},
		{500, "denied", KT_GUARD_UNKNOWN, 270, 331},
		{0, "", KT_GUARD_UNKNOWN, 270, 331},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_guard guard;
		int64_t now = START + 5000;

		kt_guard_init(&guard, "mine", HEARTBEAT, 7 * i, START);
		free(ask(&guard, now));
		take(&guard, rows[i].code, rows[i].body, now);
		if (guard.answer != rows[i].answer || guard.ask_at_ms < now + rows[i].least_s * 1000 ||
		    guard.ask_at_ms > now + rows[i].most_s * 1000)
			fail_msg("row %zu: answer %d, asks again after %lld ms", i, guard.answer,
				 (long long)(guard.ask_at_ms - now));
	}
}

static void test_the_course(void **context)
{
	struct kt_kube_request request;
	struct kt_guard guard;
	char *first, *second;
	int64_t now = START + 5000;

	(void)context;
	kt_guard_init(&guard, "mine", HEARTBEAT, 42, START);
	/* Not at once: the policy may come after the pod. And one question at a time. */
	assert_false(kt_guard_next(&guard, START + 4999, &request));
	first = ask(&guard, now);
	assert_false(kt_guard_next(&guard, now + 1000000, &request));
	take(&guard, 422, denied, now);
	assert_false(kt_guard_next(&guard, now + 1000, &request));
	/* A value of its own each time: a label that is there already would be no change. */
	now = guard.ask_at_ms;
	second = ask(&guard, now);
	assert_string_not_equal(first, second);
	/* Silence takes back nothing that is known, and is asked again sooner. */
	take(&guard, 0, "", now);
	assert_int_equal(guard.answer, KT_GUARD_IN_FORCE);
	assert_true(guard.ask_at_ms <= now + 331000);
	now = guard.ask_at_ms;
	free(ask(&guard, now));
	take(&guard, 200, "{}", now);
	assert_int_equal(guard.answer, KT_GUARD_OPEN);
	now = guard.ask_at_ms;
	free(ask(&guard, now));
	take(&guard, 422, denied, now);
	assert_int_equal(guard.answer, KT_GUARD_IN_FORCE);
	free(first);
	free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_the_course),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
