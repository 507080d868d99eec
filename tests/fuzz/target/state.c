/* links: kt_kube kt_serve kt_contract kt_base mutates: state */
/* The state file as kontaind takes it: read, and then said on in all the ways that kontaind has. */
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/base/utf8.h"
#include "kube/report.h"
#include "serve/health.h"
#include "serve/metrics.h"

#define BOOT "0a1b2c3d-0000-4000-8000-123456789abc"

/* Empty, or as the API server's validation takes it: 63 at most, letters and digits, . _ - only between them. */
static bool is_label_value(const char *text)
{
	static const char outer[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	size_t length = strlen(text);

	return length == 0 ||
	       (length <= 63 && strchr(outer, text[0]) && strchr(outer, text[length - 1]) &&
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == length);
}

static void report_check(const struct kt_state *state, bool absent, bool legacy)
{
	const struct kt_report_input input = {
		.state = state, .boot_id = BOOT, .desired_absent = absent, .legacy_label = legacy};
	struct kt_report report;

	kt_report_decide(&input, &report);
	for (size_t i = KT_KEY_KM; i <= KT_KEY_LEGACY; i++)
		FUZZ_REQUIRE(is_label_value(report.value[i]));
	for (size_t i = 0; i < KT_KEY_COUNT; i++)
		FUZZ_REQUIRE(fuzz_is_one_line(report.value[i]));
	FUZZ_REQUIRE(report.absent || strstr(report.message, BOOT));
	FUZZ_REQUIRE(!report.absent || absent);
	if (!report.absent && !report.hold)
		FUZZ_REQUIRE((report.status == KT_CONDITION_TRUE) == state->node.ok &&
			     strcmp(report.value[KT_KEY_KM], state->node.ok ? "true" : "false") == 0);
	FUZZ_REQUIRE(report.status != KT_CONDITION_TRUE || state->node.ok);
	FUZZ_REQUIRE(kt_report_is_same(&report, &report) && kt_report_is_same_sentence(report.message, report.message));
}

/* No check's text makes a line that is taken for another one's. */
static void answers_check(const struct kt_state *state)
{
	static const char *const paths[] = {"/livez", "/readyz", "/readyz/km", "/readyz/version", "/readyz/other"};
	const struct kt_health_input input = {.state = state, .is_reported = true, .report_problem = ""};
	struct kt_health health;

	kt_health_judge(&input, &health);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct kt_http_request request = {.path = paths[i], .verbose = true};
		struct kt_http_reply reply = {.code = 0};
		size_t lines = 0;

		kt_health_answer(&health, &request, &reply);
		FUZZ_REQUIRE(reply.body && reply.size == strlen(reply.body) && reply.size > 0);
		for (const char *c = reply.body; *c; c++)
			lines += *c == '\n';
		/* Each check and the end of the list; of the policy nothing is known. */
		FUZZ_REQUIRE(lines == (i == 0 ? 2 : i == 1 ? KT_HEALTH_COUNT : 1));
		FUZZ_REQUIRE(reply.body[reply.size - 1] == '\n');
		FUZZ_REQUIRE(reply.code == (i == 0 ? 200 : i == 4 ? 404 : reply.code));
		if (i == 2)
			FUZZ_REQUIRE((reply.code == 200) == state->node.ok);
		kt_free_mem(&reply.body);
	}
}

/* Every line of the format is a comment or "name{labels} number". */
static void metrics_check(const struct kt_state *state)
{
	const struct kt_metrics_input input = {.state = state, .has_age = true, .age_s = 1};
	struct kt_http_reply reply = {.code = 0};

	kt_metrics_answer(&input, &reply);
	FUZZ_REQUIRE(reply.code == 200 && reply.body);
	for (char *line = reply.body, *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		FUZZ_REQUIRE(end != NULL);
		*end = '\0';
		if (strncmp(line, "# ", 2) == 0)
			continue;

		const char *blank = strrchr(line, ' ');

		FUZZ_REQUIRE(strncmp(line, "kontaind_", 9) == 0 && blank && blank[1]);
		FUZZ_REQUIRE(strspn(blank + 1, "0123456789.") == strlen(blank + 1));
	}
	kt_free_mem(&reply.body);
}

static void times_check(const struct kt_state *state)
{
	const uint64_t times[] = {0, 1, state->observed_boot_s, state->next_update_boot_s, UINT64_MAX};
	struct kt_error err;

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		int r = kt_state_believable(state, state->boot_id, times[i], &err);

		if (r < 0)
			fuzz_check_refusal(r, &err);
		else
			FUZZ_REQUIRE(state->next_update_boot_s >= times[i] && state->observed_boot_s <= times[i]);
	}
}

static void document_take(const char *bytes, size_t size)
{
	struct kt_error err = {.code = 0};
	struct kt_state state, again;
	int r = kt_state_parse(bytes, size, &state, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(err.reason == KT_REASON_STATE_INVALID);
		return;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(size <= KT_STATE_BYTES_MAX);
	FUZZ_REQUIRE(state.versions.list_count <= KT_STATE_LIST_MAX);
	for (size_t i = 0; i < state.versions.list_count; i++)
		FUZZ_REQUIRE(kt_version_is_valid(state.versions.list[i]));

	KT_OWN(kt_free_mem) char *text = kt_state_print(&state);

	FUZZ_REQUIRE(text && kt_state_parse(text, strlen(text), &again, KT_ERROR_IGNORED) == 0);

	KT_OWN(kt_free_mem) char *text_again = kt_state_print(&again);

	FUZZ_REQUIRE(fuzz_is_same(text, text_again));
	FUZZ_REQUIRE(strcmp(state.node.message, again.node.message) == 0 && state.observed_at == again.observed_at);
	times_check(&state);
	for (int i = 0; i < 4; i++)
		report_check(&state, i & 1, i & 2);
	answers_check(&state);
	metrics_check(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	document_take((const char *)bytes, size);
	if (size > 0)
		return 0;

	/* nothing stands for a state as it is written now, which a corpus may be older than */
	struct kt_state state;

	kt_state_init(&state);
	strcpy(state.boot_id, BOOT);
	state.observed_at = state.next_update_by = 1767225600;

	KT_OWN(kt_free_mem) char *text = kt_state_print(&state);

	FUZZ_REQUIRE(text != NULL);
	document_take(text, strlen(text));
	return 0;
}
