/* links: kt_fuzz_server kt_kube kt_contract kt_base */
/* A Node as the API server gives it. Whatever it looks like: where it is taken for one, the reporter brings it to what
 * is wanted, on a server that does what it is asked, and then asks for nothing more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kube/reporter.h"
#include "server.h"

#define BOOT     "0a1b2c3d-0000-4000-8000-123456789abc"
#define NAME     "n1"
#define START_MS 1000000
#define EPOCH    1767225600

enum wish { READY, NOT_READY, LEGACY, TAKEN_BACK, WISHES };

static void report_make(enum wish wish, struct kt_report *ret_report)
{
	bool is_ready = wish == READY || wish == LEGACY;
	struct kt_state state;
	const struct kt_report_input input = {
		.state = &state, .boot_id = BOOT, .desired_absent = wish == TAKEN_BACK, .legacy_label = wish == LEGACY};

	kt_state_init(&state);
	kt_verdict_set(&state.node, is_ready, is_ready ? KT_REASON_READY : KT_REASON_KM_FAILED, "a sentence");
	kt_verdict_set(&state.rollout, true, wish == TAKEN_BACK ? KT_REASON_ABSENT : KT_REASON_READY, "done");
	strcpy(state.versions.km_version, "0.9");
	strcpy(state.versions.previous, "1.1");
	memset(state.versions.km_digest, 'a', 64);
	strcpy(state.proof.hypervisor, "kvm");
	kt_report_decide(&input, ret_report);
}

static void answer(struct kt_reporter *reporter, json_t *node, const struct kt_kube_request *request, int64_t now_ms)
{
	struct kt_kube_reply reply = {.code = fuzz_server_answer(node, NAME, request)};
	KT_OWN(kt_free_mem) char *body = json_dumps(node, JSON_COMPACT);

	FUZZ_REQUIRE(body != NULL);
	reply.body = body;
	reply.size = strlen(body);
	kt_reporter_take(reporter, &reply, now_ms, EPOCH + now_ms / 1000);
}

/* Each turn is one request, or a wait. */
static int64_t turns_take(struct kt_reporter *reporter, json_t *node, size_t most)
{
	int64_t now_ms = START_MS;

	for (size_t turn = 0; turn < most; turn++) {
		struct kt_kube_request request = {.body = NULL};
		char why[256];

		if (kt_reporter_next(reporter, now_ms, EPOCH + now_ms / 1000, &request)) {
			answer(reporter, node, &request, now_ms);
			free(request.body);
		} else if (kt_reporter_is_reported(reporter, now_ms, why, sizeof(why))) {
			return now_ms;
		} else {
			FUZZ_REQUIRE(kt_reporter_due_ms(reporter) > now_ms && kt_reporter_due_ms(reporter) < INT64_MAX);
			now_ms = kt_reporter_due_ms(reporter);
		}
	}
	return -1;
}

static const char *value_of(const json_t *node, const char *map, const char *key)
{
	const json_t *values = json_object_get(json_object_get(node, "metadata"), map);

	return json_string_value(json_object_get(values, key));
}

static void node_check(const json_t *node, const struct kt_report *report)
{
	const json_t *conditions = json_object_get(json_object_get(node, "status"), "conditions"), *condition;
	const json_t *own = NULL; /* of several, which no server keeps, the last is believed */
	const char *km = value_of(node, "labels", "kontain.app/km");
	size_t i;

	FUZZ_REQUIRE(report->absent ? !km : fuzz_is_same(km, report->value[KT_KEY_KM]));
	FUZZ_REQUIRE(report->absent ? !value_of(node, "annotations", "kontain.app/km-digest") :
				      fuzz_is_same(value_of(node, "annotations", "kontain.app/km-digest"),
						   report->value[KT_KEY_KM_DIGEST]));
	json_array_foreach ((json_t *)conditions, i, condition) {
		const char *type = json_string_value(json_object_get(condition, "type"));

		own = type && strcmp(type, KT_CONDITION_TYPE) == 0 ? condition : own;
	}
	FUZZ_REQUIRE(!own == report->absent);
	FUZZ_REQUIRE(!own || fuzz_is_same(json_string_value(json_object_get(own, "status")),
					  kt_condition_status_name(report->status)));
	FUZZ_REQUIRE(!own || fuzz_is_same(json_string_value(json_object_get(own, "reason")), report->reason));
}

static void wish_check(enum wish wish, const char *bytes, size_t size)
{
	KT_OWN(fuzz_json_release) json_t *node = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL);
	KT_OWN(kt_reporter_done) struct kt_reporter reporter;
	struct kt_kube_request request;
	struct kt_report report;
	int64_t now_ms;

	FUZZ_REQUIRE(node != NULL);
	kt_reporter_init(&reporter, NAME, 300, 0, 42, START_MS);
	report_make(wish, &report);
	kt_reporter_want(&reporter, &report, START_MS);
	now_ms = turns_take(&reporter, node, 64 + size / 4);
	FUZZ_REQUIRE(now_ms >= 0);
	node_check(node, &report);
	if (kt_reporter_due_ms(&reporter) > now_ms)
		FUZZ_REQUIRE(!kt_reporter_next(&reporter, now_ms, EPOCH + now_ms / 1000, &request));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
	struct kt_error err = {.code = 0};
	int r = kt_node_view_parse((const char *)bytes, size, NAME, &view, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(!view.taint && view.taint_index == -1);
		return 0;
	}
	fuzz_taken++;
	FUZZ_REQUIRE((view.taint_index >= 0) == (view.taint != NULL));
	FUZZ_REQUIRE(view.has_condition || !view.condition_whole);
	for (enum wish wish = READY; wish < WISHES; wish++)
		wish_check(wish, (const char *)bytes, size);
	return 0;
}
