/* links: kt_serve kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "serve/health.h"

/* The nodes that there are. */
enum situation {
	PROVEN,
	FAILED_UPGRADE,
	UNFIT,
	UNFIT_HELD,
	LANDING,
	GONE,
	OVERDUE,
	SILENT_SERVER,
	ALONE,
	HOSTILE,
	GUARDED,
	OPEN,
	OPEN_EXPECTED
};

static void judge(enum situation what, struct kt_health *ret_health)
{
	static struct kt_state state;
	struct kt_error why = {.reason = KT_REASON_STATE_OVERDUE, .text = "overdue by 7 s"};
	struct kt_health_input input = {.state = &state, .why = &why, .is_reported = true, .report_problem = ""};

	kt_state_init(&state);
	kt_verdict_set(&state.node, true, KT_REASON_READY, "km 1.2 runs");
	kt_verdict_set(&state.rollout, true, KT_REASON_READY, "1.2 is current");
	switch (what) {
	case PROVEN:
		break;
	case FAILED_UPGRADE:
		kt_verdict_set(&state.rollout, false, KT_REASON_KM_ABORTED, "1.3 aborts");
		break;
	case UNFIT:
		kt_verdict_set(&state.node, false, KT_REASON_DEVICE_MISSING, "no /dev/kvm");
		state.rollout = state.node;
		state.rollout.ok = true;
		break;
	case UNFIT_HELD: /* unfitNodes: notReady */
		kt_verdict_set(&state.node, false, KT_REASON_DEVICE_MISSING, "no /dev/kvm");
		state.rollout = state.node;
		break;
	case LANDING:
		kt_verdict_set(&state.node, false, KT_REASON_STARTING, "%s", "");
		state.rollout = state.node;
		break;
	case GONE:
		kt_verdict_set(&state.node, false, KT_REASON_ABSENT, "not wanted");
		kt_verdict_set(&state.rollout, true, KT_REASON_ABSENT, "nothing left");
		break;
	case OVERDUE:
		input.state = NULL;
		break;
	case SILENT_SERVER:
		input.is_reported = false;
		input.report_problem = "the API server does not answer: no route";
		break;
	case ALONE:
		input.is_standalone = true;
		input.is_reported = false;
		break;
	case GUARDED:
		input.policy = KT_POLICY_IN_FORCE;
		break;
	case OPEN:
		input.policy = KT_POLICY_OPEN;
		break;
	case OPEN_EXPECTED:
		input.policy = KT_POLICY_OPEN;
		input.is_unguarded = true;
		break;
	case HOSTILE:
		kt_verdict_set(&state.node, true, KT_REASON_READY, "%s", "x\n[+]state ok\r\x1b[2J\xff");
		kt_verdict_set(&state.rollout, false, KT_REASON_KM_FAILED, "%s", "\nreadyz check passed");
		break;
	}
	kt_health_judge(&input, ret_health);
}

static const struct {
	enum situation what;
	const char *path;
	bool verbose;
	const char *exclude[2];
	unsigned code;
	const char *body;
} rows[] = {
	{PROVEN, "/livez", false, {NULL}, 200, "ok\n"},
	{PROVEN, "/livez", true, {NULL}, 200, "[+]loop ok\nlivez check passed\n"},
	{PROVEN, "/livez/loop", false, {NULL}, 200, "ok\n"},
	{PROVEN, "/livez/km", false, {NULL}, 404, "not found: livez has the checks loop\n"},
	{OVERDUE, "/livez", false, {NULL}, 200, "ok\n"},

	{PROVEN, "/readyz", false, {NULL}, 200, "ok\n"},
	{PROVEN, "/readyz/", false, {NULL}, 200, "ok\n"},
	{PROVEN,
	 "/readyz",
	 true,
	 {NULL},
	 200,
	 "[+]state ok\n[+]version ok: 1.2 is current\n[+]report ok\n[+]km ok: km 1.2 runs\nreadyz check passed\n"},
	{PROVEN, "/readyz/km", false, {NULL}, 200, "ok\n"},
	{PROVEN, "/readyz/km", true, {NULL}, 200, "[+]km ok: km 1.2 runs\n"},
	{PROVEN,
	 "/readyz/nothing",
	 false,
	 {NULL},
	 404,
	 "not found: readyz has the checks state, version, report, km, policy\n"},

	/* The old version serves, the one asked for does not: not done, yet able. */
	{FAILED_UPGRADE,
	 "/readyz",
	 false,
	 {NULL},
	 503,
	 "[+]state ok\n[-]version failed: KmAborted: 1.3 aborts\n[+]report ok\n[+]km ok: km 1.2 runs\n"
	 "readyz check failed\n"},
	{FAILED_UPGRADE, "/readyz/version", false, {NULL}, 503, "[-]version failed: KmAborted: 1.3 aborts\n"},
	{FAILED_UPGRADE, "/readyz/km", false, {NULL}, 200, "ok\n"},
	{FAILED_UPGRADE, "/readyz", false, {"version", NULL}, 200, "ok\n"},

	/* Done, though it can run nothing: it holds up no other node, and says so. */
	{UNFIT, "/readyz", false, {NULL}, 200, "unfit: DeviceMissing\n"},
	{UNFIT,
	 "/readyz",
	 true,
	 {NULL},
	 200,
	 "[+]state ok\n[+]version ok: DeviceMissing: no /dev/kvm\n[+]report ok\n"
	 "[+]km unfit: DeviceMissing: no /dev/kvm\nreadyz check passed\n"},
	{UNFIT, "/readyz/km", false, {NULL}, 503, "[-]km unfit: DeviceMissing: no /dev/kvm\n"},
	{UNFIT, "/readyz/version", false, {NULL}, 200, "ok\n"},
	{UNFIT, "/readyz", false, {"km", NULL}, 200, "ok\n"},
	{UNFIT_HELD,
	 "/readyz",
	 false,
	 {NULL},
	 503,
	 "[+]state ok\n[-]version failed: DeviceMissing: no /dev/kvm\n[+]report ok\n"
	 "[-]km failed: DeviceMissing: no /dev/kvm\nreadyz check failed\n"},

	{LANDING,
	 "/readyz",
	 false,
	 {NULL},
	 503,
	 "[+]state ok\n[-]version failed: Starting\n[+]report ok\n[-]km failed: Starting\nreadyz check failed\n"},
	{GONE, "/readyz", false, {NULL}, 200, "removed: Absent\n"},
	{GONE, "/readyz/km", false, {NULL}, 503, "[-]km removed: Absent: not wanted\n"},

	{OVERDUE,
	 "/readyz",
	 false,
	 {NULL},
	 503,
	 "[-]state failed: StateOverdue: overdue by 7 s\n[-]version failed: StateOverdue\n[+]report ok\n"
	 "[-]km failed: StateOverdue\nreadyz check failed\n"},
	{OVERDUE,
	 "/readyz",
	 false,
	 {"state", NULL},
	 503,
	 "[+]state excluded: ok\n[-]version failed: StateOverdue\n[+]report ok\n[-]km failed: StateOverdue\n"
	 "readyz check failed\n"},

	{SILENT_SERVER,
	 "/readyz",
	 false,
	 {NULL},
	 503,
	 "[+]state ok\n[+]version ok: 1.2 is current\n[-]report failed: the API server does not answer: no route\n"
	 "[+]km ok: km 1.2 runs\nreadyz check failed\n"},
	{SILENT_SERVER,
	 "/readyz",
	 true,
	 {"report", "nothing"},
	 200,
	 "[+]state ok\n[+]version ok: 1.2 is current\n[+]report excluded: ok\n[+]km ok: km 1.2 runs\n"
	 "warn: exclude names a check that is not here\nreadyz check passed\n"},
	{ALONE,
	 "/readyz",
	 true,
	 {NULL},
	 200,
	 "[+]state ok\n[+]version ok: 1.2 is current\n[+]report ok: standalone\n[+]km ok: km 1.2 runs\n"
	 "readyz check passed\n"},

	/* Said, and no reason to be not ready. */
	{GUARDED,
	 "/readyz",
	 true,
	 {NULL},
	 200,
	 "[+]state ok\n[+]version ok: 1.2 is current\n[+]report ok\n[+]km ok: km 1.2 runs\n[+]policy ok: in force\n"
	 "readyz check passed\n"},
	{OPEN, "/readyz", false, {NULL}, 200, "ok\n"},
	{OPEN,
	 "/readyz",
	 true,
	 {NULL},
	 200,
	 "[+]state ok\n[+]version ok: 1.2 is current\n[+]report ok\n[+]km ok: km 1.2 runs\n"
	 "[+]policy warning: not in force: this token can change any node; apply manifests/base/policy.yaml, or set "
	 "report.unguarded\nreadyz check passed\n"},
	{OPEN,
	 "/readyz/policy",
	 false,
	 {NULL},
	 503,
	 "[-]policy warning: not in force: this token can change any node; apply manifests/base/policy.yaml, or set "
	 "report.unguarded\n"},
	{OPEN_EXPECTED,
	 "/readyz/policy",
	 true,
	 {NULL},
	 200,
	 "[+]policy ok: not in force, as the config says (report.unguarded)\n"},
	{PROVEN, "/readyz/policy", true, {NULL}, 200, "[+]policy ok: not known yet\n"},

	/* A line break in a state makes no line. */
	{HOSTILE,
	 "/readyz",
	 false,
	 {NULL},
	 503,
	 "[+]state ok\n[-]version failed: KmFailed:  readyz check passed\n[+]report ok\n"
	 "[+]km ok: x [+]state ok  [2J?\nreadyz check failed\n"},

	{PROVEN, "/", false, {NULL}, 0, NULL},
	{PROVEN, "", false, {NULL}, 0, NULL},
	{PROVEN, "readyz", false, {NULL}, 0, NULL},
	{PROVEN, "/readyzz", false, {NULL}, 0, NULL},
	{PROVEN, "/healthz", false, {NULL}, 0, NULL},
	{PROVEN, "//readyz", false, {NULL}, 0, NULL},
};

static void test_answers(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_http_request request = {.path = rows[i].path, .verbose = rows[i].verbose};
		struct kt_http_reply reply = {0};
		struct kt_health health;

		while (request.exclude_count < 2 && rows[i].exclude[request.exclude_count]) {
			request.exclude[request.exclude_count] = rows[i].exclude[request.exclude_count];
			request.exclude_count++;
		}
		judge(rows[i].what, &health);
		kt_health_answer(&health, &request, &reply);

		KT_OWN(kt_free_mem) char *body = reply.body;

		if (reply.code != rows[i].code || !body != !rows[i].body || (body && strcmp(body, rows[i].body) != 0))
			fail_msg("row %zu, %s: %u\n%s", i, rows[i].path, reply.code, body ? body : "nothing");
		assert_int_equal(reply.size, body ? strlen(body) : 0);
	}
}

/* The longest sentences fit, or are cut to a line. */
static void test_long_sentences(void **context)
{
	struct kt_state state;
	struct kt_health_input input = {.state = &state, .is_standalone = true, .report_problem = ""};
	struct kt_http_request request = {.path = "/readyz", .verbose = true};
	struct kt_http_reply reply = {0};
	struct kt_health health;

	(void)context;
	kt_state_init(&state);
	memset(state.node.message, 'x', sizeof(state.node.message) - 1);
	state.node.reason = KT_REASON_NOT_OFFERED_BY_HYPERVISOR;
	state.rollout = state.node;
	kt_health_judge(&input, &health);
	kt_health_answer(&health, &request, &reply);

	KT_OWN(kt_free_mem) char *body = reply.body;
	size_t lines = 0;

	for (const char *c = body; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, 5);
	assert_non_null(strstr(body, "[-]km failed: NotOfferedByHypervisor: xxx"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_long_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
