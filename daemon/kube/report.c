/* State and node as last read -> patches. Only what differs is written, and only what is ours:
 * the admission policy refuses a patch that touches anything else. */
#include "report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kontain/base/own.h"
#include "kontain/base/utf8.h"
#include "kontain/contract/jsonbound.h"

static const struct {
	const char *name;
	bool is_label;
} keys[KT_KEY_COUNT] = {
	[KT_KEY_KM] = {"kontain.app/km", true},
	[KT_KEY_KM_VERSION] = {"kontain.app/km-version", true},
	[KT_KEY_HYPERVISOR] = {"kontain.app/hypervisor", true},
	[KT_KEY_KM_REFUSED] = {"kontain.app/km-refused", true},
	[KT_KEY_KM_REFUSED_REASON] = {"kontain.app/km-refused-reason", true},
	[KT_KEY_LEGACY] = {"sandbox", true},
	[KT_KEY_KM_DIGEST] = {"kontain.app/km-digest", false},
	[KT_KEY_PREVIOUS_VERSION] = {"kontain.app/previous-version", false},
	[KT_KEY_UPGRADE_STATE] = {"kontain.app/upgrade-state", false},
};

#define LEGACY_VALUE "kontain"

static void json_drop(json_t **json)
{
	json_decref(*json);
}

const char *kt_condition_status_name(enum kt_condition_status status)
{
	static const char *const names[] = {
		[KT_CONDITION_UNKNOWN] = "Unknown",
		[KT_CONDITION_FALSE] = "False",
		[KT_CONDITION_TRUE] = "True",
	};

	return names[status];
}

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* A version may end in '.', '_' or '-'; a label value may not (apimachinery, validation.IsValidLabelValue). What could
 * be no label at all is left out: the server would refuse the others with it. */
static void set_label(char *value, const char *text)
{
	size_t length = 0;

	while (text[length] && length < 63 && (is_alnum(text[length]) || strchr("._-", text[length])))
		length++;
	if (text[length] || !is_alnum(text[0]))
		length = 0;
	while (length > 0 && !is_alnum(text[length - 1]))
		length--;
	memcpy(value, text, length);
	value[length] = '\0';
}

static void set_condition(struct kt_report *report, enum kt_condition_status status, enum kt_reason reason,
			  const char *sentence)
{
	report->status = status;
	snprintf(report->reason, sizeof(report->reason), "%s", kt_reason_name(reason));
	snprintf(report->message, sizeof(report->message), "%s%s(boot %s)", sentence, *sentence ? " " : "",
		 report->boot_id);
	kt_utf8_one_line(report->message);
}

void kt_report_decide(const struct kt_report_input *input, struct kt_report *ret_report)
{
	const struct kt_state *state = input->state;
	struct kt_report report = {.manage_legacy = input->legacy_label};
	char upgrade[KT_UPGRADE_TEXT_MAX];

	snprintf(report.boot_id, sizeof(report.boot_id), "%s", input->boot_id);
	/* Leaving is said before anything is removed, so that no new payload is sent here meanwhile. */
	report.absent = input->desired_absent;
	if (report.absent) {
		*ret_report = report;
		return;
	}
	snprintf(report.value[KT_KEY_KM], sizeof(report.value[0]), "false");
	if (!state) {
		set_condition(&report, KT_CONDITION_UNKNOWN, input->why->reason, input->why->text);
		*ret_report = report;
		return;
	}
	/* The installer has begun and proved nothing yet: no verdict, so not False. */
	report.hold = !state->node.ok && state->node.reason == KT_REASON_STARTING;
	set_condition(&report,
		      report.hold    ? KT_CONDITION_UNKNOWN :
		      state->node.ok ? KT_CONDITION_TRUE :
				       KT_CONDITION_FALSE,
		      state->node.reason, state->node.message);
	if (state->node.ok) {
		snprintf(report.value[KT_KEY_KM], sizeof(report.value[0]), "true");
		set_label(report.value[KT_KEY_HYPERVISOR], state->proof.hypervisor);
		if (input->legacy_label)
			snprintf(report.value[KT_KEY_LEGACY], sizeof(report.value[0]), LEGACY_VALUE);
	}
	set_label(report.value[KT_KEY_KM_VERSION], state->versions.km_version);
	snprintf(report.value[KT_KEY_KM_DIGEST], sizeof(report.value[0]), "%s", state->versions.km_digest);
	snprintf(report.value[KT_KEY_PREVIOUS_VERSION], sizeof(report.value[0]), "%s", state->versions.previous);
	if (kt_state_is_refused(state)) {
		set_label(report.value[KT_KEY_KM_REFUSED], state->store.upgrade.version);
		set_label(report.value[KT_KEY_KM_REFUSED_REASON], kt_reason_name(state->rollout.reason));
	}
	kt_upgrade_print(&state->store.upgrade, upgrade);
	snprintf(report.value[KT_KEY_UPGRADE_STATE], sizeof(report.value[0]), "%s", upgrade);
	for (size_t i = 0; i < KT_KEY_COUNT; i++)
		kt_utf8_one_line(report.value[i]);
	*ret_report = report;
}

bool kt_report_is_same(const struct kt_report *a, const struct kt_report *b)
{
	for (size_t i = 0; i < KT_KEY_COUNT; i++)
		if (strcmp(a->value[i], b->value[i]) != 0)
			return false;
	return a->hold == b->hold && a->absent == b->absent && a->status == b->status &&
	       strcmp(a->reason, b->reason) == 0;
}

bool kt_report_is_same_sentence(const char *a, const char *b)
{
	while (*a || *b) {
		a += strspn(a, "0123456789");
		b += strspn(b, "0123456789");
		if (*a != *b)
			return false;
		if (*a) {
			a++;
			b++;
		}
	}
	return true;
}

/* ---- the node as read ---- */

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

/* False when it did not fit. */
static bool copy_text(char *to, size_t size, const char *from)
{
	return (size_t)snprintf(to, size, "%s", from) < size;
}

static int64_t parse_time(const char *text)
{
	struct tm tm = {0};
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	return rest && (*rest == 'Z' || *rest == '.') ? timegm(&tm) : 0;
}

static void view_condition(const json_t *condition, struct kt_node_view *view)
{
	bool fits = copy_text(view->status, sizeof(view->status), text_of(condition, "status"));

	fits &= copy_text(view->reason, sizeof(view->reason), text_of(condition, "reason"));
	fits &= copy_text(view->message, sizeof(view->message), text_of(condition, "message"));
	copy_text(view->last_transition, sizeof(view->last_transition), text_of(condition, "lastTransitionTime"));
	view->last_heartbeat = parse_time(text_of(condition, "lastHeartbeatTime"));
	view->has_condition = true;
	view->condition_whole = fits && parse_time(view->last_transition) > 0 && view->last_heartbeat > 0;
}

static int view_taint(const json_t *taints, struct kt_node_view *view)
{
	size_t i;
	json_t *taint;

	json_array_foreach ((json_t *)taints, i, taint) {
		if (strcmp(text_of(taint, "key"), KT_TAINT_KEY) != 0 ||
		    strcmp(text_of(taint, "effect"), KT_TAINT_EFFECT) != 0)
			continue;
		view->taint = json_dumps(taint, JSON_COMPACT);
		if (!view->taint)
			return -ENOMEM;
		view->taint_index = (int)i;
		return 0;
	}
	return 0;
}

/* managedFields: [{manager, fieldsV1: {"f:metadata": {"f:labels": {"f:sandbox": {}}}}}] */
static bool is_legacy_ours(const json_t *metadata)
{
	size_t i;
	json_t *entry;

	json_array_foreach (json_object_get(metadata, "managedFields"), i, entry) {
		const json_t *fields = json_object_get(json_object_get(entry, "fieldsV1"), "f:metadata");

		if (strcmp(text_of(entry, "manager"), KT_FIELD_MANAGER) == 0 &&
		    json_object_get(json_object_get(fields, "f:labels"), "f:sandbox"))
			return true;
	}
	return false;
}

static void view_values(const json_t *metadata, struct kt_node_view *view)
{
	for (size_t k = 0; k < KT_KEY_COUNT; k++) {
		const json_t *map = json_object_get(metadata, keys[k].is_label ? "labels" : "annotations");
		const char *text = text_of(map, keys[k].name);

		/* An empty value is there all the same, and is not what we would write. */
		if (!copy_text(view->value[k], sizeof(view->value[k]), text) ||
		    (!text[0] && json_object_get(map, keys[k].name)))
			strcpy(view->value[k], "?");
	}
	view->legacy_is_ours = is_legacy_ours(metadata);
}

/* A decimal number (KEP-5504); 0 for what is not one: it has no order. */
static uint64_t parse_revision(const char *text)
{
	char *end;
	unsigned long long number;

	if (!text[0] || strspn(text, "0123456789") != strlen(text))
		return 0;
	errno = 0;
	number = strtoull(text, &end, 10);
	return errno ? 0 : number;
}

static int load_answer(const char *bytes, size_t size, json_t **ret_root, struct kt_error *err)
{
	json_error_t at;

	if (!kt_json_is_within(bytes, size, KT_JSON_NODE_SIGNS_MAX))
		return kt_fail(err, E2BIG, KT_REASON_INTERNAL,
			       "the API server's answer has too many values: expected at most %d",
			       KT_JSON_NODE_SIGNS_MAX);
	/* JSON_REJECT_DUPLICATES: an object that says two things is not to be believed. */
	*ret_root = json_loadb(bytes, size, JSON_REJECT_DUPLICATES, &at);
	if (!*ret_root)
		return kt_fail(err, EBADMSG, KT_REASON_INTERNAL, "the API server's answer is not JSON: %s", at.text);
	return 0;
}

static int view_node(const json_t *root, const char *name, struct kt_node_view *view, struct kt_error *err)
{
	struct kt_node_view seen = {.taint_index = -1};
	const json_t *metadata = json_object_get(root, "metadata");
	size_t i;
	json_t *condition;
	int r;

	if (strcmp(text_of(root, "kind"), "Node") != 0 || strcmp(text_of(metadata, "name"), name) != 0)
		return kt_fail(err, EBADMSG, KT_REASON_INTERNAL, "the API server's answer is not node %s", name);
	copy_text(seen.uid, sizeof(seen.uid), text_of(metadata, "uid"));
	seen.revision = parse_revision(text_of(metadata, "resourceVersion"));
	view_values(metadata, &seen);
	json_array_foreach (json_object_get(json_object_get(root, "status"), "conditions"), i, condition)
		if (strcmp(text_of(condition, "type"), KT_CONDITION_TYPE) == 0)
			view_condition(condition, &seen);
	r = view_taint(json_object_get(json_object_get(root, "spec"), "taints"), &seen);
	if (r < 0)
		return kt_fail(err, -r, KT_REASON_INTERNAL, "no memory for node %s", name);
	kt_node_view_done(view);
	*view = seen;
	return 0;
}

int kt_node_view_parse(const char *bytes, size_t size, const char *name, struct kt_node_view *view,
		       struct kt_error *err)
{
	KT_OWN(json_drop) json_t *root = NULL;
	int r = load_answer(bytes, size, &root, err);

	return r < 0 ? r : view_node(root, name, view, err);
}

/* An ERROR of a watch carries a Status, as 410 does: a resourceVersion that is too old. */
static int take_error(const json_t *status, struct kt_error *err)
{
	const json_t *code = json_object_get(status, "code");

	return kt_fail(err, json_integer_value(code) == 410 ? ESTALE : EREMOTEIO, KT_REASON_INTERNAL,
		       "the API server ends the watch with %" JSON_INTEGER_FORMAT ": %.150s", json_integer_value(code),
		       text_of(status, "message"));
}

int kt_node_event_parse(const char *bytes, size_t size, const char *name, enum kt_node_event *ret_event,
			struct kt_node_view *view, struct kt_error *err)
{
	static const struct {
		const char *type;
		enum kt_node_event event;
	} types[] = {
		{"ADDED", KT_NODE_SEEN},
		{"MODIFIED", KT_NODE_SEEN},
		{"DELETED", KT_NODE_DELETED},
		{"BOOKMARK", KT_NODE_BOOKMARK},
	};
	KT_OWN(json_drop) json_t *root = NULL;
	const json_t *object;
	const char *type;
	int r = load_answer(bytes, size, &root, err);

	if (r < 0)
		return r;
	object = json_object_get(root, "object");
	type = text_of(root, "type");
	if (strcmp(type, "ERROR") == 0)
		return take_error(object, err);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(type, types[i].type) != 0)
			continue;
		if (types[i].event != KT_NODE_BOOKMARK)
			r = view_node(object, name, view, err);
		if (r == 0)
			*ret_event = types[i].event;
		return r;
	}
	return kt_fail(
		err, EBADMSG, KT_REASON_INTERNAL,
		"the API server's watch has an event of type \"%.20s\": expected ADDED, MODIFIED, DELETED, BOOKMARK "
		"or ERROR",
		type);
}

bool kt_node_view_is_older(const struct kt_node_view *view, const struct kt_node_view *than)
{
	return strcmp(view->uid, than->uid) == 0 && view->revision && view->revision < than->revision;
}

void kt_node_view_done(struct kt_node_view *view)
{
	free(view->taint);
	memset(view, 0, sizeof(*view));
	view->taint_index = -1;
}

/* ---- patches ---- */

/* Takes json. An object that could not be built whole is never sent. */
static int print_patch(json_t *json, char **ret_patch)
{
	KT_OWN(json_drop) json_t *root = json;
	char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

	if (!text)
		return -ENOMEM;
	*ret_patch = text;
	return 0;
}

static bool is_held(const struct kt_report *report, const struct kt_node_view *view)
{
	return report->hold && view->has_condition && strstr(view->message, report->boot_id);
}

/* `sandbox` was others' label before it was ours: another value is never replaced, and ours is taken back where the
 * config has us keep it or where the server's book says that we wrote it. */
static bool is_legacy_changed(const struct kt_report *report, const struct kt_node_view *view)
{
	const char *seen = view->value[KT_KEY_LEGACY];

	if (report->value[KT_KEY_LEGACY][0])
		return !seen[0];
	return strcmp(seen, LEGACY_VALUE) == 0 && (report->manage_legacy || view->legacy_is_ours);
}

/* Does the key differ and is it ours to write? */
static bool is_changed(const struct kt_report *report, const struct kt_node_view *view, enum kt_report_key key)
{
	if (key == KT_KEY_LEGACY)
		return is_legacy_changed(report, view);
	return strcmp(report->value[key], view->value[key]) != 0;
}

int kt_report_patch_meta(const struct kt_report *report, const struct kt_node_view *view, char **ret_patch)
{
	KT_OWN(json_drop) json_t *labels = json_object();
	KT_OWN(json_drop) json_t *annotations = json_object();
	KT_OWN(json_drop) json_t *metadata = json_object();
	int r = 0;

	*ret_patch = NULL;
	if (is_held(report, view))
		return 0;
	for (size_t i = 0; i < KT_KEY_COUNT; i++) {
		const char *value = report->value[i];

		if (is_changed(report, view, i))
			r |= json_object_set_new(keys[i].is_label ? labels : annotations, keys[i].name,
						 value[0] ? json_string(value) : json_null());
	}
	if (json_object_size(labels) > 0)
		r |= json_object_set(metadata, "labels", labels);
	if (json_object_size(annotations) > 0)
		r |= json_object_set(metadata, "annotations", annotations);
	if (r != 0 || !labels || !annotations || !metadata)
		return -ENOMEM;
	if (json_object_size(metadata) == 0)
		return 0;
	return print_patch(json_pack("{s:O}", "metadata", metadata), ret_patch);
}

/* A boot id is all figures to the eye of is_same_sentence, and another one is news. */
static bool is_same_message(const struct kt_report *report, const struct kt_node_view *view)
{
	return kt_report_is_same_sentence(view->message, report->message) && strstr(view->message, report->boot_id);
}

bool kt_report_is_undone(const struct kt_report *report, const struct kt_node_view *view)
{
	KT_OWN(kt_free_mem) char *patch = NULL;
	bool is_condition_other = report->absent ?
					  view->has_condition :
					  !view->condition_whole || strcmp(view->reason, report->reason) != 0 ||
						  strcmp(view->status, kt_condition_status_name(report->status)) != 0;

	if (is_condition_other && !is_held(report, view))
		return true;
	if (kt_report_patch_meta(report, view, &patch) < 0 || patch)
		return true;
	return kt_report_patch_taint(report, view, &patch) < 0 || patch;
}

bool kt_report_only_message(const struct kt_report *report, const struct kt_node_view *view)
{
	return !report->absent && view->condition_whole &&
	       strcmp(view->status, kt_condition_status_name(report->status)) == 0 &&
	       strcmp(view->reason, report->reason) == 0 && !is_same_message(report, view);
}

int kt_report_patch_condition(const struct kt_report *report, const struct kt_node_view *view, int64_t now, bool beat,
			      char **ret_patch)
{
	const char *status = kt_condition_status_name(report->status);
	const char *transition = view->last_transition;
	time_t seconds = (time_t)now;
	char stamp[40];
	struct tm tm;
	bool is_same;

	*ret_patch = NULL;
	if (report->absent)
		return !view->has_condition ? 0 :
					      print_patch(json_pack("{s:{s:[{s:s,s:s}]}}", "status", "conditions",
								    "$patch", "delete", "type", KT_CONDITION_TYPE),
							  ret_patch);
	if (is_held(report, view))
		return 0;
	is_same = view->condition_whole && strcmp(view->status, status) == 0 &&
		  strcmp(view->reason, report->reason) == 0 && is_same_message(report, view);
	if (is_same && !beat)
		return 0;
	gmtime_r(&seconds, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%SZ", &tm);
	/* The server never sets or moves lastTransitionTime; left out it would be null or stale. */
	if (!view->has_condition || strcmp(view->status, status) != 0 || parse_time(transition) <= 0)
		transition = stamp;
	return print_patch(json_pack("{s:{s:[{s:s,s:s,s:s,s:s,s:s,s:s}]}}", "status", "conditions", "type",
				     KT_CONDITION_TYPE, "status", status, "reason", report->reason, "message",
				     report->message, "lastTransitionTime", transition, "lastHeartbeatTime", stamp),
			   ret_patch);
}

int kt_report_patch_taint(const struct kt_report *report, const struct kt_node_view *view, char **ret_patch)
{
	KT_OWN(json_drop) json_t *taint = NULL;
	char path[48];

	*ret_patch = NULL;
	/* With us goes who would ever lift it: a node that is left behind with our taint would take no pod again. */
	if (view->taint_index < 0 || (!report->absent && report->status != KT_CONDITION_TRUE))
		return 0;
	taint = json_loads(view->taint, 0, NULL);
	snprintf(path, sizeof(path), "/spec/taints/%d", view->taint_index);
	/* Taints are an atomic list without a merge key: the test makes the removal safe against a list that moved. */
	return print_patch(json_pack("[{s:s,s:s,s:O},{s:s,s:s}]", "op", "test", "path", path, "value", taint, "op",
				     "remove", "path", path),
			   ret_patch);
}
