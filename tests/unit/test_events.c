/* links: kt_kube kt_contract kt_base */
/* Which transitions make an event, and how many may be sent; the real API server's opinion is tests/kube's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "kontain/base/own.h"
#include "kube/events.h"

#define START 1000000
#define EPOCH 1767225600

static struct kt_events events;
static struct kt_report report;
static int64_t now_ms;

static int begin(void **context)
{
	struct kt_node_view node = {.taint_index = -1};

	(void)context;
	now_ms = START;
	kt_events_init(&events, "mine", 300, 42, START);
	kt_events_begin(&events, &node);
	report = (struct kt_report){.status = KT_CONDITION_TRUE, .reason = "Ready", .message = "km 1.0 runs payloads"};
	strcpy(report.value[KT_KEY_KM_VERSION], "1.0");
	return 0;
}

static void see(void)
{
	kt_events_see(&events, &report, EPOCH + (now_ms - START) / 1000);
}

static void see_status(bool is_ready, const char *reason)
{
	report.status = is_ready ? KT_CONDITION_TRUE : KT_CONDITION_FALSE;
	snprintf(report.reason, sizeof(report.reason), "%s", reason);
	see();
}

/* "REASON TYPE COUNT MESSAGE" of the event that is sent now; "" when none is. */
static const char *send(long code)
{
	static char text[1024];
	struct kt_kube_request request = {0};
	struct kt_kube_reply reply = {.code = code, .body = "no", .size = 2};
	json_t *event;

	text[0] = '\0';
	if (!kt_events_next(&events, now_ms, &request))
		return text;
	assert_string_equal(request.verb, "POST");
	assert_string_equal(request.path, "/api/v1/namespaces/default/events");
	event = json_loads(request.body, 0, NULL);
	assert_non_null(event);
	snprintf(text, sizeof(text), "%s %s %lld %s", json_string_value(json_object_get(event, "reason")),
		 json_string_value(json_object_get(event, "type")),
		 (long long)json_integer_value(json_object_get(event, "count")),
		 json_string_value(json_object_get(event, "message")));
	json_decref(event);
	free(request.body);
	assert_int_equal(kt_events_due_ms(&events), INT64_MAX);
	kt_events_take(&events, &reply, now_ms);
	return text;
}

static void test_transitions(void **context)
{
	(void)context;
	see();
	assert_string_equal(send(201), "KontainActivated Normal 1 version 1.0 is active");
	assert_string_equal(send(201), "KontainReady Normal 1 km 1.0 runs payloads");
	assert_string_equal(send(201), "");
	strcpy(report.message, "another sentence"); /* no transition */
	see();
	report.hold = true;
	see_status(false, "Starting");
	report.hold = false;
	see_status(true, "Ready");
	assert_string_equal(send(201), "");
	strcpy(report.message, "no /dev/kvm");
	see_status(false, "DeviceMissing");
	assert_string_equal(send(201), "KontainDeviceMissing Warning 1 no /dev/kvm");
	see_status(true, "Ready");
	assert_string_equal(send(201), "KontainReady Normal 1 no /dev/kvm");
	strcpy(report.value[KT_KEY_KM_REFUSED], "1.1");
	strcpy(report.value[KT_KEY_KM_REFUSED_REASON], "KmAborted");
	see();
	see();
	assert_string_equal(send(201), "KontainRefused Warning 1 version 1.1 was refused: KmAborted");
	assert_string_equal(send(201), "");
	report.value[KT_KEY_KM_REFUSED][0] = report.value[KT_KEY_KM_REFUSED_REASON][0] = '\0';
	strcpy(report.value[KT_KEY_KM_VERSION], "1.2");
	strcpy(report.value[KT_KEY_PREVIOUS_VERSION], "1.0");
	see();
	assert_string_equal(send(201), "KontainActivated Normal 1 version 1.2 is active, before: 1.0");
	strcpy(report.value[KT_KEY_KM_VERSION], "1.0");
	strcpy(report.value[KT_KEY_PREVIOUS_VERSION], "1.2");
	see();
	assert_string_equal(send(201), "KontainRolledBack Warning 1 version 1.0 is active, before: 1.2");
	report.absent = true;
	see_status(false, "Absent");
	assert_string_equal(send(201), "");
	assert_int_equal(kt_events_due_ms(&events), INT64_MAX);
}

/* What the node says already is no news after a restart of ours. */
static void test_a_start_is_no_transition(void **context)
{
	struct kt_node_view node = {.taint_index = -1, .status = "True", .reason = "Ready"};

	(void)context;
	strcpy(node.value[KT_KEY_KM_VERSION], "1.0");
	kt_events_init(&events, "mine", 300, 42, START);
	kt_events_begin(&events, &node);
	strcpy(node.reason, "Other");
	kt_events_begin(&events, &node);
	see();
	assert_string_equal(send(201), "");
}

static void test_no_storm(void **context)
{
	unsigned sent = 0;
	int64_t end = START + 24 * 60 * 60 * 1000;

	(void)context;
	for (; now_ms < end; now_ms += 1000) {
		see_status(now_ms / 1000 % 2, now_ms / 1000 % 2 ? "Ready" : "DeviceMissing");
		sent += send(201)[0] != '\0';
		assert_true(events.pending_count <= KT_EVENTS_PENDING);
	}
	/* client-go's: 25, and one in five minutes. */
	assert_in_range(sent, 25 + 280, 25 + 288);
	/* None is lost without a trace: the next one has the count. */
	now_ms += 300000;
	assert_non_null(strstr(send(201), "Kontain"));
	assert_true(events.pending_count > 0 && events.pending[0].count > 100);
}

static void test_refusals(void **context)
{
	(void)context;
	/* A missing right: none for a heartbeat. */
	see();
	assert_non_null(strstr(send(403), "KontainActivated"));
	assert_non_null(strstr(events.problem, "answers 403 to POST event: no"));
	assert_string_equal(send(201), "");
	assert_int_equal(kt_events_due_ms(&events), START + 300000);
	now_ms += 300000;
	assert_non_null(strstr(send(201), "KontainReady"));
	assert_string_equal(events.problem, "");
	/* No answer: some tries, each later than the last, then it is dropped. */
	see_status(false, "DeviceMissing");
	for (unsigned i = 0; i < 4; i++) {
		int64_t due_ms = kt_events_due_ms(&events);

		assert_true(i == 0 || due_ms >= now_ms + (1000 << i));
		now_ms = due_ms > now_ms ? due_ms : now_ms;
		assert_non_null(strstr(send(i % 2 ? 500 : 429), "KontainDeviceMissing"));
	}
	assert_int_equal(events.pending_count, 0);
	/* 409: it is there. */
	see_status(true, "Ready");
	now_ms += 60000;
	assert_non_null(strstr(send(409), "KontainReady"));
	assert_int_equal(events.pending_count, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_transitions),
		TEST(test_a_start_is_no_transition),
		TEST(test_no_storm),
		TEST(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
