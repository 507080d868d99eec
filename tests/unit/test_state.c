/* links: kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "kontain/contract/state.h"
#include "kontain/contract/statejson.h"

#define BOOT  "0a1b2c3d-0000-4000-8000-123456789abc"
#define OTHER "ffffffff-0000-4000-8000-123456789abc"

static void fill(struct kt_state *state)
{
	kt_state_init(state);
	strcpy(state->boot_id, BOOT);
	state->observed_at = 1767225600; /* 2026-01-01T00:00:00Z */
	state->observed_boot_s = 5000;
	kt_state_promise(state, 180);
	kt_verdict_set(&state->node, true, KT_REASON_READY, "km %s runs", "1.2");
	kt_verdict_set(&state->rollout, true, KT_REASON_READY, "done");
	strcpy(state->versions.desired, "1.2");
	strcpy(state->versions.current, "1.2");
	strcpy(state->versions.previous, "1.1");
	state->versions.list_count = 2;
	strcpy(state->versions.list[0], "1.2");
	strcpy(state->versions.list[1], "1.1");
	strcpy(state->versions.km_version, "0.9");
	memset(state->versions.km_digest, 'a', 64);
	state->kvm = (struct kt_state_kvm){.probed = true,
					   .device = "/dev/kvm",
					   .api_version = 12,
					   .real_mode = true,
					   .long_mode = true,
					   .duration_us = 1234};
	kt_verdict_set(&state->kvm.verdict, true, KT_REASON_READY, "a guest ran");
	state->host = (struct kt_state_host){.probed = true,
					     .kernel = "6.1.0",
					     .cpu_vendor = "AuthenticAMD",
					     .cpu_model = "EPYC",
					     .hypervisor = "KVMKVMKVM",
					     .xsave = true,
					     .mmap_min_addr = 65536,
					     .file_limit = UINT64_MAX,
					     .modules = "kvm builtin",
					     .confidential = "none",
					     .selinux = "absent",
					     .lockdown = "none"};
	kt_verdict_set(&state->host.verdict, true, KT_REASON_READY, "fit");
	state->proof = (struct kt_state_proof){.ran = true,
					       .integer_ok = true,
					       .sse_ok = true,
					       .dynamic_ok = KT_ANSWER_NO,
					       .hypervisor = "kvm",
					       .release = "6.1.0.kontain.KVM",
					       .duration_ms = 7,
					       .at = 1767225599};
	kt_verdict_set(&state->proof.verdict, true, KT_REASON_READY, "both payloads ran");
	state->store = (struct kt_state_store){
		.found = true,
		.root = "/opt/kontain",
		.filesystem = "ext4",
		.journalling = true,
		.installs_ok = 3,
		.installs_failed = 1,
		.upgrade.state = KT_UPGRADE_DONE,
		.verified_at = 1767225000,
		.verify_interval_s = 21600,
		.mismatches = 2,
		.last_mismatch = "StoreFileLost: versions/km/1/km is missing",
		.kept = {2, {{".kept-1-versions-km-1", "process 7 (km) runs from it"}, {".kept-1-sets-1", ""}}}};
	kt_verdict_set(&state->store.verdict, true, KT_REASON_READY, "whole");
	kt_check_pass(kt_checks_add(&state->checks, "kernel"));
}

static void test_round_trip(void **state)
{
	struct kt_state written, read;
	struct kt_error err = {0};

	(void)state;
	fill(&written);

	KT_OWN(kt_free_mem) char *first = kt_state_print(&written);

	assert_non_null(first);
	assert_int_equal(first[strlen(first) - 1], '\n');
	if (kt_state_parse(first, strlen(first), &read, &err) < 0)
		fail_msg("%s", err.text);

	KT_OWN(kt_free_mem) char *second = kt_state_print(&read);

	assert_string_equal(first, second);
	assert_string_equal(read.boot_id, BOOT);
	assert_int_equal(read.observed_at, written.observed_at);
	assert_int_equal(read.next_update_by, written.next_update_by);
	assert_int_equal(read.observed_boot_s, 5000);
	assert_int_equal(read.next_update_boot_s, 5180);
	assert_int_equal(read.proof.at, written.proof.at);
	assert_int_equal(read.proof.dynamic_ok, KT_ANSWER_NO);
	assert_int_equal(read.store.kept.count, 2);
	assert_string_equal(read.store.kept.list[0].user, "process 7 (km) runs from it");
	assert_string_equal(read.store.kept.list[1].name, ".kept-1-sets-1");
	assert_string_equal(read.node.message, "km 1.2 runs");
	assert_int_equal(read.versions.list_count, 2);
	assert_string_equal(read.versions.list[1], "1.1");
	assert_string_equal(read.versions.km_digest, written.versions.km_digest);
	assert_int_equal(read.kvm.duration_us, 1234);
	assert_int_equal(read.host.mmap_min_addr, 65536);
	assert_true(read.host.file_limit == (UINT64_C(1) << 53) - 1); /* no limit: the largest exact number in JSON */
	assert_non_null(strstr(first, "\"observedAt\": \"2026-01-01T00:00:00Z\""));
}

/* What a child answers, and what is not believed of it. */
static void test_kept(void **state)
{
	static const struct {
		const char *text;
		int count; /* -1: refused */
	} rows[] = {
		{"{}", -1},
		{"{\"kept\":{\"count\":0,\"list\":[]}}", 0},
		{"{\"kept\":{\"count\":9,\"list\":[{\"name\":\"a\",\"user\":\"\"}]}}", 9},
		{"{\"kept\":{\"count\":0,\"list\":[{\"name\":\"a\",\"user\":\"\"}]}}", -1},
		{"{\"kept\":{\"count\":1,\"list\":[]}}", -1},
		{"{\"kept\":{\"count\":-1,\"list\":[]}}", -1},
		{"{\"kept\":{\"count\":1,\"list\":[7]}}", -1},
		{"{\"kept\":{\"count\":1,\"list\":[{\"name\":\"a\"}]}}", -1},
		{"{\"kept\":{\"count\":9,\"list\":[1,2,3,4,5,6,7,8,9]}}", -1},
		{"{\"kept\":[]}", -1},
		{"{\"kept\":{\"list\":[]}}", -1},
		{"{\"kept\":7}", -1},
	};
	struct kt_state_kept many = {.count = 70}, read;
	struct kt_error err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int r = kt_kept_parse(rows[i].text, strlen(rows[i].text), &read, &err);

		if ((r == 0 ? (int)read.count : -1) != rows[i].count)
			fail_msg("%s: %d", rows[i].text, r);
	}
	for (size_t i = 0; i < KT_STATE_KEPT_MAX; i++)
		snprintf(many.list[i].name, sizeof(many.list[i].name), ".kept-%zu-sets-1", i);

	KT_OWN(kt_free_mem) char *text = kt_kept_print(&many);

	assert_int_equal(kt_kept_parse(text, strlen(text), &read, &err), 0);
	assert_int_equal(read.count, 70);
	assert_string_equal(read.list[7].name, ".kept-7-sets-1");
}

static void test_initial_state_has_no_proof(void **state)
{
	struct kt_state initial, read;
	struct kt_error err = {0};

	(void)state;
	kt_state_init(&initial);
	strcpy(initial.boot_id, BOOT);
	initial.observed_at = 1;
	initial.next_update_by = 2;
	initial.kvm.verdict.reason = KT_REASON_NONE;

	KT_OWN(kt_free_mem) char *text = kt_state_print(&initial);

	assert_int_equal(kt_state_parse(text, strlen(text), &read, &err), 0);
	assert_false(read.node.ok);
	assert_false(read.rollout.ok);
	assert_int_equal(read.node.reason, KT_REASON_STARTING);
	assert_int_equal(read.kvm.verdict.reason, KT_REASON_STARTING); /* None never leaves the program */
	assert_int_equal(read.kvm.api_version, -1);
	assert_int_equal(read.proof.at, 0);
	assert_int_equal(read.proof.dynamic_ok, KT_ANSWER_NONE);
	assert_null(strstr(text, "\"dynamic\""));
	assert_non_null(strstr(text, "\"at\": null"));
}

/* Text from other programs may be anything; the document is good JSON all the same and can be read back. */
static void test_dirty_text_is_cleaned(void **state)
{
	struct kt_state written, read;
	struct kt_error err = {0};

	(void)state;
	fill(&written);
	kt_verdict_set(&written.node, false, KT_REASON_KM_FAILED, "%s",
		       "a\x1b[31m\xff\xc3\n\t\"\\\x7f \xc3\xa4 \xed\xa0\x80");

	KT_OWN(kt_free_mem) char *text = kt_state_print(&written);

	assert_non_null(text);
	if (kt_state_parse(text, strlen(text), &read, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(read.node.message, "a?[31m??\n\t\"\\? \xc3\xa4 ???");
}

/* The good document with one piece of it exchanged. */
static char *exchange(const char *from, const char *to)
{
	struct kt_state good;
	char *text, *at, *changed;

	fill(&good);
	text = kt_state_print(&good);
	at = strstr(text, from);
	if (!at)
		fail_msg("not in the document: %s", from);
	changed = malloc(strlen(text) + strlen(to) + 1);
	sprintf(changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	free(text);
	return changed;
}

static const struct {
	const char *from;
	const char *to;
	const char *said;
} bad_rows[] = {
	{"\"kontain.app/v1\"", "\"kontain.app/v2\"", "apiVersion"},
	{"\"kontain.app/v1\"", "1", "apiVersion"},
	{"\"NodeState\"", "\"Node\"", "kind"},
	{"\"bootId\"", "\"bootID\"", "bootId: missing"},
	{BOOT, "none", "bootId"},
	{BOOT, "0a1b2c3d-0000-4000-8000-123456789abc0", "bootId"},
	{"\"2026-01-01T00:00:00Z\"", "1767225600", "observedAt"},
	{"\"2026-01-01T00:00:00Z\"", "null", "observedAt"},
	{"\"2026-01-01T00:00:00Z\"", "\"2026-02-30T00:00:00Z\"", "observedAt"},
	{"\"2026-01-01T00:00:00Z\"", "\"2026-01-01T00:00:60Z\"", "observedAt"},
	{"\"2026-01-01T00:00:00Z\"", "\"2026-01-01T00:00:00+00:00\"", "observedAt"},
	{"\"2026-01-01T00:00:00Z\"", "\"2026-01-01T00:00:00Z \"", "observedAt"},
	{"\"2026-01-01T00:00:00Z\"", "\"2026-01-01T00:0\"", "observedAt"},
	{"\"2026-01-01T00:00:00Z\"", "\"1969-12-31T23:59:59Z\"", "observedAt"},
	{"\"node\": {", "\"node\": [], \"x\": {", "node: expected an object"},
	{"\"ready\": true", "\"ready\": \"true\"", "node.ready"},
	{"\"ready\": true", "\"ready\": 1", "node.ready"},
	{"\"settled\": true", "\"settled\": null", "rollout.settled"},
	{"\"reason\": \"Ready\"", "\"reason\": \"Fine\"", "node.reason"},
	{"\"reason\": \"Ready\"", "\"reason\": \"None\"", "node.reason"},
	{"\"reason\": \"Ready\"", "\"reason\": 1", "node.reason"},
	{"\"km 1.2 runs\"", "null", "node.message"},
	{"\"km 1.2 runs\"", "\"\\u0000\"", "invalid JSON"},
	{"\"km 1.2 runs\"", "\"\\u001b\"", "node.message"},
	{"\"km 1.2 runs\"", "\"\xff\"", "invalid JSON"},
	{"\"desired\": \"1.2\"", "\"desired\": \"-1\"", "versions.desired"},
	{"\"desired\": \"1.2\"", "\"desired\": \"../../etc\"", "versions.desired"},
	{"\"current\": \"1.2\"", "\"current\": 1.2", "versions.current"},
	{"\"1.1\"\n", "\"\"\n", "versions.list"},
	{"\"1.1\"\n", "11\n", "versions.list"},
	{"\"1.1\"\n", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1\n", "at most 16"},
	{"\"list\": [", "\"list\": {}, \"x\": [", "versions.list"},
	{"\"km\": {", "\"km\": null, \"x\": {", "versions.km"},
	{"aaaaaaaa", "AAAAAAAA", "versions.km.digest"},
	{"aaaaaaaa", "aaaa", "versions.km.digest"},
	{"\"apiVersion\": 12", "\"apiVersion\": 12.0", "kvm.apiVersion: expected an integer"},
	{"\"apiVersion\": 12", "\"apiVersion\": -2", "kvm.apiVersion"},
	{"\"apiVersion\": 12", "\"apiVersion\": 2147483648", "kvm.apiVersion"},
	{"\"durationMicroseconds\": 1234", "\"durationMicroseconds\": -1", "out of range"},
	{"\"durationMicroseconds\": 1234", "\"durationMicroseconds\": 4294967296", "out of range"},
	{"\"durationMicroseconds\": 1234", "\"durationMicroseconds\": 99999999999999999999", "invalid JSON"},
	{"\"mmapMinAddr\": 65536", "\"mmapMinAddr\": 9007199254740992", "out of range"},
	{"\"hypervisor\": \"kvm\"", "\"hypervisor\": \"kvmkvmkvm\"", "proof.hypervisor: the string is too long"},
	{"\"dynamic\": false", "\"dynamic\": 0", "proof.dynamic: expected true, false or null"},
	{"\"kvm\": {", "\"kvm\": {\"probed\": true,", "invalid JSON"}, /* a key twice */
	{"{", "[{", "invalid JSON"},
	{"{\n", "{\n,", "invalid JSON"},
};

static void test_hostile_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		KT_OWN(kt_free_mem) char *text = exchange(bad_rows[i].from, bad_rows[i].to);
		struct kt_state read, before;
		struct kt_error err = {0};

		memset(&read, 0x55, sizeof(read));
		before = read;
		if (kt_state_parse(text, strlen(text), &read, &err) == 0)
			fail_msg("taken: %s", bad_rows[i].to);
		assert_int_equal(err.reason, KT_REASON_STATE_INVALID);
		if (!strstr(err.text, bad_rows[i].said))
			fail_msg("%s said: %s", bad_rows[i].to, err.text);
		assert_memory_equal(&read, &before, sizeof(read)); /* left alone */
	}
}

static void test_newer_writer_is_understood(void **state)
{
	static const char *const rows[][2] = {
		{"\"kind\"", "\"news\": {\"a\": [1, null]}, \"kind\""},
		{"\"ready\"", "\"news\": 1.5, \"ready\""},
		{"\"km\": {", "\"km\": {\"news\": true,"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_free_mem) char *text = exchange(rows[i][0], rows[i][1]);
		struct kt_state read;
		struct kt_error err = {0};

		if (kt_state_parse(text, strlen(text), &read, &err) < 0)
			fail_msg("%s", err.text);
		assert_true(read.node.ok);
	}
}

static void test_sizes(void **state)
{
	KT_OWN(kt_free_mem) char *large = calloc(1, KT_STATE_BYTES_MAX + 1);
	struct kt_state good, read;
	struct kt_error err = {0};

	(void)state;
	fill(&good);

	KT_OWN(kt_free_mem) char *text = kt_state_print(&good);
	size_t size = strlen(text);

	memset(large, ' ', KT_STATE_BYTES_MAX + 1);
	memcpy(large, text, size);
	assert_int_equal(kt_state_parse(large, KT_STATE_BYTES_MAX, &read, &err), 0);
	assert_int_equal(kt_state_parse(large, KT_STATE_BYTES_MAX + 1, &read, &err), -EFBIG);
	memset(large, '[', KT_STATE_BYTES_MAX);
	assert_int_equal(kt_state_parse(large, KT_STATE_BYTES_MAX, &read, &err), -E2BIG);
	assert_int_equal(kt_state_parse(large, 5000, &read, &err), -EINVAL);
	/* every cut of the good one, in a block of its exact size */
	for (size_t cut = 0; cut + 2 < size; cut++) {
		char *part = malloc(cut ? cut : 1);

		memcpy(part, text, cut);
		assert_true(kt_state_parse(part, cut, &read, &err) < 0);
		free(part);
	}
}

/* The longest of everything fits into the cap that readers put on the file. */
static void test_largest_state_is_readable(void **state)
{
	struct kt_state large, read;
	struct kt_error err = {0};

	(void)state;
	fill(&large);
	struct kt_verdict *verdicts[] = {&large.node,         &large.rollout,       &large.kvm.verdict,
					 &large.host.verdict, &large.proof.verdict, &large.store.verdict};

	for (size_t i = 0; i < 6; i++)
		memset(verdicts[i]->message, '"', sizeof(verdicts[i]->message) - 1);
	large.versions.list_count = KT_STATE_LIST_MAX;
	for (size_t i = 0; i < KT_STATE_LIST_MAX; i++)
		memset(large.versions.list[i], 'v', KT_VERSION_MAX - 1);

	KT_OWN(kt_free_mem) char *text = kt_state_print(&large);

	assert_true(strlen(text) < KT_STATE_BYTES_MAX / 4);
	if (kt_state_parse(text, strlen(text), &read, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(strlen(read.node.message), 511);
}

static void test_believable(void **state)
{
	static const struct {
		int64_t now; /* after observed_boot_s */
		int64_t promised;
		const char *boot_id;
		int wanted;
		enum kt_reason reason;
	} rows[] = {
		{0, 180, BOOT, 0, 0},
		{180, 180, BOOT, 0, 0},
		{181, 180, BOOT, -ESTALE, KT_REASON_STATE_OVERDUE},
		{-1, 180, BOOT, -EINVAL, KT_REASON_STATE_INVALID},
		{0, -1, BOOT, -EINVAL, KT_REASON_STATE_INVALID},
		{0, 86401, BOOT, -EINVAL, KT_REASON_STATE_INVALID}, /* "never" is no promise */
		{0, 180, OTHER, -ESTALE, KT_REASON_STATE_OF_OTHER_BOOT},
		{999, 180, OTHER, -ESTALE, KT_REASON_STATE_OF_OTHER_BOOT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_state told;
		struct kt_error err = {0};

		fill(&told);
		told.next_update_boot_s = told.observed_boot_s + (uint64_t)rows[i].promised;
		/* Times for people have no say. */
		told.next_update_by = told.observed_at - 7200 * (int64_t)(i % 3);
		assert_int_equal(
			kt_state_believable(&told, rows[i].boot_id, told.observed_boot_s + (uint64_t)rows[i].now, &err),
			rows[i].wanted);
		if (rows[i].wanted < 0)
			assert_int_equal(err.reason, rows[i].reason);
	}
}

static void test_versions(void **state)
{
	static const struct {
		const char *version;
		bool is_valid;
	} rows[] = {
		{"1", true},
		{"v0.9.1-rc.1_x", true},
		{"", false},
		{".1", false},
		{"-1", false},
		{"1/2", false},
		{"..", false},
		{"1 2", false},
		{"1\n", false},
		{"\xc3\xa4", false},
		{"123456789012345678901234567890123456789012345678901234567890123", true},
		{"1234567890123456789012345678901234567890123456789012345678901234", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(kt_version_is_valid(rows[i].version), rows[i].is_valid);
}

static void test_file(void **state)
{
	char folder[] = "/tmp/kt-state-XXXXXX", path[64], inner[80];
	struct kt_state written, read;
	struct kt_error err = {0};
	struct stat info;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/state.json", folder);
	fill(&written);
	assert_int_equal(kt_state_read(path, &read, &err), -ENOENT);
	assert_int_equal(err.reason, KT_REASON_STATE_MISSING);
	if (kt_state_write(path, &written, &err) < 0 || kt_state_write(path, &written, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(stat(path, &info), 0);
	assert_int_equal(info.st_mode & 07777, 0644);
	assert_int_equal(kt_state_read(path, &read, &err), 0);
	assert_string_equal(read.boot_id, BOOT);
	snprintf(inner, sizeof(inner), "%s/none/state.json", folder);
	assert_int_equal(kt_state_write(inner, &written, &err), -ENOENT);
	assert_non_null(strstr(err.text, inner));
	assert_int_equal(truncate(path, 100), 0);
	assert_int_equal(kt_state_read(path, &read, &err), -EINVAL);
	assert_int_equal(err.reason, KT_REASON_STATE_INVALID);
	assert_non_null(strstr(err.text, path));
	assert_int_equal(kt_state_read(folder, &read, &err), -EISDIR);
	assert_int_equal(err.reason, KT_REASON_STATE_INVALID);
	unlink(path);
	assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

static void test_verdicts(void **state)
{
	struct kt_verdict verdict = {0};
	struct kt_error err = {.code = EIO, .text = "broken"};

	(void)state;
	kt_verdict_fail(&verdict, &err);
	assert_false(verdict.ok);
	assert_int_equal(verdict.reason, KT_REASON_INTERNAL); /* an error without one is ours */
	kt_verdict_set(&verdict, false, KT_REASON_IO_ERROR, "still %s", verdict.message);
	assert_string_equal(verdict.message, "still broken");
}

/* What a document may say of the upgrade, and nothing else; the longest version is told whole. */
static void test_upgrade(void **state)
{
	static const char longest[] = "failed:0123456789-123456789-123456789-123456789-123456789-1234567890-x";
	static const struct {
		const char *text;
		bool is_taken;
	} rows[] = {
		{"none", true},
		{"done", true},
		{"failed:1.0", true},
		{"held:1.0", true},
		{"failed:", true},
		{longest, true},
		{"", false},
		{"Done", false},
		{"done:", false},
		{"failed", false},
		{"failed:/", false},
		{"failed:1:2", false},
		{"doned", false},
		{"held:a b", false},
		{"don", false},
		{"failed:0123456789-123456789-123456789-123456789-123456789-1234567890-xy", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_upgrade upgrade = {.state = KT_UPGRADE_COUNT};
		char text[KT_UPGRADE_TEXT_MAX];

		if (kt_upgrade_parse(rows[i].text, &upgrade) != rows[i].is_taken)
			fail_msg("%s", rows[i].text);
		if (!rows[i].is_taken) {
			assert_int_equal(upgrade.state, KT_UPGRADE_COUNT);
			continue;
		}
		kt_upgrade_print(&upgrade, text);
		assert_string_equal(text, rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_initial_state_has_no_proof),
		cmocka_unit_test(test_dirty_text_is_cleaned),
		cmocka_unit_test(test_hostile_documents),
		cmocka_unit_test(test_newer_writer_is_understood),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_largest_state_is_readable),
		cmocka_unit_test(test_believable),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_upgrade),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
