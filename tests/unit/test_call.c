/* links: kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jobs/call.h"

#define FAILURE "{\"error\":{\"code\":28,\"reason\":\"DiskFull\",\"text\":\"no room\"}}\n"

/* How a job ends, and what the one who asked for it is told. */
static void test_ends(void **state)
{
	static const struct {
		const char *name;
		struct kt_child_result result;
		enum kt_reason reason;
		const char *words;
	} rows[] = {
		{"done", {.output = "{}", .output_size = 2}, KT_REASON_NONE, ""},
		{"its own error",
		 {.exit_status = 1, .output = FAILURE, .output_size = sizeof(FAILURE) - 1},
		 KT_REASON_DISK_FULL,
		 "no room"},
		{"stopped",
		 {.timed_out = true, .exit_status = -1, .signal = SIGKILL},
		 KT_REASON_DISK_SLOW,
		 "land was stopped after"},
		{"killed from outside",
		 {.exit_status = -1, .signal = SIGKILL},
		 KT_REASON_JOB_KILLED,
		 "land was killed by signal 9 (Killed)"},
		{"ended by somebody",
		 {.exit_status = -1, .signal = SIGTERM},
		 KT_REASON_JOB_KILLED,
		 "land was killed by signal 15 (Terminated)"},
		{"a limit", {.exit_status = -1, .signal = SIGXFSZ}, KT_REASON_JOB_KILLED, "File size limit exceeded"},
		{"crashed", {.exit_status = -1, .signal = SIGSEGV}, KT_REASON_INTERNAL, "land was killed by signal 11"},
		{"without a word", {.exit_status = 1, .output = "", .errors = "oops"}, KT_REASON_INTERNAL, "oops"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_error err = {.reason = KT_REASON_NONE};
		int r = kt_job_judge("land", &rows[i].result, &err);

		if ((r < 0) != (rows[i].reason != KT_REASON_NONE) || err.reason != rows[i].reason ||
		    !strstr(err.text, rows[i].words))
			fail_msg("%s: %d %s: %s", rows[i].name, r, kt_reason_name(err.reason), err.text);
	}
}

/* The same for a job whose answer is a verdict. */
static void test_blame(void **state)
{
	static const struct kt_child_result killed = {.exit_status = -1, .signal = SIGKILL},
					    crashed = {.exit_status = -1, .signal = SIGABRT};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_verdict verdict;

	(void)state;
	kt_job_blame(&verdict, "proof", KT_REASON_KM_HUNG, &killed, &err);
	assert_int_equal(verdict.reason, KT_REASON_JOB_KILLED);
	kt_job_blame(&verdict, "proof", KT_REASON_KM_HUNG, &crashed, &err);
	assert_int_equal(verdict.reason, KT_REASON_INTERNAL);
}

/* No process for it: why is known, and is told as it is. */
static void test_blame_of_what_did_not_start(void **state)
{
	static const struct kt_child_result none = {.exit_status = -1};
	static const struct kt_child_result mute = {.exit_status = 1, .errors = (char *)"oops"};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_verdict verdict;

	(void)state;
	(void)kt_fail_errno(&err, EAGAIN, KT_REASON_PROCESS_LIMIT, "cannot start a process for x");
	kt_job_blame(&verdict, "proof", KT_REASON_KM_HUNG, &none, &err);
	assert_int_equal(verdict.reason, KT_REASON_PROCESS_LIMIT);
	assert_false(verdict.ok);
	assert_non_null(strstr(verdict.message, "cannot start a process for x"));
	(void)kt_fail_errno(&err, EMFILE, KT_REASON_INTERNAL, "cannot prepare to run x");
	kt_job_blame(&verdict, "KVM probe", KT_REASON_GUEST_HUNG, &none, &err);
	assert_int_equal(verdict.reason, KT_REASON_FILE_LIMIT);
	/* one that started and answered nonsense is a fault of ours, whatever the parser called it */
	(void)kt_fail(&err, EINVAL, KT_REASON_STATE_INVALID, "not JSON");
	kt_job_blame(&verdict, "proof", KT_REASON_KM_HUNG, &mute, &err);
	assert_int_equal(verdict.reason, KT_REASON_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_blame_of_what_did_not_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
