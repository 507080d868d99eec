/* links: kt_serve kt_contract kt_base */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "serve/metrics.h"

static void fill(struct kt_state *state)
{
	kt_state_init(state);
	kt_verdict_set(&state->node, true, KT_REASON_READY, "runs");
	kt_verdict_set(&state->kvm.verdict, true, KT_REASON_READY, "a guest ran");
	state->kvm.probed = true;
	state->kvm.duration_us = 1002034;
	kt_verdict_set(&state->rollout, false, KT_REASON_KM_ABORTED, "1.3 aborts");
	strcpy(state->versions.desired, "1.3");
	strcpy(state->versions.current, "1.2");
	memset(state->versions.km_digest, 'a', 64);
	state->reconciles = (struct kt_state_reconciles){.count = 7,
							 .duration_ms = 1034,
							 .cpu_us = 2000017,
							 .ready_changes = 5,
							 .held_back = 2,
							 .stuck_pid = 77};
	state->store.installs_ok = 3;
	state->store.mismatches = 4;
	state->store.verify_interval_s = 21600;
	state->store.verified_at = 1767225000;
	state->store.installs_failed = UINT64_MAX;
}

static char *print(const struct kt_metrics_input *input)
{
	struct kt_http_reply reply = {0};

	kt_metrics_answer(input, &reply);
	assert_int_equal(reply.code, 200);
	assert_string_equal(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
	assert_non_null(reply.body);
	assert_int_equal(reply.size, strlen(reply.body));
	return reply.body;
}

static void assert_line(const char *text, const char *line, bool there)
{
	char between[512];

	snprintf(between, sizeof(between), "\n%s\n", line);
	if (!strstr(text, between) == there)
		fail_msg("%s is %sthere:\n%s", line, there ? "not " : "", text);
}

static const struct kt_metrics_request_count requests[] = {
	{"GET", "200", 1},
	{"PATCH", "429", 2},
	{"GET", "error", 3},
};

static void test_a_proven_node(void **context)
{
	struct kt_state state;
	struct kt_metrics_input input = {.state = &state,
					 .has_age = true,
					 .age_s = 12,
					 .request_count = 3,
					 .requests = requests,
					 .is_watch_known = true,
					 .is_watching = true,
					 .undone = 17,
					 .is_policy_known = true};

	(void)context;
	fill(&state);

	KT_OWN(kt_free_mem) char *text = print(&input);

	assert_line(text, "kontaind_node_reason{reason=\"Ready\"} 1", true);
	assert_line(text, "kontaind_rollout_settled{reason=\"KmAborted\"} 0", true);
	assert_line(text, "kontaind_desired_version_info{version=\"1.3\"} 1", true);
	assert_line(text, "kontaind_policy_enforced 0", true);
	assert_line(text, "kontaind_watch_up 1", true);
	assert_line(text, "kontaind_report_undone_total 17", true);
	assert_line(text, "kontaind_build_info{version=\"" KONTAIN_VERSION "\"} 1", true);
	assert_line(text, "kontaind_ready 1", true);
	assert_line(text, "kontaind_kvm_available{reason=\"Ready\"} 1", true);
	assert_line(text,
		    "kontaind_version_info{version=\"1.2\",digest=\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaaaaaaaaaaaaaaaaaa\"} 1",
		    true);
	assert_line(text, "kontaind_installs_total{result=\"ok\"} 3", true);
	assert_line(text, "kontaind_installs_total{result=\"failed\"} 18446744073709551615", true);
	assert_line(text, "kontaind_store_mismatches_total 4", true);
	assert_line(text, "kontaind_store_verify_interval_seconds 21600", true);
	assert_line(text, "kontaind_store_verified_timestamp_seconds 1767225000", true);
	assert_line(text, "kontaind_probe_duration_seconds 1.002034", true);
	assert_line(text, "kontaind_api_requests_total{verb=\"GET\",code=\"200\"} 1", true);
	assert_line(text, "kontaind_api_requests_total{verb=\"PATCH\",code=\"429\"} 2", true);
	assert_line(text, "kontaind_api_requests_total{verb=\"GET\",code=\"error\"} 3", true);
	assert_line(text, "kontaind_state_age_seconds 12", true);
	assert_line(text, "kontaind_reconciles_total 7", true);
	assert_line(text, "kontaind_reconcile_duration_seconds 1.034", true);
	assert_line(text, "kontaind_reconcile_cpu_seconds 2.000017", true);
	assert_line(text, "kontaind_ready_changes_total 5", true);
	assert_line(text, "kontaind_ready_held_back_total 2", true);
	assert_line(text, "kontaind_stuck_processes 1", true);
}

static void test_an_unknown_node(void **context)
{
	struct kt_error why = {.reason = KT_REASON_STATE_OVERDUE, .text = "overdue"};
	struct kt_metrics_input input = {.why = &why, .has_age = true, .age_s = 3600};

	(void)context;

	KT_OWN(kt_free_mem) char *text = print(&input);

	/* The questions have an answer; figures of a state that may not be believed are gone, but for its age. */
	assert_line(text, "kontaind_ready 0", true);
	assert_line(text, "kontaind_kvm_available{reason=\"StateOverdue\"} 0", true);
	assert_line(text, "kontaind_state_age_seconds 3600", true);
	assert_line(text, "kontaind_node_reason{reason=\"StateOverdue\"} 1", true);
	assert_line(text, "kontaind_rollout_settled{reason=\"StateOverdue\"} 0", true);
	assert_null(strstr(text, "policy_enforced"));
	assert_null(strstr(text, "watch_up"));
	assert_null(strstr(text, "version_info"));
	assert_null(strstr(text, "installs_total"));
	assert_null(strstr(text, "kontaind_store_"));
	assert_null(strstr(text, "probe_duration"));
	assert_null(strstr(text, "api_requests"));
}

static void test_odd_cases(void **context)
{
	struct kt_state state;
	struct kt_metrics_input input = {.state = &state, .has_age = true, .age_s = -5};

	(void)context;
	fill(&state);
	kt_verdict_set(&state.kvm.verdict, false, KT_REASON_DEVICE_MISSING, "none");
	state.versions.current[0] = state.versions.desired[0] = '\0';
	kt_verdict_set(&state.rollout, true, KT_REASON_READY, "done");
	input.is_policy_known = input.is_policy_in_force = true;

	KT_OWN(kt_free_mem) char *text = print(&input);

	assert_line(text, "kontaind_ready 1", true);
	assert_line(text, "kontaind_kvm_available{reason=\"DeviceMissing\"} 0", true);
	assert_line(text, "kontaind_rollout_settled{reason=\"Ready\"} 1", true);
	assert_line(text, "kontaind_policy_enforced 1", true);
	assert_line(text, "kontaind_state_age_seconds 0", true); /* a clock that steps back makes no negative age */
	assert_null(strstr(text, "version_info"));
	state.kvm.probed = false;

	KT_OWN(kt_free_mem) char *unprobed = print(&input);

	assert_line(unprobed, "kontaind_kvm_available{reason=\"Starting\"} 0", true);
	assert_null(strstr(unprobed, "probe_duration"));
}

/* name{label="value",...} number, each name under its own HELP and TYPE, no series twice. */
static void check_format(char *text)
{
	char family[128] = "", *seen[64], *save = NULL;
	size_t seen_count = 0;

	assert_int_equal(text[strlen(text) - 1], '\n');
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *c = line, *end;
		size_t name_size = strspn(line, "abcdefghijklmnopqrstuvwxyz_");

		if (strncmp(line, "# HELP ", 7) == 0) {
			snprintf(family, sizeof(family), "%.*s", (int)strcspn(line + 7, " "), line + 7);
			line = strtok_r(NULL, "\n", &save);
			assert_non_null(line);
			assert_int_equal(strncmp(line, "# TYPE ", 7), 0);
			assert_int_equal(strncmp(line + 7, family, strlen(family)), 0);
			assert_true(strcmp(line + 7 + strlen(family), " gauge") == 0 ||
				    strcmp(line + 7 + strlen(family), " counter") == 0);
			assert_int_equal(strstr(family, "_total") != NULL, strstr(line, " counter") != NULL);
			continue;
		}
		assert_int_equal(strlen(family), name_size);
		assert_int_equal(strncmp(line, family, name_size), 0);
		c += name_size;
		while (*c == '{' || *c == ',') {
			c += 1 + strspn(c + 1, "abcdefghijklmnopqrstuvwxyz_");
			assert_int_equal(strncmp(c, "=\"", 2), 0);
			for (c += 2; *c != '"'; c++) {
				assert_true((unsigned char)*c >= 0x20);
				if (*c == '\\')
					assert_true(*++c == '\\' || *c == '"' || *c == 'n');
			}
			c++;
		}
		if (*c == '}')
			c++;
		assert_int_equal(*c, ' ');
		*c++ = '\0';
		(void)strtod(c, &end);
		assert_true(end > c && !*end);
		for (size_t i = 0; i < seen_count; i++)
			assert_string_not_equal(seen[i], line);
		seen[seen_count++] = line;
	}
	assert_true(seen_count > 0);
}

static void test_the_format_holds_whatever_is_said(void **context)
{
	static const struct kt_metrics_request_count odd[] = {
		{"GET", "a\"b\\c\nd\xff", 1}, {"GET", "", 2}, {"PATCH", "200", 3}};
	struct kt_state state;
	struct kt_metrics_input input = {
		.state = &state, .has_age = true, .age_s = 1, .request_count = 3, .requests = odd};

	(void)context;
	fill(&state);
	strcpy(state.versions.current, "1\"}\n\\ 2");

	KT_OWN(kt_free_mem) char *text = print(&input);

	assert_non_null(strstr(text, "version=\"1\\\"}\\n\\\\ 2\""));
	assert_non_null(strstr(text, "code=\"a\\\"b\\\\c\\nd?\""));
	check_format(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_proven_node),
		cmocka_unit_test(test_an_unknown_node),
		cmocka_unit_test(test_odd_cases),
		cmocka_unit_test(test_the_format_holds_whatever_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
