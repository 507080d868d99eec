/* links: kt_kube kt_contract kt_base */
/* The reporter against a node that takes patches as the API server does (merge, conditions by type, JSON patch of one
 * taint), with a clock of the test's own: what is asked, when, and what the node says in the end. */
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
#include "kube/reporter.h"

#define BOOT  "0a1b2c3d-0000-4000-8000-123456789abc"
#define START 1000000
#define EPOCH 1767225600

#define CONFLICT_LEAST_MS 100
#define CONFLICT_MOST_MS  200

struct world {
	struct kt_reporter reporter;
	struct kt_report report;
	json_t *node;
	int64_t now_ms;
	unsigned requests, writes;
	int undo;          /* so many times the labels are taken away after each write */
	uint64_t revision; /* the server counts; 0: it does not */
};

static int64_t now_s(const struct world *world)
{
	return EPOCH + (world->now_ms - START) / 1000;
}

static void want(struct world *world, bool ready, const char *message, bool absent)
{
	struct kt_state state;
	struct kt_report_input input = {.state = &state, .boot_id = BOOT, .desired_absent = absent};

	kt_state_init(&state);
	kt_verdict_set(&state.node, ready, ready ? KT_REASON_READY : KT_REASON_KM_FAILED, "%s", message);
	kt_verdict_set(&state.rollout, true, absent ? KT_REASON_ABSENT : KT_REASON_READY, "done");
	strcpy(state.versions.km_version, "0.9");
	strcpy(state.proof.hypervisor, "kvm");
	kt_report_decide(&input, &world->report);
	kt_reporter_want(&world->reporter, &world->report, world->now_ms);
}

static void want_hold(struct world *world)
{
	struct kt_state state;
	struct kt_report_input input = {.state = &state, .boot_id = BOOT};

	kt_state_init(&state);
	kt_report_decide(&input, &world->report);
	assert_true(world->report.hold);
	kt_reporter_want(&world->reporter, &world->report, world->now_ms);
}

static int begin(void **context)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->now_ms = START;
	world->node = json_loads("{\"kind\":\"Node\",\"metadata\":{\"name\":\"mine\",\"labels\":{\"team\":\"blue\"}},"
				 "\"spec\":{\"taints\":[{\"key\":\"x\",\"effect\":\"NoSchedule\"},"
				 "{\"key\":\"kontain.app/not-ready\",\"effect\":\"NoSchedule\"}]},"
				 "\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}}",
				 0, NULL);
	assert_non_null(world->node);
	kt_reporter_init(&world->reporter, "mine", 300, 0, 42, START);
	*context = world;
	return 0;
}

static int end(void **context)
{
	struct world *world = *context;

	kt_reporter_done(&world->reporter);
	json_decref(world->node);
	free(world);
	return 0;
}

/* ---- the node ---- */

static void merge(json_t *into, const json_t *patch)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)patch, key, value) {
		if (json_is_null(value)) {
			json_object_del(into, key);
		} else if (json_is_object(value)) {
			if (!json_object_get(into, key))
				json_object_set_new(into, key, json_object());
			merge(json_object_get(into, key), value);
		} else {
			json_object_set(into, key, value);
		}
	}
}

static json_t *conditions_of(const json_t *node)
{
	return json_object_get(json_object_get(node, "status"), "conditions");
}

static json_t *condition_of(const struct world *world)
{
	size_t i;
	json_t *row;

	json_array_foreach (conditions_of(world->node), i, row)
		if (strcmp(json_string_value(json_object_get(row, "type")), KT_CONDITION_TYPE) == 0)
			return row;
	return NULL;
}

static void patch_condition(struct world *world, const json_t *patch)
{
	json_t *change = json_array_get(conditions_of(patch), 0), *conditions = conditions_of(world->node);
	size_t i;
	json_t *row;

	assert_non_null(change);
	json_array_foreach (conditions, i, row)
		if (strcmp(json_string_value(json_object_get(row, "type")), KT_CONDITION_TYPE) == 0) {
			json_array_remove(conditions, i);
			break;
		}
	if (!json_object_get(change, "$patch"))
		json_array_append(conditions, change);
}

static void patch_taint(struct world *world, const json_t *patch)
{
	json_t *taints = json_object_get(json_object_get(world->node, "spec"), "taints");
	const json_t *test = json_array_get(patch, 0);

	assert_string_equal(json_string_value(json_object_get(test, "path")), "/spec/taints/1");
	assert_true(json_equal(json_object_get(test, "value"), json_array_get(taints, 1)));
	json_array_remove(taints, 1);
}

static void count_revision(struct world *world)
{
	char text[24];

	if (!world->revision)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)++world->revision);
	json_object_set_new(json_object_get(world->node, "metadata"), "resourceVersion", json_string(text));
}

static void serve(struct world *world, const struct kt_kube_request *request)
{
	KT_OWN(kt_free_mem) char *body = NULL;
	struct kt_kube_reply reply = {.code = 200};
	json_t *patch = request->body ? json_loads(request->body, 0, NULL) : NULL;

	if (request->body)
		assert_non_null(patch);
	if (strcmp(request->verb, "GET") == 0)
		assert_string_equal(request->path, "/api/v1/nodes/mine");
	else if (strcmp(request->content_type, "application/merge-patch+json") == 0)
		merge(world->node, patch);
	else if (strcmp(request->content_type, "application/json-patch+json") == 0)
		patch_taint(world, patch);
	else
		patch_condition(world, patch);
	if (patch) {
		world->writes++;
		count_revision(world);
	}
	if (patch && world->undo > 0) {
		world->undo--;
		json_object_del(json_object_get(json_object_get(world->node, "metadata"), "labels"), "kontain.app/km");
	}
	json_decref(patch);
	body = json_dumps(world->node, JSON_COMPACT);
	reply.body = body;
	reply.size = strlen(body);
	kt_reporter_take(&world->reporter, &reply, world->now_ms, now_s(world));
}

/* Goes on until nothing is due before `until`; each request is answered by the node. */
static void run_until(struct world *world, int64_t until)
{
	struct kt_kube_request request;

	for (unsigned turns = 0; turns < 10000; turns++) {
		int64_t due;

		if (kt_reporter_next(&world->reporter, world->now_ms, now_s(world), &request)) {
			world->requests++;
			serve(world, &request);
			free(request.body);
			continue;
		}
		due = kt_reporter_due_ms(&world->reporter);
		if (due >= until) {
			world->now_ms = until;
			return;
		}
		/* What is due now must be there now: else the loop would spin. */
		if (due <= world->now_ms)
			fail_msg("due %lld at %lld, and nothing to do", (long long)due, (long long)world->now_ms);
		world->now_ms = due;
	}
	fail_msg("no end of it");
}

static void run_for(struct world *world, int64_t span_ms)
{
	run_until(world, world->now_ms + span_ms);
}

/* What others do, and what the watch tells of it. */
static void set_label(struct world *world, const char *name, const char *value)
{
	json_t *labels = json_object_get(json_object_get(world->node, "metadata"), "labels");

	if (value)
		json_object_set_new(labels, name, json_string(value));
	else
		json_object_del(labels, name);
	count_revision(world);
}

static void parse_view(const json_t *node, struct kt_node_view *view)
{
	KT_OWN(kt_free_mem) char *body = json_dumps(node, JSON_COMPACT);
	struct kt_error err;

	*view = (struct kt_node_view){.taint_index = -1};
	assert_int_equal(kt_node_view_parse(body, strlen(body), "mine", view, &err), 0);
}

static void see(struct world *world, const json_t *node)
{
	KT_OWN(kt_node_view_done) struct kt_node_view view;

	parse_view(node, &view);
	kt_reporter_see(&world->reporter, &view, world->now_ms);
}

static void begin_watched(struct world *world)
{
	world->revision = 100;
	count_revision(world);
	json_object_set_new(json_object_get(world->node, "metadata"), "uid", json_string("first"));
	want(world, true, "runs", false);
	run_for(world, 1000);
	see(world, world->node);
	world->requests = world->writes = 0;
}

static void refuse(struct world *world, long code, const char *body, unsigned retry_after_s)
{
	struct kt_kube_reply reply = {.code = code, .body = body, .size = strlen(body), .retry_after_s = retry_after_s};
	struct kt_kube_request request;

	if (code == 0)
		snprintf(reply.problem, sizeof(reply.problem), "no route");
	if (!kt_reporter_next(&world->reporter, world->now_ms, now_s(world), &request)) {
		world->now_ms = kt_reporter_due_ms(&world->reporter);
		assert_true(kt_reporter_next(&world->reporter, world->now_ms, now_s(world), &request));
	}
	free(request.body);
	kt_reporter_take(&world->reporter, &reply, world->now_ms, now_s(world));
}

static int64_t wait_of(const struct world *world)
{
	return kt_reporter_due_ms(&world->reporter) - world->now_ms;
}

static const char *label(const struct world *world, const char *name)
{
	return json_string_value(
		json_object_get(json_object_get(json_object_get(world->node, "metadata"), "labels"), name));
}

static const char *condition(const struct world *world, const char *field)
{
	const char *text = json_string_value(json_object_get(condition_of(world), field));

	return text ? text : "";
}

static bool reported(const struct world *world)
{
	char text[512];

	return kt_reporter_is_reported(&world->reporter, world->now_ms, text, sizeof(text));
}

/* ---- tests ---- */

static void test_all_is_written_once(void **context)
{
	struct world *world = *context;

	assert_int_equal(kt_reporter_due_ms(&world->reporter), INT64_MAX);
	assert_false(reported(world));
	want(world, true, "runs", false);
	run_for(world, 1000);
	assert_int_equal(world->requests, 4); /* read, labels and annotations, condition, taint */
	assert_string_equal(label(world, "kontain.app/km"), "true");
	assert_string_equal(label(world, "team"), "blue");
	assert_string_equal(condition(world, "status"), "True");
	assert_string_equal(condition(world, "lastTransitionTime"), "2026-01-01T00:00:00Z");
	assert_true(reported(world));
	want(world, true, "runs", false);
	run_for(world, 200000);
	assert_int_equal(world->requests, 4);
}

static void test_the_heartbeat_moves_one_time_only(void **context)
{
	struct world *world = *context;
	json_t *before;

	want(world, true, "runs", false);
	run_for(world, 1000);
	before = json_deep_copy(world->node);
	run_for(world, 331000);
	assert_int_equal(world->requests, 5);
	assert_string_not_equal(condition(world, "lastHeartbeatTime"), "2026-01-01T00:00:00Z");
	json_object_set_new(condition_of(world), "lastHeartbeatTime", json_string("2026-01-01T00:00:00Z"));
	assert_true(json_equal(before, world->node));
	json_decref(before);
}

static void test_heartbeats_are_spread(void **context)
{
	struct world *world = *context;
	int64_t least = INT64_MAX, most = 0;

	want(world, true, "runs", false);
	for (unsigned i = 0; i < 200; i++) {
		int64_t wait;

		run_for(world, 1);
		wait = wait_of(world);
		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
		run_for(world, wait);
	}
	assert_true(least >= 270000 - 1 && most <= 330001);
	assert_true(most - least > 30000);
	assert_in_range(world->requests, 200, 210);
}

static void test_a_start_is_spread(void **context)
{
	unsigned early = 0, late = 0;

	(void)context;
	for (uint64_t seed = 0; seed < 500; seed++) {
		struct kt_reporter reporter;
		struct kt_report report = {.status = KT_CONDITION_TRUE};
		int64_t wait;

		kt_reporter_init(&reporter, "mine", 300, 10, seed * 0x9e3779b97f4a7c15, START);
		kt_reporter_want(&reporter, &report, START);
		wait = kt_reporter_due_ms(&reporter) - START;
		assert_true(wait >= 0 && wait < 10000);
		early += wait < 5000;
		late += wait >= 5000;
		kt_reporter_done(&reporter);
	}
	assert_true(early > 150 && late > 150);
}

/* The heartbeat of a process before this one counts: restarts do not add writes. */
static void test_a_restart_writes_nothing(void **context)
{
	struct world *world = *context;

	want(world, true, "runs", false);
	run_for(world, 1000);
	kt_reporter_done(&world->reporter);
	kt_reporter_init(&world->reporter, "mine", 300, 0, 7, world->now_ms);
	world->requests = world->writes = 0;
	want(world, true, "runs", false);
	run_for(world, 100000);
	assert_int_equal(world->requests, 1);
	assert_int_equal(world->writes, 0);
	assert_true(reported(world));
	run_for(world, 300000);
	assert_int_equal(world->writes, 1);
}

static void test_changes_follow(void **context)
{
	struct world *world = *context;

	want(world, true, "runs", false);
	run_for(world, 10000);
	want(world, false, "does not run", false);
	assert_false(reported(world)); /* a verdict is not reported before it is there */
	run_for(world, 0);
	run_for(world, 1);
	assert_true(reported(world));
	assert_string_equal(label(world, "kontain.app/km"), "false");
	assert_null(label(world, "kontain.app/hypervisor"));
	assert_string_equal(condition(world, "status"), "False");
	assert_string_equal(condition(world, "lastTransitionTime"), "2026-01-01T00:00:10Z");
}

static void test_a_sentence_is_not_written_at_once(void **context)
{
	struct world *world = *context;
	char text[32];

	want(world, true, "runs", false);
	run_for(world, 1000);
	world->requests = 0;
	for (char c = 'a'; c < 'a' + 20; c++) { /* a minute of chatter */
		snprintf(text, sizeof(text), "runs, and %c", c);
		want(world, true, text, false);
		run_for(world, 3000);
		assert_true(reported(world));
	}
	assert_in_range(world->requests, 1, 3);
	run_for(world, 31000);
	assert_non_null(strstr(condition(world, "message"), "and t"));
	/* Figures alone are no news at all. */
	world->requests = 0;
	for (unsigned i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "runs, and t %u", i);
		want(world, true, text, false);
		run_for(world, 3000);
	}
	assert_in_range(world->requests, 0, 1); /* the blank before the figure */
}

static void test_removed_by_others_is_put_back(void **context)
{
	struct world *world = *context;

	want(world, true, "runs", false);
	run_for(world, 1000);
	json_object_del(json_object_get(json_object_get(world->node, "metadata"), "labels"), "kontain.app/km");
	json_array_clear(conditions_of(world->node));
	run_for(world, 331000);
	assert_string_equal(label(world, "kontain.app/km"), "true");
	assert_string_equal(condition(world, "status"), "True");
}

/* Somebody takes away whatever is written: no war of two programs. */
static void test_an_opponent_is_not_fought(void **context)
{
	struct world *world = *context;

	world->undo = 1000000;
	want(world, true, "runs", false);
	run_for(world, 60 * 60 * 1000);
	/* The other writes do not wait for the one that is undone. */
	assert_string_equal(condition(world, "status"), "True");
	assert_false(reported(world));
	assert_non_null(strstr(world->reporter.problem, "does not keep"));
	assert_true(world->requests < 4 * 40);
	/* Another wish is told at once all the same. */
	assert_true(wait_of(world) > 60000);
	want(world, false, "does not run", false);
	run_for(world, 1000);
	assert_string_equal(condition(world, "status"), "False");
	want(world, true, "runs", false);
	world->undo = 0;
	run_for(world, 330000);
	assert_string_equal(label(world, "kontain.app/km"), "true");
	assert_true(reported(world));
	assert_string_equal(world->reporter.problem, "");
}

static void test_the_watch_has_it_put_back_at_once(void **context)
{
	struct world *world = *context;

	begin_watched(world);
	set_label(world, "kontain.app/km", NULL);
	see(world, world->node);
	run_for(world, 1);
	assert_string_equal(label(world, "kontain.app/km"), "true");
	json_object_set_new(condition_of(world), "status", json_string("False"));
	count_revision(world);
	see(world, world->node);
	run_for(world, 1);
	assert_string_equal(condition(world, "status"), "True");
	assert_int_equal(world->requests, 2); /* one write each, and no read */
	assert_int_equal(world->reporter.undone, 2);
	/* What is not ours is no news. */
	set_label(world, "team", "red");
	see(world, world->node);
	run_for(world, 1000);
	assert_int_equal(world->requests, 2);
	assert_int_equal(world->reporter.undone, 2);
	assert_true(reported(world));
}

/* The watch begins with what the server's cache has, and tells of our own writes after their answers. */
static void test_old_news_is_none(void **context)
{
	struct world *world = *context;
	KT_OWN(kt_node_view_done) struct kt_node_view view;
	struct kt_kube_request request;
	struct kt_kube_reply reply = {.code = 200};
	char *old;
	json_t *before = json_deep_copy(world->node);

	json_object_set_new(json_object_get(before, "metadata"), "uid", json_string("first"));
	json_object_set_new(json_object_get(before, "metadata"), "resourceVersion", json_string("99"));
	begin_watched(world);
	see(world, before);
	run_for(world, 1000);
	assert_int_equal(world->requests, 0);
	assert_int_equal(world->reporter.undone, 0);
	/* A write's answer that comes after the news of a later change is asked about. */
	want(world, false, "does not run", false);
	assert_true(kt_reporter_next(&world->reporter, world->now_ms, now_s(world), &request));
	free(request.body);
	old = json_dumps(world->node, JSON_COMPACT);
	set_label(world, "kontain.app/km-version", "other");
	see(world, world->node);
	reply.body = old;
	reply.size = strlen(old);
	kt_reporter_take(&world->reporter, &reply, world->now_ms, now_s(world));
	free(old);
	run_for(world, 1);
	assert_string_equal(label(world, "kontain.app/km-version"), "0.9");
	assert_string_equal(label(world, "kontain.app/km"), "false");
	/* An etcd that was restored counts anew: what the server answers to a read holds. */
	world->revision = 3;
	set_label(world, "kontain.app/km", NULL);
	kt_reporter_see_nothing(&world->reporter);
	run_for(world, 1);
	assert_string_equal(label(world, "kontain.app/km"), "false");
	parse_view(world->node, &view);
	assert_int_equal(world->reporter.node.revision, view.revision);
	json_decref(before);
}

/* Two writers that want different values, each told of the other's writes at once. */
static void test_two_writers_make_no_storm(void **context)
{
	struct world *world = *context;
	unsigned undone = 0;
	int64_t end;

	begin_watched(world);
	for (end = world->now_ms + 60 * 60 * 1000; world->now_ms < end; run_for(world, 100)) {
		if (!label(world, "kontain.app/km"))
			continue;
		set_label(world, "kontain.app/km", NULL);
		see(world, world->node);
		undone++;
	}
	/* Ten at once, then one a heartbeat; and the heartbeats. */
	assert_in_range(undone, 10, 10 + 13);
	assert_int_equal(world->reporter.undone, undone);
	assert_in_range(world->writes, undone - 1, undone + 14);
	assert_true(world->requests < 50);
	assert_false(reported(world));
	assert_non_null(strstr(world->reporter.problem, "does not keep"));
	/* Another wish is told at once all the same. */
	want(world, false, "does not run", false);
	run_for(world, 1000);
	assert_string_equal(condition(world, "status"), "False");
	assert_string_equal(label(world, "kontain.app/km"), "false");
	/* And when the other one has gone, it is as it should be. */
	set_label(world, "kontain.app/km", NULL);
	see(world, world->node);
	run_for(world, 330000);
	assert_string_equal(label(world, "kontain.app/km"), "false");
	assert_true(reported(world));
	assert_string_equal(world->reporter.problem, "");
}

static void delete_node(struct world *world)
{
	KT_OWN(kt_node_view_done) struct kt_node_view view;

	parse_view(world->node, &view);
	kt_reporter_see_deleted(&world->reporter, &view, world->now_ms);
}

static void register_node(struct world *world, const char *uid)
{
	json_t *metadata = json_object_get(world->node, "metadata");

	json_object_clear(json_object_get(metadata, "labels"));
	json_object_set_new(metadata, "uid", json_string(uid));
	json_array_clear(conditions_of(world->node));
	count_revision(world);
	see(world, world->node);
}

static void test_a_node_registered_anew(void **context)
{
	struct world *world = *context;
	char uid[16];

	begin_watched(world);
	delete_node(world);
	for (unsigned i = 0; i < 5; i++)
		refuse(world, 404, "{\"message\":\"no such node\"}", 0);
	assert_false(reported(world));
	assert_true(wait_of(world) > 5000);
	world->requests = 0;
	register_node(world, "second");
	run_for(world, 1000);
	assert_string_equal(label(world, "kontain.app/km"), "true");
	assert_string_equal(condition(world, "status"), "True");
	assert_int_equal(world->requests, 2);
	/* The end of the first one is heard late. */
	register_node(world, "third");
	run_for(world, 1000);
	world->requests = 0;
	{
		struct kt_node_view view = {.uid = "second", .taint_index = -1};

		kt_reporter_see_deleted(&world->reporter, &view, world->now_ms);
	}
	run_for(world, 1000);
	assert_int_equal(world->requests, 0);
	/* A server that says so without end is not answered without end. */
	for (unsigned i = 0; i < 600; i++) {
		delete_node(world);
		snprintf(uid, sizeof(uid), "u%u", i);
		register_node(world, uid);
		run_for(world, 100);
	}
	assert_true(world->requests < 60);
}

static void test_taken_back(void **context)
{
	struct world *world = *context;

	want(world, true, "runs", false);
	run_for(world, 1000);
	want(world, false, "gone", true);
	assert_false(reported(world));
	run_for(world, 1000);
	assert_true(reported(world));
	assert_null(label(world, "kontain.app/km"));
	assert_null(label(world, "kontain.app/km-version"));
	assert_string_equal(label(world, "team"), "blue");
	assert_null(condition_of(world));
	world->requests = 0;
	run_for(world, 24 * 60 * 60 * 1000);
	assert_int_equal(world->requests, 0); /* nothing beats any more */
}

static void test_nothing_to_say_yet(void **context)
{
	struct world *world = *context;

	/* The condition is of this boot: it stays, and nothing spins. */
	want(world, true, "runs", false);
	run_for(world, 1000);
	want_hold(world);
	world->writes = 0;
	run_for(world, 60 * 60 * 1000);
	assert_int_equal(world->writes, 0);
	assert_false(reported(world));
	assert_string_equal(condition(world, "status"), "True");
	/* Of another boot: Unknown, at once. */
	json_object_set_new(condition_of(world), "message", json_string("runs (boot another)"));
	kt_reporter_done(&world->reporter);
	kt_reporter_init(&world->reporter, "mine", 300, 0, 7, world->now_ms);
	want_hold(world);
	run_for(world, 1000);
	assert_string_equal(condition(world, "status"), "Unknown");
	assert_string_equal(label(world, "kontain.app/km"), "false");
	assert_false(reported(world));
	want(world, true, "runs", false);
	run_for(world, 1000);
	assert_string_equal(condition(world, "status"), "True");
	assert_true(reported(world));
}

/* ---- trouble ---- */

static const struct {
	const char *name;
	long code;
	const char *body;
	unsigned retry_after_s;
	/* the wait after the first and after the tenth in a row */
	int64_t first_least, first_most, tenth_least, tenth_most;
	const char *problem; /* a part of it */
} troubles[] = {
	{"no answer", 0, "", 0, 500, 1000, 15000, 30000, "no route"},
	{"error", 500, "{\"kind\":\"Status\",\"message\":\"etcd is away\"}", 0, 500, 1000, 15000, 30000,
	 "answers 500 to GET: etcd is away"},
	{"plain text", 429, "Too many requests, please try again later.\n", 0, 500, 1000, 15000, 30000,
	 "answers 429 to GET: Too many requests, please try again later."},
	{"asked to wait", 429, "Too many requests", 7, 7000, 11500, 7000, 11500, "429"},
	{"asked to wait for long", 503, "", 300, 300000, 451000, 300000, 451000, "503"},
	{"no right", 403, "{\"message\":\"cannot get resource\"}", 0, 500, 1000, 150000, 300000, "cannot get"},
	{"not there", 404, "{\"message\":\"nodes not found\"}", 0, 500, 1000, 15000, 30000, "not found"},
	{"redirect", 302, "<html>\x01\xff", 0, 500, 1000, 15000, 30000, "302 to GET: <html>??"},
	{"not a node", 200, "{\"kind\":\"Pod\"}", 0, 500, 1000, 15000, 30000, "is not node mine"},
	{"garbage", 200, "\x16\x03\x01", 0, 500, 1000, 15000, 30000, "not JSON"},
	{"created", 201, "{}", 0, 500, 1000, 15000, 30000, "201"},
};

static void test_trouble_backs_off(void **context)
{
	struct world *world = *context;

	(void)world;
	for (size_t i = 0; i < sizeof(troubles) / sizeof(troubles[0]); i++) {
		end(context);
		begin(context);
		world = *context;
		want(world, true, "runs", false);
		for (unsigned n = 1; n <= 10; n++) {
			int64_t least = n == 1 ? troubles[i].first_least : troubles[i].tenth_least;
			int64_t most = n == 1 ? troubles[i].first_most : troubles[i].tenth_most;

			refuse(world, troubles[i].code, troubles[i].body, troubles[i].retry_after_s);
			if ((n == 1 || n == 10) && (wait_of(world) < least || wait_of(world) > most))
				fail_msg("%s: waits %lld ms after the %uth", troubles[i].name,
					 (long long)wait_of(world), n);
			if (!strstr(world->reporter.problem, troubles[i].problem))
				fail_msg("%s: says %s", troubles[i].name, world->reporter.problem);
			assert_false(reported(world));
		}
		run_for(world, 460000);
		assert_true(reported(world));
		assert_string_equal(world->reporter.problem, "");
	}
}

/* The answer to the write under way; what is read in between is answered by the node. */
static void refuse_write(struct world *world, const char *type, long code, const char *body)
{
	struct kt_kube_reply reply = {.code = code, .body = body, .size = strlen(body)};
	struct kt_kube_request request;

	for (unsigned turns = 0; turns < 20; turns++) {
		if (!kt_reporter_next(&world->reporter, world->now_ms, now_s(world), &request)) {
			world->now_ms = kt_reporter_due_ms(&world->reporter);
			continue;
		}
		if (request.content_type && strcmp(request.content_type, type) == 0) {
			free(request.body);
			kt_reporter_take(&world->reporter, &reply, world->now_ms, now_s(world));
			return;
		}
		serve(world, &request);
		free(request.body);
	}
	fail_msg("no %s is sent", type);
}

static void test_a_refused_write_holds_up_no_other(void **context)
{
	static const struct {
		long code;
		unsigned times;
	} rows[] = {{403, 1}, {400, 1}, {404, 1}, {409, 3}, {422, 3}};
	struct world *world;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		end(context);
		begin(context);
		world = *context;
		want(world, true, "runs", false);
		for (unsigned n = 0; n < rows[i].times; n++) {
			refuse_write(world, "application/merge-patch+json", rows[i].code,
				     "{\"message\":\"no such right\"}");
			assert_in_range(wait_of(world), CONFLICT_LEAST_MS, CONFLICT_MOST_MS);
		}
		/* The condition is written though the labels are not, and the trouble is told. */
		refuse_write(world, "application/json-patch+json", 422, "{\"message\":\"the test failed\"}");
		assert_string_equal(condition(world, "status"), "True");
		assert_null(label(world, "kontain.app/km"));
		assert_true(world->reporter.problem[0]);
		assert_false(reported(world));
		run_for(world, 30000);
		assert_string_equal(label(world, "kontain.app/km"), "true");
		assert_true(reported(world));
	}
}

/* What is asked while every write of the node, or also its reading, is refused for an hour. */
static unsigned refused_for_an_hour(struct world *world, long code, const char *verb)
{
	struct kt_kube_reply reply = {.code = code, .body = "{\"message\":\"no such right\"}", .size = 27};
	int64_t until = world->now_ms + 60 * 60 * 1000;
	struct kt_kube_request request;
	unsigned requests = 0;

	while (world->now_ms < until) {
		if (!kt_reporter_next(&world->reporter, world->now_ms, now_s(world), &request)) {
			assert_true(kt_reporter_due_ms(&world->reporter) > world->now_ms);
			world->now_ms = kt_reporter_due_ms(&world->reporter);
			continue;
		}
		requests++;
		if (strcmp(request.verb, verb) == 0)
			kt_reporter_take(&world->reporter, &reply, world->now_ms, now_s(world));
		else
			serve(world, &request);
		free(request.body);
	}
	return requests;
}

static void test_what_stays_refused_is_asked_once_a_heartbeat(void **context)
{
	static const struct {
		long code;
		const char *verb;
		unsigned most; /* requests in an hour of heartbeats of 300 s, waits of half that among them */
	} rows[] = {{403, "PATCH", 24}, {403, "GET", 24}, {422, "PATCH", 48}, {400, "PATCH", 48}, {404, "PATCH", 48}};
	struct world *world;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned first, later;

		end(context);
		begin(context);
		world = *context;
		want(world, true, "runs", false);
		first = refused_for_an_hour(world, rows[i].code, rows[i].verb);
		later = refused_for_an_hour(world, rows[i].code, rows[i].verb);
		if (first > rows[i].most + 40 || later > rows[i].most)
			fail_msg("%ld to %s: %u requests in the first hour, %u in the second", rows[i].code,
				 rows[i].verb, first, later);
		/* The right comes back: all is reported a heartbeat later. */
		run_for(world, 301000);
		assert_true(reported(world));
		assert_string_equal(label(world, "kontain.app/km"), "true");
		assert_string_equal(condition(world, "status"), "True");
	}
}

/* Of the writes one alone is refused for ever: the other one beats. */
static void test_a_refused_write_does_not_stop_the_heartbeat(void **context)
{
	struct world *world = *context;
	struct kt_kube_reply reply = {.code = 403, .body = "{}", .size = 2};
	int64_t until = world->now_ms + 2 * 60 * 60 * 1000;
	struct kt_kube_request request;
	unsigned refused = 0;

	want(world, true, "runs", false);
	while (world->now_ms < until) {
		if (!kt_reporter_next(&world->reporter, world->now_ms, now_s(world), &request)) {
			world->now_ms = kt_reporter_due_ms(&world->reporter);
			continue;
		}
		if (request.content_type && strcmp(request.content_type, "application/merge-patch+json") == 0) {
			kt_reporter_take(&world->reporter, &reply, world->now_ms, now_s(world));
			refused++;
		} else {
			serve(world, &request);
		}
		free(request.body);
	}
	assert_in_range(refused, 20, 24 * 3 + 20);
	assert_true(strcmp(condition(world, "lastHeartbeatTime"), "2026-01-01T01:45:00Z") > 0);
}

static void test_a_stale_token_is_read_again_once(void **context)
{
	struct world *world = *context;

	want(world, true, "runs", false);
	refuse(world, 401, "{\"message\":\"Unauthorized\"}", 0);
	assert_int_equal(wait_of(world), 0);
	refuse(world, 401, "{\"message\":\"Unauthorized\"}", 0);
	assert_true(wait_of(world) >= 500);
	run_for(world, 60000);
	assert_true(reported(world));
	/* and again the next time */
	want(world, false, "does not run", false);
	refuse(world, 401, "{\"message\":\"Unauthorized\"}", 0);
	assert_int_equal(wait_of(world), 0);
	run_for(world, 1000);
	assert_true(reported(world));
}

static void test_silence_does_not_unreport(void **context)
{
	struct world *world = *context;

	want(world, true, "runs", false);
	run_for(world, 1000);
	world->now_ms += 331000;
	for (unsigned n = 0; n < 20; n++)
		refuse(world, 0, "", 0);
	assert_true(reported(world)); /* what is there is true */
	want(world, false, "does not run", false);
	assert_false(reported(world));
}

static void test_node_names(void **context)
{
	static const struct {
		const char *name;
		bool valid;
	} rows[] = {
		{"a", true},     {"node-1.example.com", true},
		{"1", true},     {"", false},
		{"-a", false},   {".a", false},
		{"a..b", false}, {"A", false},
		{"a/b", false},  {"a?x=y", false},
		{"../x", false}, {"a b", false},
		{"a%2f", false}, {"\xc3\xa4", false},
	};
	char long_name[300];

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (kt_node_name_is_valid(rows[i].name) != rows[i].valid)
			fail_msg("%s", rows[i].name);
	memset(long_name, 'a', sizeof(long_name));
	long_name[254] = '\0';
	assert_false(kt_node_name_is_valid(long_name));
	long_name[253] = '\0';
	assert_true(kt_node_name_is_valid(long_name));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_is_written_once),
		TEST(test_the_heartbeat_moves_one_time_only),
		TEST(test_heartbeats_are_spread),
		TEST(test_a_start_is_spread),
		TEST(test_a_restart_writes_nothing),
		TEST(test_changes_follow),
		TEST(test_a_sentence_is_not_written_at_once),
		TEST(test_removed_by_others_is_put_back),
		TEST(test_an_opponent_is_not_fought),
		TEST(test_the_watch_has_it_put_back_at_once),
		TEST(test_old_news_is_none),
		TEST(test_two_writers_make_no_storm),
		TEST(test_a_node_registered_anew),
		TEST(test_taken_back),
		TEST(test_nothing_to_say_yet),
		TEST(test_trouble_backs_off),
		TEST(test_a_refused_write_holds_up_no_other),
		TEST(test_what_stays_refused_is_asked_once_a_heartbeat),
		TEST(test_a_refused_write_does_not_stop_the_heartbeat),
		TEST(test_a_stale_token_is_read_again_once),
		TEST(test_silence_does_not_unreport),
		TEST(test_node_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
