/* The state document and its parts: which member of which struct is which key. One table a part, for both ways. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checksjson.h"
#include "jsonfields.h"
#include "kontain/base/own.h"
#include "kontain/contract/statejson.h"

#define API_VERSION "kontain.app/v1"
#define KIND        "NodeState"
#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static bool is_version_or_empty(const char *text)
{
	return !*text || kt_version_is_valid(text);
}

static bool is_digest_or_empty(const char *text)
{
	size_t length = strlen(text);

	return (length == 0 || length == KT_DIGEST_HEX - 1) && strspn(text, "0123456789abcdef") == length;
}

static bool is_boot_id(const char *text)
{
	return strlen(text) == 36 && strspn(text, "0123456789abcdef-") == 36;
}

#define STATE_TIMES(type)                                                           \
	KT_FIELD_STRING(type, boot_id, "bootId", is_boot_id),                       \
		KT_FIELD(type, observed_at, "observedAt", KT_FIELD_TIME),           \
		KT_FIELD(type, next_update_by, "nextUpdateBy", KT_FIELD_TIME),      \
		KT_FIELD(type, observed_boot_s, "observedAtBoot", KT_FIELD_UINT64), \
		KT_FIELD(type, next_update_boot_s, "nextUpdateByBoot", KT_FIELD_UINT64)

/* A verdict says "ok" under the name of its question. `verdict` names a member: no parentheses. */
// NOLINTBEGIN(bugprone-macro-parentheses)
#define VERDICT(type, verdict, question)                                   \
	KT_FIELD(type, verdict.ok, question, KT_FIELD_BOOL),               \
		KT_FIELD(type, verdict.reason, "reason", KT_FIELD_REASON), \
		KT_FIELD_STRING(type, verdict.message, "message", NULL)
// NOLINTEND(bugprone-macro-parentheses)

static const struct kt_field top_rows[] = {STATE_TIMES(struct kt_state)};
static const struct kt_field node_rows[] = {VERDICT(struct kt_state, node, "ready")};
static const struct kt_field rollout_rows[] = {VERDICT(struct kt_state, rollout, "settled")};

static const struct kt_field version_rows[] = {
	KT_FIELD_STRING(struct kt_state_versions, desired, "desired", is_version_or_empty),
	KT_FIELD_STRING(struct kt_state_versions, current, "current", is_version_or_empty),
	KT_FIELD_STRING(struct kt_state_versions, previous, "previous", is_version_or_empty),
};

static const struct kt_field km_rows[] = {
	KT_FIELD_STRING(struct kt_state_versions, km_version, "version", is_version_or_empty),
	KT_FIELD_STRING(struct kt_state_versions, km_digest, "digest", is_digest_or_empty),
};

static const struct kt_field list_row = {.key = "list", .size = KT_VERSION_MAX, .is_valid = kt_version_is_valid};

static const struct kt_field kvm_rows[] = {
	KT_FIELD(struct kt_state_kvm, probed, "probed", KT_FIELD_BOOL),
	VERDICT(struct kt_state_kvm, verdict, "ok"),
	KT_FIELD_STRING(struct kt_state_kvm, device, "device", NULL),
	KT_FIELD(struct kt_state_kvm, api_version, "apiVersion", KT_FIELD_INT),
	KT_FIELD(struct kt_state_kvm, real_mode, "realMode", KT_FIELD_BOOL),
	KT_FIELD(struct kt_state_kvm, long_mode, "longMode", KT_FIELD_BOOL),
	KT_FIELD(struct kt_state_kvm, compiled_code, "compiledCode", KT_FIELD_ANSWER),
	KT_FIELD(struct kt_state_kvm, nonroot_access, "nonRootAccess", KT_FIELD_BOOL),
	KT_FIELD(struct kt_state_kvm, duration_us, "durationMicroseconds", KT_FIELD_UINT),
};

static const struct kt_field host_rows[] = {
	KT_FIELD(struct kt_state_host, probed, "probed", KT_FIELD_BOOL),
	VERDICT(struct kt_state_host, verdict, "ok"),
	KT_FIELD_STRING(struct kt_state_host, kernel, "kernel", NULL),
	KT_FIELD_STRING(struct kt_state_host, cpu_vendor, "cpuVendor", NULL),
	KT_FIELD_STRING(struct kt_state_host, cpu_model, "cpuModel", NULL),
	KT_FIELD_STRING(struct kt_state_host, hypervisor, "hypervisor", NULL),
	KT_FIELD(struct kt_state_host, virt_flag, "virtualizationFlag", KT_FIELD_BOOL),
	KT_FIELD(struct kt_state_host, xsave, "xsave", KT_FIELD_BOOL),
	KT_FIELD(struct kt_state_host, mmap_min_addr, "mmapMinAddr", KT_FIELD_UINT64),
	KT_FIELD(struct kt_state_host, file_limit, "fileLimit", KT_FIELD_UINT64),
	KT_FIELD_STRING(struct kt_state_host, modules, "modules", NULL),
	KT_FIELD_STRING(struct kt_state_host, confidential, "confidential", NULL),
	KT_FIELD_STRING(struct kt_state_host, selinux, "selinux", NULL),
	KT_FIELD_STRING(struct kt_state_host, lockdown, "lockdown", NULL),
};

static const struct kt_field proof_rows[] = {
	KT_FIELD(struct kt_state_proof, ran, "ran", KT_FIELD_BOOL),
	VERDICT(struct kt_state_proof, verdict, "ok"),
	KT_FIELD(struct kt_state_proof, integer_ok, "integer", KT_FIELD_BOOL),
	KT_FIELD(struct kt_state_proof, sse_ok, "sse", KT_FIELD_BOOL),
	KT_FIELD(struct kt_state_proof, dynamic_ok, "dynamic", KT_FIELD_ANSWER),
	KT_FIELD(struct kt_state_proof, emulated, "emulated", KT_FIELD_BOOL),
	KT_FIELD_STRING(struct kt_state_proof, hypervisor, "hypervisor", NULL),
	KT_FIELD_STRING(struct kt_state_proof, release, "release", NULL),
	KT_FIELD(struct kt_state_proof, duration_ms, "durationMilliseconds", KT_FIELD_UINT),
	KT_FIELD(struct kt_state_proof, at, "at", KT_FIELD_TIME),
};

static const struct kt_field store_rows[] = {
	KT_FIELD(struct kt_state_store, found, "found", KT_FIELD_BOOL),
	VERDICT(struct kt_state_store, verdict, "ok"),
	KT_FIELD_STRING(struct kt_state_store, root, "root", NULL),
	KT_FIELD_STRING(struct kt_state_store, filesystem, "filesystem", NULL),
	KT_FIELD(struct kt_state_store, journalling, "journalling", KT_FIELD_BOOL),
	KT_FIELD(struct kt_state_store, installs_ok, "installsOk", KT_FIELD_UINT64),
	KT_FIELD(struct kt_state_store, installs_failed, "installsFailed", KT_FIELD_UINT64),
	KT_FIELD(struct kt_state_store, upgrade, "upgradeState", KT_FIELD_UPGRADE),
	KT_FIELD(struct kt_state_store, verified_at, "verifiedAt", KT_FIELD_TIME),
	KT_FIELD(struct kt_state_store, verify_interval_s, "verifyIntervalSeconds", KT_FIELD_UINT),
	KT_FIELD(struct kt_state_store, mismatches, "mismatches", KT_FIELD_UINT64),
	KT_FIELD_STRING(struct kt_state_store, last_mismatch, "lastMismatch", NULL),
};

static const struct kt_field kept_rows[] = {
	KT_FIELD_STRING(struct kt_state_kept_tree, name, "name", NULL),
	KT_FIELD_STRING(struct kt_state_kept_tree, user, "user", NULL),
};

static const struct kt_field reconciles_rows[] = {
	KT_FIELD(struct kt_state_reconciles, count, "count", KT_FIELD_UINT64),
	KT_FIELD_STRING(struct kt_state_reconciles, cause, "cause", NULL),
	KT_FIELD(struct kt_state_reconciles, duration_ms, "durationMilliseconds", KT_FIELD_UINT),
	KT_FIELD(struct kt_state_reconciles, cpu_us, "cpuMicroseconds", KT_FIELD_UINT),
	KT_FIELD(struct kt_state_reconciles, ready_changes, "readyChanges", KT_FIELD_UINT64),
	KT_FIELD(struct kt_state_reconciles, held_back, "heldBack", KT_FIELD_UINT64),
	KT_FIELD(struct kt_state_reconciles, held_until, "heldUntil", KT_FIELD_TIME),
	KT_FIELD(struct kt_state_reconciles, stuck_pid, "stuckPid", KT_FIELD_UINT),
	KT_FIELD(struct kt_state_reconciles, stuck_since, "stuckSince", KT_FIELD_TIME),
};

/* An object of the document whose rows cover it whole. */
struct section {
	const char *key;
	const struct kt_field *rows;
	size_t row_count;
	size_t offset; /* of the rows' struct in kt_state */
};

static const struct section sections[] = {
	{"node", node_rows, COUNT(node_rows), 0},
	{"rollout", rollout_rows, COUNT(rollout_rows), 0},
	{"versions", version_rows, COUNT(version_rows), offsetof(struct kt_state, versions)}, /* and more, below */
	{"kvm", kvm_rows, COUNT(kvm_rows), offsetof(struct kt_state, kvm)},
	{"host", host_rows, COUNT(host_rows), offsetof(struct kt_state, host)},
	{"proof", proof_rows, COUNT(proof_rows), offsetof(struct kt_state, proof)},
	{"store", store_rows, COUNT(store_rows), offsetof(struct kt_state, store)},
	{"reconciles", reconciles_rows, COUNT(reconciles_rows), offsetof(struct kt_state, reconciles)},
};

/* ---- printing ---- */

/* Adds {key: {rows}}; the new object is borrowed from the parent, NULL when memory is gone. */
static json_t *object_add(json_t *parent, const char *key, const struct kt_field *rows, size_t count, const void *from)
{
	json_t *object = json_object();

	if (json_object_set_new(parent, key, object) < 0 || kt_fields_print(object, rows, count, from) < 0)
		return NULL;
	return object;
}

static int versions_print(json_t *object, const struct kt_state_versions *versions)
{
	json_t *list = json_array();

	if (json_object_set_new(object, "list", list) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < versions->list_count && i < KT_STATE_LIST_MAX; i++)
		if (json_array_append_new(list, kt_json_text(versions->list[i])) < 0)
			return -ENOMEM;
	return object_add(object, "km", km_rows, COUNT(km_rows), versions) ? 0 : -ENOMEM;
}

/* {"kept": {"count", "list"}} */
static int kept_print(json_t *object, const struct kt_state_kept *kept)
{
	json_t *told = json_object(), *list;

	if (json_object_set_new(object, "kept", told) < 0 ||
	    json_object_set_new(told, "count", json_integer((json_int_t)kept->count)) < 0)
		return -ENOMEM;
	list = json_array();
	if (json_object_set_new(told, "list", list) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < kept->count && i < KT_STATE_KEPT_MAX; i++) {
		json_t *tree = json_object();

		if (json_array_append_new(list, tree) < 0 ||
		    kt_fields_print(tree, kept_rows, COUNT(kept_rows), &kept->list[i]) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int state_fill(json_t *root, const struct kt_state *state)
{
	if (json_object_set_new(root, "apiVersion", json_string(API_VERSION)) < 0 ||
	    json_object_set_new(root, "kind", json_string(KIND)) < 0 ||
	    kt_fields_print(root, top_rows, COUNT(top_rows), state) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < COUNT(sections); i++) {
		const struct section *section = &sections[i];
		json_t *object = object_add(root, section->key, section->rows, section->row_count,
					    (const char *)state + section->offset);

		if (!object || (section->rows == version_rows && versions_print(object, &state->versions) < 0) ||
		    (section->rows == store_rows && kept_print(object, &state->store.kept) < 0))
			return -ENOMEM;
	}
	return kt_checks_print(root, &state->checks);
}

char *kt_state_print(const struct kt_state *state)
{
	KT_OWN(kt_json_release) json_t *root = json_object();
	KT_OWN(kt_free_mem) char *text = NULL;
	char *line;

	if (!root || state_fill(root, state) < 0)
		return NULL;
	text = json_dumps(root, JSON_INDENT(2));
	if (!text)
		return NULL;

	size_t size = strlen(text);

	line = realloc(text, size + 2);
	if (!line)
		return NULL;
	text = line;
	memcpy(text + size, "\n", 2);
	return kt_take_ptr(&text);
}

static char *document_print(json_t *root)
{
	return json_dumps(root, JSON_COMPACT);
}

char *kt_probe_print(const struct kt_probe *probe)
{
	KT_OWN(kt_json_release) json_t *root = json_object();

	if (!root || !object_add(root, "kvm", kvm_rows, COUNT(kvm_rows), &probe->kvm) ||
	    !object_add(root, "host", host_rows, COUNT(host_rows), &probe->host) ||
	    kt_checks_print(root, &probe->checks) < 0)
		return NULL;
	return document_print(root);
}

char *kt_proof_print(const struct kt_state_proof *proof)
{
	KT_OWN(kt_json_release) json_t *root = json_object();

	if (!root || !object_add(root, "proof", proof_rows, COUNT(proof_rows), proof))
		return NULL;
	return document_print(root);
}

char *kt_kept_print(const struct kt_state_kept *kept)
{
	KT_OWN(kt_json_release) json_t *root = json_object();

	return root && kept_print(root, kept) == 0 ? document_print(root) : NULL;
}

/* ---- parsing ---- */

static int object_take(const json_t *root, const char *key, const struct kt_field *rows, size_t count, void *into,
		       struct kt_error *err)
{
	json_t *object = NULL;
	int r = kt_json_object(root, key, &object, err);

	return r < 0 ? r : kt_fields_parse(object, key, rows, count, into, err);
}

static int versions_take(const json_t *object, struct kt_state_versions *versions, struct kt_error *err)
{
	const json_t *list = json_object_get(object, "list");
	const json_t *km = json_object_get(object, "km");
	size_t count = json_array_size(list);

	if (!json_is_array(list) || count > KT_STATE_LIST_MAX)
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID,
			       "versions.list: expected an array of at most %d versions", KT_STATE_LIST_MAX);
	for (size_t i = 0; i < count; i++) {
		int r = kt_json_text_take(json_array_get(list, i), "versions", &list_row, versions->list[i], err);

		if (r < 0)
			return r;
	}
	versions->list_count = count;
	if (!json_is_object(km))
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "versions.km: expected an object");
	return kt_fields_parse(km, "versions.km", km_rows, COUNT(km_rows), versions, err);
}

static int kept_take(const json_t *object, struct kt_state_kept *kept, struct kt_error *err)
{
	json_t *told = NULL;
	int r = kt_json_object(object, "kept", &told, err);

	if (r < 0)
		return r;

	const json_t *list = json_object_get(told, "list");
	json_int_t count = json_integer_value(json_object_get(told, "count"));

	if (!json_is_integer(json_object_get(told, "count")) || !json_is_array(list) ||
	    json_array_size(list) > KT_STATE_KEPT_MAX || count < (json_int_t)json_array_size(list) ||
	    count > KT_JSON_INT_MAX || (count > 0) != (json_array_size(list) > 0))
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID,
			       "store.kept: expected a count and a list of its first %d entries", KT_STATE_KEPT_MAX);
	kept->count = (size_t)count;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *tree = json_array_get(list, i);

		r = json_is_object(tree) ?
			    kt_fields_parse(tree, "store.kept", kept_rows, COUNT(kept_rows), &kept->list[i], err) :
			    kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "store.kept: expected an object");
		if (r < 0)
			return r;
	}
	return 0;
}

static int text_match(const json_t *root, const char *key, const char *wanted, struct kt_error *err)
{
	const char *text = json_string_value(json_object_get(root, key));

	if (!text || strcmp(text, wanted) != 0)
		return kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "%s: expected %s", key, wanted);
	return 0;
}

static int state_take(const json_t *root, struct kt_state *state, struct kt_error *err)
{
	int r = text_match(root, "apiVersion", API_VERSION, err);

	if (r == 0)
		r = text_match(root, "kind", KIND, err);
	if (r == 0)
		r = kt_fields_parse(root, "", top_rows, COUNT(top_rows), state, err);
	for (size_t i = 0; r == 0 && i < COUNT(sections); i++) {
		const struct section *section = &sections[i];

		r = object_take(root, section->key, section->rows, section->row_count, (char *)state + section->offset,
				err);
	}
	if (r == 0)
		r = versions_take(json_object_get(root, "versions"), &state->versions, err);
	if (r == 0)
		r = kept_take(json_object_get(root, "store"), &state->store.kept, err);
	if (r == 0)
		r = kt_checks_take(root, &state->checks, err);
	if (r == 0 && (state->observed_at <= 0 || state->next_update_by <= 0))
		r = kt_fail(err, EINVAL, KT_REASON_STATE_INVALID, "observedAt and nextUpdateBy: times are wanted");
	return r;
}

int kt_state_parse(const char *bytes, size_t size, struct kt_state *ret_state, struct kt_error *err)
{
	KT_OWN(kt_json_release) json_t *root = NULL;
	struct kt_state state;
	int r = kt_json_load(bytes, size, &root, err);

	if (r < 0)
		return r;
	kt_state_init(&state);
	r = state_take(root, &state, err);
	if (r == 0)
		*ret_state = state;
	return r;
}

int kt_probe_parse(const char *bytes, size_t size, struct kt_probe *ret_probe, struct kt_error *err)
{
	KT_OWN(kt_json_release) json_t *root = NULL;
	struct kt_probe probe = {.kvm.api_version = -1};
	int r = kt_json_load(bytes, size, &root, err);

	if (r == 0)
		r = object_take(root, "kvm", kvm_rows, COUNT(kvm_rows), &probe.kvm, err);
	if (r == 0)
		r = object_take(root, "host", host_rows, COUNT(host_rows), &probe.host, err);
	if (r == 0)
		r = kt_checks_take(root, &probe.checks, err);
	if (r == 0)
		*ret_probe = probe;
	return r;
}

int kt_proof_parse(const char *bytes, size_t size, struct kt_state_proof *ret_proof, struct kt_error *err)
{
	KT_OWN(kt_json_release) json_t *root = NULL;
	struct kt_state_proof proof = {.ran = false};
	int r = kt_json_load(bytes, size, &root, err);

	if (r == 0)
		r = object_take(root, "proof", proof_rows, COUNT(proof_rows), &proof, err);
	if (r == 0)
		*ret_proof = proof;
	return r;
}

int kt_kept_parse(const char *bytes, size_t size, struct kt_state_kept *ret_kept, struct kt_error *err)
{
	KT_OWN(kt_json_release) json_t *root = NULL;
	struct kt_state_kept kept = {.count = 0};
	int r = kt_json_load(bytes, size, &root, err);

	if (r == 0)
		r = kept_take(root, &kept, err);
	if (r == 0)
		*ret_kept = kept;
	return r;
}
