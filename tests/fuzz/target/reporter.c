/* links: kt_fuzz_server kt_kube kt_contract kt_base */
/* The reporter against a server that says anything: the bytes are a script of answers, waits and new wishes. Whatever
 * was said, requests are those that there are, none comes before its time, and once the server is honest again all is
 * reported. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kube/reporter.h"
#include "server.h"

#define BOOT         "0a1b2c3d-0000-4000-8000-123456789abc"
#define NAME         "n1"
#define START_MS     1000000
#define EPOCH        1767225600
#define HEARTBEAT    300
#define AWAY_MOST_MS (UINT8_MAX * 1500 + 1000) /* Retry-After is a byte here, and half of it is added by chance */
#define STEPS_MAX    200
#define HONEST_MAX   80
/* At one moment and for one wish: each write three times, reads between them, and a token tried twice. */
#define REQUESTS_AT_ONCE 24

struct world {
	struct kt_reporter reporter;
	json_t *node; /* owned */
	int64_t now_ms;
	unsigned at_once;
	/* the script */
	const uint8_t *bytes;
	size_t size;
};

static uint8_t byte_take(struct world *world)
{
	if (world->size == 0)
		return 0;
	world->size--;
	return *world->bytes++;
}

static int64_t now_s(const struct world *world)
{
	return EPOCH + world->now_ms / 1000;
}

static void wish(struct world *world, uint8_t kind)
{
	struct kt_state state;
	struct kt_error why = {.reason = KT_REASON_STATE_MISSING, .text = "no state"};
	const struct kt_report_input input = {.state = kind & 8 ? NULL : &state,
					      .why = &why,
					      .boot_id = BOOT,
					      .desired_absent = kind & 4,
					      .legacy_label = kind & 2};
	struct kt_report report;

	kt_state_init(&state);
	kt_verdict_set(&state.node, kind & 1, kind & 1 ? KT_REASON_READY : KT_REASON_KM_FAILED, "sentence %u",
		       kind >> 4);
	kt_verdict_set(&state.rollout, true, kind & 4 ? KT_REASON_ABSENT : KT_REASON_READY, "done");
	(void)snprintf(state.versions.km_version, sizeof(state.versions.km_version), "0.%u", kind >> 6);
	kt_report_decide(&input, &report);
	kt_reporter_want(&world->reporter, &report, world->now_ms);
	world->at_once = 0;
}

/* A reply of the script: a code, how long to stay away, and its own bytes or the honest node's as a body. */
static void lie(struct world *world)
{
	static const long codes[] = {200, 200, 200, 0, 401, 403, 404, 409, 422, 429, 500, 503, 201, 301, 408, 999};
	uint8_t what = byte_take(world), length = what & 0x40 ? 0 : byte_take(world);
	struct kt_kube_reply reply = {.code = codes[what & 15], .retry_after_s = what & 0x20 ? byte_take(world) : 0};
	enum kt_reporter_step step = world->reporter.step;
	bool was_retried = world->reporter.token_retried;
	KT_OWN(kt_free_mem) char *body = json_dumps(world->node, JSON_COMPACT);
	KT_OWN(kt_free_mem)
	char *own = strndup((const char *)world->bytes, length < world->size ? length : world->size);

	FUZZ_REQUIRE(body && own);
	reply.body = what & 0x40 ? body : own;
	reply.size = strlen(reply.body);
	if (!(what & 0x40)) {
		world->bytes += length < world->size ? length : world->size;
		world->size -= length < world->size ? length : world->size;
	}
	if (reply.code == 0)
		strcpy(reply.problem, "no answer");
	kt_reporter_take(&world->reporter, &reply, world->now_ms, now_s(world));
	FUZZ_REQUIRE(world->reporter.step == KT_STEP_IDLE);
	FUZZ_REQUIRE(memchr(world->reporter.problem, '\0', sizeof(world->reporter.problem)) != NULL);
	FUZZ_REQUIRE(reply.code == 200 || world->reporter.problem[0]);
	/* asked to stay away, and not for this one request or its token alone */
	if ((reply.code == 429 || reply.code >= 500 || (reply.code == 0 && step == KT_STEP_READ)) && !was_retried)
		FUZZ_REQUIRE(kt_reporter_due_ms(&world->reporter) >=
			     world->now_ms + (int64_t)reply.retry_after_s * 1000 + (reply.retry_after_s ? 0 : 1));
}

/* The next request, when one is due: looked at by the honest server, which then does it or not. */
static bool request_take(struct world *world, bool is_honest)
{
	struct kt_kube_request request = {.body = NULL};
	KT_OWN(fuzz_json_release) json_t *spare = NULL;
	int code;

	if (!kt_reporter_next(&world->reporter, world->now_ms, now_s(world), &request))
		return false;
	FUZZ_REQUIRE(world->reporter.not_before_ms <= world->now_ms);
	FUZZ_REQUIRE(kt_reporter_due_ms(&world->reporter) == INT64_MAX); /* one at a time */
	FUZZ_REQUIRE(++world->at_once <= REQUESTS_AT_ONCE);
	spare = json_deep_copy(world->node);
	code = is_honest || (byte_take(world) & 1) ? fuzz_server_answer(world->node, NAME, &request) : 0;
	if (!is_honest && code == 0) { /* looked at all the same; a taint that is not there is none of its faults */
		json_t *ignored = json_deep_copy(spare);

		(void)fuzz_server_answer(ignored, NAME, &request);
		json_decref(ignored);
	}
	free(request.body);
	if (!is_honest) {
		lie(world);
		return true;
	}

	KT_OWN(kt_free_mem) char *body = json_dumps(world->node, JSON_COMPACT);
	const struct kt_kube_reply reply = {.code = code, .body = body, .size = strlen(body)};

	kt_reporter_take(&world->reporter, &reply, world->now_ms, now_s(world));
	return true;
}

static void wait(struct world *world, int64_t time_ms)
{
	if (time_ms > 0)
		world->at_once = 0;
	world->now_ms += time_ms;
}

static void script_run(struct world *world)
{
	for (unsigned step = 0; step < STEPS_MAX && world->size > 0; step++) {
		uint8_t what = byte_take(world);

		if (what < 0x20)
			wish(world, byte_take(world));
		else if (what < 0x40)
			wait(world, (int64_t)byte_take(world) * byte_take(world) * 10);
		else if (!request_take(world, false) && kt_reporter_due_ms(&world->reporter) < INT64_MAX &&
			 kt_reporter_due_ms(&world->reporter) > world->now_ms)
			wait(world, kt_reporter_due_ms(&world->reporter) - world->now_ms);
	}
}

/* A server that does what it is asked, and a wish that can be told. */
static void honest_end(struct world *world)
{
	char why[256];

	wish(world, 1);
	for (unsigned turn = 0; turn < HONEST_MAX; turn++) {
		bool is_busy = request_take(world, true);

		if (!is_busy && world->reporter.has_confirmed &&
		    kt_report_is_same(&world->reporter.want, &world->reporter.confirmed))
			break;
		if (!is_busy && kt_reporter_due_ms(&world->reporter) > world->now_ms)
			wait(world, kt_reporter_due_ms(&world->reporter) - world->now_ms);
	}
	FUZZ_REQUIRE(kt_reporter_is_reported(&world->reporter, world->now_ms, why, sizeof(why)));
	FUZZ_REQUIRE(kt_report_is_same(&world->reporter.want, &world->reporter.confirmed));
	/* the next beat, or the end of a time that it was asked to stay away for */
	FUZZ_REQUIRE(kt_reporter_due_ms(&world->reporter) <= world->now_ms + AWAY_MOST_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(fuzz_json_release) json_t *node = fuzz_node_new(NAME);
	struct world world = {.node = node, .now_ms = START_MS, .bytes = bytes, .size = size};

	kt_reporter_init(&world.reporter, NAME, HEARTBEAT, byte_take(&world) % 16, 42, START_MS);
	fuzz_taken++;
	script_run(&world);
	honest_end(&world);
	kt_reporter_done(&world.reporter);
	return 0;
}
