/* links: kt_kube kt_contract kt_base */
#include <errno.h>
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
#include "kontain/base/utf8.h"
#include "kube/report.h"

#define BOOT  "0a1b2c3d-0000-4000-8000-123456789abc"
#define OTHER "ffffffff-0000-4000-8000-123456789abc"
#define NOW   1767225600 /* 2026-01-01T00:00:00Z */

static void fill(struct kt_state *state)
{
	kt_state_init(state);
	strcpy(state->boot_id, BOOT);
	kt_verdict_set(&state->node, true, KT_REASON_READY, "km 0.9 runs payloads");
	kt_verdict_set(&state->rollout, true, KT_REASON_READY, "version 1.2 is current");
	strcpy(state->versions.current, "1.2");
	strcpy(state->versions.previous, "1.1");
	strcpy(state->versions.km_version, "0.9");
	memset(state->versions.km_digest, 'a', 64);
	strcpy(state->proof.hypervisor, "kvm");
	state->store.upgrade.state = KT_UPGRADE_DONE;
}

static void decide(const struct kt_state *state, const struct kt_error *why, bool absent, bool legacy,
		   struct kt_report *ret_report)
{
	struct kt_report_input input = {
		.state = state, .why = why, .boot_id = BOOT, .desired_absent = absent, .legacy_label = legacy};

	kt_report_decide(&input, ret_report);
}

/* ---- deciding ---- */

static const struct {
	bool has_state, node_ok, rollout_ok, absent, legacy;
	enum kt_reason node, rollout;
	/* expected */
	enum kt_condition_status status;
	bool hold, is_absent;
	const char *km, *hypervisor, *sandbox, *km_version;
} decisions[] = {
	{true, true, true, false, false, KT_REASON_READY, KT_REASON_READY, KT_CONDITION_TRUE, false, false, "true",
	 "kvm", "", "0.9"},
	{true, true, true, false, true, KT_REASON_READY, KT_REASON_READY, KT_CONDITION_TRUE, false, false, "true",
	 "kvm", "kontain", "0.9"},
	/* an upgrade that failed takes nothing from the version that serves */
	{true, true, false, false, false, KT_REASON_READY, KT_REASON_KM_ABORTED, KT_CONDITION_TRUE, false, false,
	 "true", "kvm", "", "0.9"},
	{true, false, true, false, true, KT_REASON_DEVICE_MISSING, KT_REASON_DEVICE_MISSING, KT_CONDITION_FALSE, false,
	 false, "false", "", "", "0.9"},
	{true, false, false, false, false, KT_REASON_STARTING, KT_REASON_STARTING, KT_CONDITION_UNKNOWN, true, false,
	 "false", "", "", "0.9"},
	{false, false, false, false, true, KT_REASON_STATE_OVERDUE, KT_REASON_NONE, KT_CONDITION_UNKNOWN, false, false,
	 "false", "", "", ""},
	/* absent: said first, before the installer has removed anything, and whatever it says or does not say */
	{true, true, false, true, false, KT_REASON_READY, KT_REASON_STARTING, KT_CONDITION_UNKNOWN, false, true, "", "",
	 "", ""},
	{true, false, false, true, true, KT_REASON_KM_FAILED, KT_REASON_IN_USE, KT_CONDITION_UNKNOWN, false, true, "",
	 "", "", ""},
	{true, false, false, true, false, KT_REASON_STARTING, KT_REASON_STARTING, KT_CONDITION_UNKNOWN, false, true, "",
	 "", "", ""},
	{false, false, false, true, false, KT_REASON_STATE_OVERDUE, KT_REASON_NONE, KT_CONDITION_UNKNOWN, false, true,
	 "", "", "", ""},
	{true, false, true, true, false, KT_REASON_ABSENT, KT_REASON_ABSENT, KT_CONDITION_UNKNOWN, false, true, "", "",
	 "", ""},
	{true, false, true, false, false, KT_REASON_ABSENT, KT_REASON_ABSENT, /* another's config: no consent of ours */
	 KT_CONDITION_FALSE, false, false, "false", "", "", "0.9"},
};

static void test_decide(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(decisions) / sizeof(decisions[0]); i++) {
		struct kt_error why = {.reason = decisions[i].node, .text = "why"};
		struct kt_state state;
		struct kt_report report;

		fill(&state);
		kt_verdict_set(&state.node, decisions[i].node_ok, decisions[i].node, "node");
		kt_verdict_set(&state.rollout, decisions[i].rollout_ok, decisions[i].rollout, "rollout");
		decide(decisions[i].has_state ? &state : NULL, &why, decisions[i].absent, decisions[i].legacy, &report);
		if (report.status != decisions[i].status || report.hold != decisions[i].hold ||
		    report.absent != decisions[i].is_absent)
			fail_msg("row %zu: status %d hold %d absent %d", i, report.status, report.hold, report.absent);
		assert_string_equal(report.value[KT_KEY_KM], decisions[i].km);
		assert_string_equal(report.value[KT_KEY_HYPERVISOR], decisions[i].hypervisor);
		assert_string_equal(report.value[KT_KEY_LEGACY], decisions[i].sandbox);
		assert_string_equal(report.value[KT_KEY_KM_VERSION], decisions[i].km_version);
		if (report.absent)
			continue;
		assert_string_equal(report.reason, kt_reason_name(decisions[i].node));
		assert_non_null(strstr(report.message, "(boot " BOOT ")"));
	}
}

static void test_labels_are_valid_values(void **context)
{
	static const struct {
		const char *text, *label;
	} rows[] = {
		{"1.2", "1.2"},
		{"1.2-", "1.2"},
		{"1.2._-", "1.2"},
		{"", ""},
		{"-1", ""},
		{"a b", ""},
		{"\xc3\xa4", ""},
		{"a123456789b123456789c123456789d123456789e123456789f123456789xyz",
		 "a123456789b123456789c123456789d123456789e123456789f123456789xyz"},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_state state;
		struct kt_report report;

		fill(&state);
		snprintf(state.versions.km_version, sizeof(state.versions.km_version), "%s", rows[i].text);
		decide(&state, NULL, false, false, &report);
		assert_string_equal(report.value[KT_KEY_KM_VERSION], rows[i].label);
	}
}

static void test_a_message_is_one_line_of_text(void **context)
{
	struct kt_state state;
	struct kt_report report;

	(void)context;
	fill(&state);
	kt_verdict_set(&state.node, false, KT_REASON_KM_FAILED, "%s", "a\nb\x1b[1m\xff\xc3");
	decide(&state, NULL, false, false, &report);
	assert_string_equal(report.message, "a b [1m?? (boot " BOOT ")");
	/* The longest sentence leaves room for the boot id: a held condition is known by it. */
	memset(state.node.message, 'x', sizeof(state.node.message) - 1);
	state.node.message[sizeof(state.node.message) - 1] = '\0';
	decide(&state, NULL, false, false, &report);
	assert_non_null(strstr(report.message, "(boot " BOOT ")"));
}

/* ---- reading a node ---- */

static void test_only_the_node_itself_is_believed(void **context)
{
	static const char *const rows[] = {
		"",
		"garbage",
		"null",
		"[]",
		"{}",
		"\"Node\"",
		"{\"kind\":\"Node\"}",
		"{\"kind\":\"Node\",\"metadata\":{\"name\":\"other\"}}",
		"{\"kind\":\"Node\",\"metadata\":[\"mine\"]}",
		"{\"kind\":\"NodeList\",\"metadata\":{\"name\":\"mine\"}}",
		"{\"kind\":\"Node\",\"kind\":\"Node\",\"metadata\":{\"name\":\"mine\"}}",
		"{\"kind\":\"Node\",\"metadata\":{\"name\":\"mine\"}",
		"{\"kind\":\"Node\",\"metadata\":{\"name\":\"mine\"}} {}",
		"{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"no\"}",
	};
	struct kt_node_view view = {.taint_index = -1};

	(void)context;
	strcpy(view.reason, "kept");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_error err = {0};

		if (kt_node_view_parse(rows[i], strlen(rows[i]), "mine", &view, &err) != -EBADMSG)
			fail_msg("row %zu was taken for the node", i);
		assert_true(err.text[0]);
		assert_string_equal(view.reason, "kept");
	}
}

/* Wrong types where ours should be are as good as nothing there. */
static void test_odd_nodes(void **context)
{
	static const char *const rows[] = {
		"\"metadata\":{\"name\":\"mine\",\"labels\":[1],\"annotations\":7}",
		"\"metadata\":{\"name\":\"mine\",\"labels\":{\"kontain.app/km\":{}},\"managedFields\":{}}",
		("\"metadata\":{\"name\":\"mine\",\"managedFields\":[1,{},{\"manager\":\"kontaind\"},"
		 "{\"manager\":\"kontaind\",\"fieldsV1\":[]}]}"),
		"\"metadata\":{\"name\":\"mine\"},\"spec\":{\"taints\":{\"key\":\"kontain.app/not-ready\"}}",
		"\"metadata\":{\"name\":\"mine\"},\"spec\":{\"taints\":[1,null,{\"key\":7}]}",
		"\"metadata\":{\"name\":\"mine\"},\"status\":{\"conditions\":{\"type\":\"kontain.app/KMReady\"}}",
		"\"metadata\":{\"name\":\"mine\"},\"status\":{\"conditions\":[1,{\"type\":7},null]}",
		"\"metadata\":{\"name\":\"mine\"},\"status\":[],\"spec\":7",
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
		struct kt_error err = {0};
		char text[512];

		snprintf(text, sizeof(text), "{\"kind\":\"Node\",%s}", rows[i]);
		if (kt_node_view_parse(text, strlen(text), "mine", &view, &err) < 0)
			fail_msg("row %zu: %s", i, err.text);
		assert_false(view.has_condition);
		assert_false(view.legacy_is_ours);
		assert_int_equal(view.taint_index, -1);
	}
}

/* A node that says what `report` wants, with extra JSON in its metadata, spec and status. */
static void view_of(const char *labels, const char *annotations, const char *more, const char *taints,
		    const char *condition, struct kt_node_view *view)
{
	struct kt_error err = {0};
	char text[4096];

	snprintf(text, sizeof(text),
		 "{\"kind\":\"Node\",\"metadata\":{\"name\":\"mine\",\"labels\":{%s},\"annotations\":{%s}%s},"
		 "\"spec\":{\"taints\":[%s]},\"status\":{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}%s]}}",
		 labels, annotations, more, taints, condition);
	if (kt_node_view_parse(text, strlen(text), "mine", view, &err) < 0)
		fail_msg("%s: %s", text, err.text);
}

#define DIGEST "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABELS "\"kontain.app/km\":\"true\",\"kontain.app/km-version\":\"0.9\",\"kontain.app/hypervisor\":\"kvm\""
#define NOTES                                                                                \
	"\"kontain.app/km-digest\":\"" DIGEST "\",\"kontain.app/previous-version\":\"1.1\"," \
	"\"kontain.app/upgrade-state\":\"done\""
#define CONDITION(status, reason, message, moved, beaten)                                   \
	",{\"type\":\"kontain.app/KMReady\",\"status\":\"" status "\",\"reason\":\"" reason \
	"\",\"message\":\"" message "\",\"lastTransitionTime\":\"" moved "\",\"lastHeartbeatTime\":\"" beaten "\"}"
#define SENTENCE "km 0.9 runs payloads (boot " BOOT ")"
#define THEN     "2025-12-31T23:00:00Z"
#define WHOLE    CONDITION("True", "Ready", SENTENCE, THEN, THEN)

/* ---- patches ---- */

static const struct {
	const char *name;
	bool hold, absent, legacy;
	const char *labels, *annotations, *more, *condition;
	const char *patch; /* NULL: none */
} metas[] = {
	{"all there", false, false, false, LABELS ",\"team\":\"blue\"", NOTES, "", WHOLE, NULL},
	{"none there", false, false, false, "\"team\":\"blue\"", "", "", "",
	 "{\"metadata\":{\"labels\":{" LABELS "},\"annotations\":{" NOTES "}}}"},
	{"one differs", false, false, false,
	 "\"kontain.app/km\":\"false\",\"kontain.app/km-version\":\"0.9\",\"kontain.app/hypervisor\":\"kvm\"", NOTES,
	 "", "", "{\"metadata\":{\"labels\":{\"kontain.app/km\":\"true\"}}}"},
	{"empty is not absent", false, false, false,
	 "\"kontain.app/km\":\"\",\"kontain.app/km-version\":\"0.9\",\"kontain.app/hypervisor\":\"kvm\"", NOTES, "", "",
	 "{\"metadata\":{\"labels\":{\"kontain.app/km\":\"true\"}}}"},
	{"taken back", false, true, false, LABELS ",\"team\":\"blue\"", NOTES, "", "",
	 "{\"metadata\":{\"labels\":{\"kontain.app/km\":null,\"kontain.app/km-version\":null,"
	 "\"kontain.app/hypervisor\":null},\"annotations\":{\"kontain.app/km-digest\":null,"
	 "\"kontain.app/previous-version\":null,\"kontain.app/upgrade-state\":null}}}"},
	{"nothing to take back", false, true, false, "\"team\":\"blue\"", "\"note\":\"theirs\"", "", "", NULL},
	{"held, of this boot", true, false, false, "", "", "", WHOLE, NULL},
	{"held, of another boot", true, false, false, LABELS, NOTES, "",
	 CONDITION("True", "Ready", "km 0.9 runs payloads (boot " OTHER ")", THEN, THEN),
	 "{\"metadata\":{\"labels\":{\"kontain.app/km\":\"false\",\"kontain.app/hypervisor\":null}}}"},
	/* the historical label */
	{"legacy set", false, false, true, LABELS, NOTES, "", "",
	 "{\"metadata\":{\"labels\":{\"sandbox\":\"kontain\"}}}"},
	{"legacy there", false, false, true, LABELS ",\"sandbox\":\"kontain\"", NOTES, "", "", NULL},
	{"legacy is another's", false, false, true, LABELS ",\"sandbox\":\"gvisor\"", NOTES, "", "", NULL},
	{"legacy is another's, empty", false, false, true, LABELS ",\"sandbox\":\"\"", NOTES, "", "", NULL},
	{"legacy not ours to remove", false, false, false, LABELS ",\"sandbox\":\"kontain\"", NOTES, "", "", NULL},
	{"legacy switched off", false, false, false, LABELS ",\"sandbox\":\"kontain\"", NOTES,
	 ",\"managedFields\":[{\"manager\":\"kubelet\",\"fieldsV1\":{}},{\"manager\":\"kontaind\",\"fieldsV1\":"
	 "{\"f:metadata\":{\"f:labels\":{\"f:sandbox\":{}}}}}]",
	 "", "{\"metadata\":{\"labels\":{\"sandbox\":null}}}"},
	{"legacy by another manager", false, true, false, "\"sandbox\":\"kontain\"", "",
	 ",\"managedFields\":[{\"manager\":\"kubectl-label\",\"fieldsV1\":"
	 "{\"f:metadata\":{\"f:labels\":{\"f:sandbox\":{}}}}}]",
	 "", NULL},
	{"legacy taken back", false, true, true, "\"sandbox\":\"kontain\"", "", "", "",
	 "{\"metadata\":{\"labels\":{\"sandbox\":null}}}"},
	{"legacy of another stays", false, true, true, "\"sandbox\":\"gvisor\"", "", "", "", NULL},
};

static void assert_patch(const char *name, const char *got, const char *wanted)
{
	json_t *a = got ? json_loads(got, 0, NULL) : NULL, *b = wanted ? json_loads(wanted, 0, NULL) : NULL;

	if (wanted)
		assert_non_null(b);
	if (!a != !b || (a && !json_equal(a, b)))
		fail_msg("%s: %s instead of %s", name, got ? got : "nothing", wanted ? wanted : "nothing");
	json_decref(a);
	json_decref(b);
}

static void report_for(bool hold, bool absent, bool legacy, struct kt_report *report)
{
	struct kt_state state;

	fill(&state);
	if (hold)
		kt_verdict_set(&state.node, false, KT_REASON_STARTING, "starting");
	if (absent)
		kt_verdict_set(&state.rollout, true, KT_REASON_ABSENT, "gone");
	decide(&state, NULL, absent, legacy, report);
}

static void test_meta_patches(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(metas) / sizeof(metas[0]); i++) {
		KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
		KT_OWN(kt_free_mem) char *patch = NULL;
		struct kt_report report;

		report_for(metas[i].hold, metas[i].absent, metas[i].legacy, &report);
		view_of(metas[i].labels, metas[i].annotations, metas[i].more, "", metas[i].condition, &view);
		assert_int_equal(kt_report_patch_meta(&report, &view, &patch), 0);
		assert_patch(metas[i].name, patch, metas[i].patch);
	}
}

#define STAMP "2026-01-01T00:00:00Z"
#define NEW(moved)                                                                                                 \
	"{\"status\":{\"conditions\":[{\"type\":\"kontain.app/KMReady\",\"status\":\"True\",\"reason\":\"Ready\"," \
	"\"message\":\"" SENTENCE "\",\"lastTransitionTime\":\"" moved "\",\"lastHeartbeatTime\":\"" STAMP "\"}]}}"

static const struct {
	const char *name;
	bool hold, absent, beat;
	const char *condition;
	const char *patch;
	bool only_message;
} conditions[] = {
	{"not there", false, false, false, "", NEW(STAMP), false},
	{"the same", false, false, false, WHOLE, NULL, false},
	{"the same, a beat", false, false, true, WHOLE, NEW(THEN), false},
	{"status moves", false, false, false, CONDITION("False", "KmFailed", "x", THEN, THEN), NEW(STAMP), false},
	{"reason moves", false, false, false, CONDITION("True", "Other", SENTENCE, THEN, THEN), NEW(THEN), false},
	{"sentence moves", false, false, false, CONDITION("True", "Ready", "km dreams (boot " BOOT ")", THEN, THEN),
	 NEW(THEN), true},
	{"a figure moves", false, false, false,
	 CONDITION("True", "Ready", "km 0.87 runs payloads (boot " BOOT ")", THEN, THEN), NULL, false},
	{"a figure moves, a beat", false, false, true,
	 CONDITION("True", "Ready", "km 0.87 runs payloads (boot " BOOT ")", THEN, THEN), NEW(THEN), false},
	{"the boot moves, by figures", false, false, false,
	 CONDITION("True", "Ready", "km 0.9 runs payloads (boot 9a9b9c9d-0000-4000-8000-123456789abc)", THEN, THEN),
	 NEW(THEN), true},
	{"no transition time", false, false, false, CONDITION("True", "Ready", SENTENCE, "", THEN), NEW(STAMP), false},
	{"odd transition time", false, false, false, CONDITION("True", "Ready", SENTENCE, "yesterday", THEN),
	 NEW(STAMP), false},
	{"no heartbeat", false, false, false, CONDITION("True", "Ready", SENTENCE, THEN, ""), NEW(THEN), false},
	{"held", true, false, true, WHOLE, NULL, false},
	{"taken back", false, true, true, WHOLE,
	 "{\"status\":{\"conditions\":[{\"$patch\":\"delete\",\"type\":\"kontain.app/KMReady\"}]}}", false},
	{"nothing to take back", false, true, true, "", NULL, false},
};

static void test_condition_patches(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
		KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
		KT_OWN(kt_free_mem) char *patch = NULL;
		struct kt_report report;

		report_for(conditions[i].hold, conditions[i].absent, false, &report);
		view_of("", "", "", "", conditions[i].condition, &view);
		assert_int_equal(kt_report_patch_condition(&report, &view, NOW, conditions[i].beat, &patch), 0);
		assert_patch(conditions[i].name, patch, conditions[i].patch);
		if (kt_report_only_message(&report, &view) != conditions[i].only_message)
			fail_msg("%s: only_message", conditions[i].name);
	}
}

static void test_a_held_report_of_another_boot_says_unknown(void **context)
{
	KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
	KT_OWN(kt_free_mem) char *patch = NULL;
	struct kt_report report;

	(void)context;
	report_for(true, false, false, &report);
	view_of("", "", "", "", CONDITION("True", "Ready", "km 0.9 runs payloads (boot " OTHER ")", THEN, THEN), &view);
	assert_int_equal(kt_report_patch_condition(&report, &view, NOW, false, &patch), 0);
	assert_non_null(strstr(patch, "\"Unknown\""));
	assert_non_null(strstr(patch, BOOT));
}

#define TAINT "{\"key\":\"kontain.app/not-ready\",\"effect\":\"NoSchedule\",\"timeAdded\":\"" THEN "\"}"

static const struct {
	const char *name, *taints;
	bool ready, absent;
	const char *patch;
} taints[] = {
	{"none", "", true, false, NULL},
	{"others' only", "{\"key\":\"x\",\"effect\":\"NoSchedule\"}", true, false, NULL},
	{"another effect", "{\"key\":\"kontain.app/not-ready\",\"effect\":\"NoExecute\"}", true, false, NULL},
	{"ours, second", "{\"key\":\"x\",\"effect\":\"NoSchedule\"}," TAINT, true, false,
	 "[{\"op\":\"test\",\"path\":\"/spec/taints/1\",\"value\":" TAINT "},"
	 "{\"op\":\"remove\",\"path\":\"/spec/taints/1\"}]"},
	{"not ready", TAINT, false, false, NULL},
	{"taken back", TAINT, false, true,
	 "[{\"op\":\"test\",\"path\":\"/spec/taints/0\",\"value\":" TAINT "},"
	 "{\"op\":\"remove\",\"path\":\"/spec/taints/0\"}]"},
};

static void test_taint_patches(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof(taints) / sizeof(taints[0]); i++) {
		KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
		KT_OWN(kt_free_mem) char *patch = NULL;
		struct kt_report report;

		report_for(false, taints[i].absent, false, &report);
		if (!taints[i].ready)
			report.status = KT_CONDITION_FALSE;
		view_of("", "", "", taints[i].taints, "", &view);
		assert_int_equal(kt_report_patch_taint(&report, &view, &patch), 0);
		assert_patch(taints[i].name, patch, taints[i].patch);
	}
}

/* ---- memory ends at each allocation in turn ---- */

static long left;

static void *short_malloc(size_t size)
{
	return left-- > 0 ? malloc(size) : NULL;
}

/* -ENOMEM or what it should be; never half a patch, never a leak (the sanitizer looks). */
static void test_out_of_memory(void **context)
{
	struct kt_report report;
	int passes = 0;

	(void)context;
	report_for(false, false, true, &report);
	for (long most = 0; passes < 4 && most < 2000; most++) {
		KT_OWN(kt_node_view_done) struct kt_node_view view = {.taint_index = -1};
		KT_OWN(kt_free_mem) char *meta = NULL;
		KT_OWN(kt_free_mem) char *condition = NULL;
		KT_OWN(kt_free_mem) char *taint = NULL;
		static const char node[] =
			"{\"kind\":\"Node\",\"metadata\":{\"name\":\"mine\"},\"spec\":{\"taints\":[" TAINT "]}}";
		struct kt_error err = {0};
		int r[4];

		json_set_alloc_funcs(short_malloc, free);
		left = most;
		r[0] = kt_node_view_parse(node, strlen(node), "mine", &view, &err);
		left = most;
		r[1] = kt_report_patch_meta(&report, &view, &meta);
		left = most;
		r[2] = kt_report_patch_condition(&report, &view, NOW, false, &condition);
		left = most;
		r[3] = kt_report_patch_taint(&report, &view, &taint);
		json_set_alloc_funcs(malloc, free);
		passes = 0;
		for (int i = 0; i < 4; i++)
			passes += r[i] == 0;
		assert_true(r[0] == 0 || r[0] == -ENOMEM || r[0] == -EBADMSG);
		assert_true(r[1] == -ENOMEM || (r[1] == 0 && strstr(meta, "upgrade-state") && strstr(meta, "sandbox")));
		assert_true(r[2] == -ENOMEM || (r[2] == 0 && strstr(condition, STAMP)));
		if (r[0] == 0)
			assert_true(r[3] == -ENOMEM || (r[3] == 0 && strstr(taint, "\"timeAdded\"")));
	}
	assert_int_equal(passes, 4);
}

static void test_sentences(void **context)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"", "", true},  {"a", "a", true},    {"a", "b", false},   {"overdue by 3 s", "overdue by 12 s", true},
		{"1", "", true}, {"a1b", "ab", true}, {"a", "a b", false}, {"a 1", "a 1 b", false},
	};

	(void)context;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(kt_report_is_same_sentence(rows[i].a, rows[i].b), rows[i].same);
		assert_int_equal(kt_report_is_same_sentence(rows[i].b, rows[i].a), rows[i].same);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decide),
		cmocka_unit_test(test_labels_are_valid_values),
		cmocka_unit_test(test_a_message_is_one_line_of_text),
		cmocka_unit_test(test_only_the_node_itself_is_believed),
		cmocka_unit_test(test_odd_nodes),
		cmocka_unit_test(test_meta_patches),
		cmocka_unit_test(test_condition_patches),
		cmocka_unit_test(test_a_held_report_of_another_boot_says_unknown),
		cmocka_unit_test(test_taint_patches),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
