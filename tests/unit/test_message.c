/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* What the processes of the privileged half say to each other: what is written is read, and nothing else is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/jobs/jobs.h"
#include "kontain/base/own.h"
#include "kontain/contract/message.h"

static void test_request(void **state)
{
	struct kt_request request = {.job = "selftest", .version = "0.10.3-rc_1", .timeout_ms = 240000}, read;
	KT_OWN(kt_free_mem) char *line = kt_request_print(&request);
	struct kt_error err = {.code = 0};

	(void)state;
	assert_string_equal(line, "{\"job\":\"selftest\",\"version\":\"0.10.3-rc_1\",\"timeoutMs\":240000}\n");
	assert_int_equal(kt_request_parse(line, strlen(line), &read, &err), 0);
	assert_string_equal(read.job, request.job);
	assert_string_equal(read.version, request.version);
	assert_int_equal(read.timeout_ms, request.timeout_ms);
}

/* The longest that an honest agent says has room. */
static void test_every_job_can_be_asked_for(void **state)
{
	(void)state;
	for (size_t i = 0; i < kt_job_count; i++) {
		struct kt_request request = {.timeout_ms = kt_jobs[i].timeout_max_ms}, read;
		struct kt_error err = {.code = 0};

		assert_true((size_t)snprintf(request.job, sizeof(request.job), "%s", kt_jobs[i].name) <
			    sizeof(request.job));
		if (kt_jobs[i].takes_version)
			memset(request.version, 'v', sizeof(request.version) - 1);

		KT_OWN(kt_free_mem) char *line = kt_request_print(&request);

		assert_true(strlen(line) < KT_REQUEST_BYTES_MAX);
		assert_int_equal(kt_request_parse(line, strlen(line), &read, &err), 0);
		assert_ptr_equal(kt_job_find(read.job), &kt_jobs[i]);
	}
}

static void test_requests_that_nobody_makes(void **state)
{
	static const char *const rows[] = {
		"",
		"\n",
		"{}",
		"AAAAAAAAAAAAAAAA",
		"[]",
		"{\"job\":\"probe\"}",
		"{\"job\":\"probe\",\"version\":\"\",\"timeoutMs\":-1}",
		"{\"job\":\"probe\",\"version\":\"\",\"timeoutMs\":1.5}",
		"{\"job\":\"probe\",\"version\":\"\",\"timeoutMs\":\"1\"}",
		"{\"job\":\"probe\",\"version\":\"\",\"timeoutMs\":99999999999}",
		"{\"job\":\"probe\",\"version\":null,\"timeoutMs\":1}",
		"{\"job\":\"a-job-with-a-long-name\",\"version\":\"\",\"timeoutMs\":1}",
		"{\"job\":\"probe\",\"version\":\"../0.1\",\"timeoutMs\":1}",
		"{\"job\":\"probe\",\"version\":\"-rf\",\"timeoutMs\":1}",
		"{\"job\":\"pro\\u0062e\",\"version\":\"\",\"timeoutMs\":1}",
		"{\"job\":\"probe\",\"version\":\"\",\"timeoutMs\":1,\"root\":\"x\"}",
		"{\"job\":\"probe\",\"job\":\"land\",\"version\":\"\",\"timeoutMs\":1}",
		"{\"job\":\"probe\",\"version\":\"\",\"timeoutMs\":1,\"setup\":{}}",
		"{\"job\":\"probe\",\"version\":\"\",\"timeoutMs\":1}{\"job\":\"land\"}",
		"{\"job\":\"probe\",\"version\":\"\",\"timeoutMs\":1}\n{}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_request request, untouched;
		struct kt_error err = {.code = 0};

		memset(&request, 0, sizeof(request));
		memset(&untouched, 0, sizeof(untouched));
		if (kt_request_parse(rows[i], strlen(rows[i]), &request, &err) == 0)
			fail_msg("taken: %s", rows[i]);
		assert_memory_equal(&request, &untouched, sizeof(request));
	}
}

static void order_make(struct kt_order *order)
{
	*order = (struct kt_order){.request = {.job = "land", .timeout_ms = 900000},
				   .host = "/host",
				   .dev = "/host/dev",
				   .root = "/opt/kon \"tain\"",
				   .bundle = "/bundle \xc3\xa4",
				   .quiet = true};
	kt_config_init(&order->config);
	order->config.allow_emulated = true;
	order->config.load_modules = false;
	order->config.proof_timeout_s = 7;
	order->config.root_count = 2;
	strcpy(order->config.roots[0], "/a \\ \"b\": [c] # d");
	strcpy(order->config.roots[1], "/\xe2\x82\xac");
}

/* Paths and config come out as they went in, or the job would work elsewhere than it was told. */
static void test_order(void **state)
{
	static struct kt_order order, read;
	struct kt_error err = {.code = 0};

	(void)state;
	order_make(&order);

	KT_OWN(kt_free_mem) char *line = kt_order_print(&order);

	assert_non_null(line);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	memset(&read, 0, sizeof(read));
	if (kt_order_parse(line, strlen(line), &read, &err) != 0)
		fail_msg("%s: %s", err.text, line);
	assert_string_equal(read.root, order.root);
	assert_string_equal(read.bundle, order.bundle);
	assert_true(read.quiet && !read.verbose);
	assert_memory_equal(&read.config, &order.config, sizeof(order.config));

	strcpy(order.bundle, "/not \xff UTF-8");
	assert_null(kt_order_print(&order));
}

/* Every key of the config goes the way there and back: one that is left out would be its default in each job. */
static void test_config(void **state)
{
	static const char text[] = "desired: absent\nunfitNodes: notReady\n"
				   "store: {roots: [/x, /y], verifyIntervalSeconds: 61}\n"
				   "proof: {allowEmulated: true, intervalSeconds: 6, timeoutSeconds: 2}\n"
				   "node: {loadModules: false}\n"
				   "report: {heartbeatSeconds: 31, startDelaySeconds: 2, legacyLabel: true}\n";
	struct kt_config config, read;
	struct kt_error err = {.code = 0};

	(void)state;
	memset(&config, 0, sizeof(config));
	memset(&read, 0, sizeof(read));
	assert_int_equal(kt_config_parse(text, strlen(text), "c", &config, &err), 0);

	KT_OWN(kt_free_mem) char *line = kt_config_print(&config);

	if (kt_config_parse(line, strlen(line), "c", &read, &err) != 0)
		fail_msg("%s: %s", err.text, line);
	assert_memory_equal(&read, &config, sizeof(config));
}

static void test_reply(void **state)
{
	struct kt_reply reply = {.error.reason = KT_REASON_NONE,
				 .ended = {.pid = 7,
					   .exit_status = -1,
					   .signal = 9,
					   .timed_out = true,
					   .duration_ms = 12,
					   .output = "{\"proof\": \"\\n\"}",
					   .errors = "no\x01\xff\n"},
				 .cpu_us = 5000000000,
				 .is_verifying = true,
				 .stuck = {.child = 8, .pid = 9, .program = "km", .since = 1767225600},
				 .root = "/opt/kontain"};
	KT_OWN(kt_free_mem) char *line = kt_reply_print(&reply);
	KT_OWN(kt_reply_done) struct kt_reply read = {.cpu_us = 0};
	struct kt_error err = {.code = 0};

	(void)state;
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	assert_int_equal(kt_reply_parse(line, strlen(line), &read, &err), 0);
	assert_int_equal(read.error.reason, KT_REASON_NONE);
	assert_string_equal(read.ended.output, reply.ended.output);
	assert_string_equal(read.ended.errors, "no??\n");
	assert_true(read.ended.timed_out && read.ended.signal == 9 && read.ended.exit_status == -1 &&
		    read.is_verifying);
	assert_true(read.cpu_us == reply.cpu_us && read.stuck.since == reply.stuck.since && read.stuck.pid == 9);
	assert_string_equal(read.root, "/opt/kontain");
}

static void test_reply_of_a_job_that_did_not_run(void **state)
{
	struct kt_reply reply = {.error = {.code = ENOMEM, .reason = KT_REASON_INTERNAL, .text = "no \"room\""}};
	KT_OWN(kt_free_mem) char *line = kt_reply_print(&reply);
	KT_OWN(kt_reply_done) struct kt_reply read = {.cpu_us = 1};
	struct kt_error err = {.code = 0};

	(void)state;
	assert_int_equal(kt_reply_parse(line, strlen(line), &read, &err), 0);
	assert_int_equal(read.error.code, ENOMEM);
	assert_string_equal(read.error.text, "no \"room\"");
	assert_null(read.ended.output);
}

/* What the runner holds is what its jobs take, and each of them has a row that can be read. */
static void test_table(void **state)
{
	uint64_t all = 0;

	(void)state;
	for (size_t i = 0; i < kt_job_count; i++) {
		const struct kt_job *job = &kt_jobs[i];

		assert_ptr_equal(kt_job_find(job->name), job);
		assert_true(job->does[0] != '\0' && job->answers[0] != '\0');
		assert_true((job->run == NULL) == (job->kind == KT_JOB_RUNNER));
		assert_true((job->capabilities == 0) == (job->kind == KT_JOB_RUNNER));
		assert_true(job->kind != KT_JOB_CHILD || job->timeout_max_ms > 0);
		all |= job->capabilities;
	}
	assert_true(kt_job_all_capabilities() == all);
	assert_null(kt_job_find("install"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_every_job_can_be_asked_for),
		cmocka_unit_test(test_requests_that_nobody_makes),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_reply),
		cmocka_unit_test(test_reply_of_a_job_that_did_not_run),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
