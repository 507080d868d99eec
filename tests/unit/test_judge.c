/* links: kt_node kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/node/judge.h"

#define HOST "6.1.0-18-amd64"
#define LINE "kontain-proof integer " HOST

struct row {
	const char *what;
	bool timed_out;
	int status; /* negative: ended by that signal */
	const char *output;
	const char *errors;
	enum kt_reason reason; /* NONE: proven */
	const char *words;
};

static struct kt_km_end end_of(const struct row *row)
{
	return (struct kt_km_end){
		.timed_out = row->timed_out,
		.exit_status = row->status < 0 ? -1 : row->status,
		.signal = row->status < 0 ? -row->status : 0,
		.child = {.output = (char *)row->output, .output_size = strlen(row->output),
			  .errors = (char *)row->errors, .errors_size = strlen(row->errors), .duration_ms = 77},
	};
}

static void test_payload(void **state)
{
	static const struct row rows[] = {
		{"kvm", false, 42, LINE ".kontain.KVM\n", "", KT_REASON_NONE, ""},
		{"kkm", false, 42, LINE ".kontain.KKM\n", "chatter", KT_REASON_NONE, ""},
		{"native", false, 42, LINE "\n", "", KT_REASON_KM_PRETENDS, "natively"},
		{"another suffix", false, 42, LINE ".kontain.XXX\n", "", KT_REASON_KM_PRETENDS, ".kontain.XXX"},
		{"another host's release", false, 42, "kontain-proof integer 5.4.0.kontain.KVM\n", "",
		 KT_REASON_KM_PRETENDS, "5.4.0"},
		{"more than the suffix", false, 42, LINE ".kontain.KVM.x\n", "", KT_REASON_KM_PRETENDS, ".x"},
		{"something between", false, 42, LINE "x.kontain.KVM\n", "", KT_REASON_KM_PRETENDS, "x.kontain"},
		{"suffix alone", false, 42, "kontain-proof integer .kontain.KVM\n", "", KT_REASON_KM_PRETENDS, ""},
		{"silent", false, 42, "", "", KT_REASON_KM_SILENT, "(0 bytes)"},
		{"the other payload's line", false, 42, "kontain-proof sse2 " HOST ".kontain.KVM\n", "",
		 KT_REASON_KM_SILENT, ""},
		{"no newline", false, 42, LINE ".kontain.KVM", "", KT_REASON_KM_SILENT, ""},
		{"two lines", false, 42, LINE ".kontain.KVM\nmore\n", "", KT_REASON_KM_SILENT, ""},
		{"no release", false, 42, "kontain-proof integer \n", "", KT_REASON_KM_SILENT, ""},
		{"words before it", false, 42, "hello\n" LINE ".kontain.KVM\n", "", KT_REASON_KM_SILENT, ""},
		{"a release that is too long", false, 42,
		 LINE "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n", "",
		 KT_REASON_KM_SILENT, ""},
		{"wrong status", false, 0, LINE ".kontain.KVM\n", "", KT_REASON_KM_EXIT_WRONG, "told 0"},
		{"wrong sums", false, 43, "", "", KT_REASON_KM_EXIT_WRONG, "told 43"},
		{"device trouble", false, 1, "", "km: open /dev/kvm\n", KT_REASON_KM_FAILED,
		 "it said: km: open /dev/kvm"},
		{"no payload", false, 2, "", "", KT_REASON_KM_FAILED, "status 2"},
		{"kernel", false, 3, "", "", KT_REASON_KM_FAILED, "kernel too old"},
		{"assertion, as a shell says it", false, 134, "", "assert\n", KT_REASON_KM_ABORTED, "134 (SIGABRT)"},
		{"no /proc", false, 139, "", "", KT_REASON_KM_ABORTED, "139"},
		{"assertion", false, -6, "", "a\nb", KT_REASON_KM_ABORTED, "signal 6"},
		{"killed with the line said", false, -9, LINE ".kontain.KVM\n", "", KT_REASON_KM_ABORTED, "signal 9"},
		{"hung", true, -9, "", "", KT_REASON_KM_HUNG, "77 ms"},
		{"hung after the line", true, -9, LINE ".kontain.KVM\n", "", KT_REASON_KM_HUNG, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_km_end end = end_of(&rows[i]);
		struct kt_error err = {.reason = KT_REASON_NONE};
		char hypervisor[8] = "", release[96] = "";
		int r = kt_judge_payload(&end, "integer", HOST, hypervisor, release, &err);

		assert_int_equal(r < 0, rows[i].reason != KT_REASON_NONE);
		if (err.reason != rows[i].reason || !strstr(err.text, rows[i].words))
			fail_msg("%s: %s: %s", rows[i].what, kt_reason_name(err.reason), err.text);
		assert_string_equal(hypervisor, r < 0 ? "" : rows[i].what);
		if (r == 0)
			assert_memory_equal(release, HOST ".kontain.K", sizeof(HOST ".kontain.K") - 1);
	}
}

static void test_own(void **state)
{
	static const struct {
		struct row row;
		const char *expect;
	} rows[] = {
		{{"right", false, 0, "Hello, world\nmore\n", "", KT_REASON_NONE, ""}, "Hello, world"},
		{{"no newline", false, 0, "Hello, world", "", KT_REASON_NONE, ""}, "Hello, world"},
		{{"carriage return", false, 0, "Hello, world\r\n", "", KT_REASON_NONE, ""}, "Hello, world"},
		{{"nothing expected", false, 0, "anything", "", KT_REASON_NONE, ""}, ""},
		{{"nothing expected", false, 0, "", "", KT_REASON_NONE, ""}, NULL},
		{{"a longer line", false, 0, "Hello, world!\n", "", KT_REASON_SELF_TEST_FAILED, "Hello, world!"},
		 "Hello, world"},
		{{"a shorter line", false, 0, "Hello\n", "", KT_REASON_SELF_TEST_FAILED, "is not \"Hello, world\""},
		 "Hello, world"},
		{{"nothing", false, 0, "", "", KT_REASON_SELF_TEST_FAILED, "it said: nothing"}, "Hello, world"},
		{{"in the second line", false, 0, "x\nHello, world\n", "", KT_REASON_SELF_TEST_FAILED, ""},
		 "Hello, world"},
		{{"status", false, 7, "Hello, world\n", "", KT_REASON_SELF_TEST_FAILED, "ended with 7"},
		 "Hello, world"},
		{{"killed", false, -11, "Hello, world\n", "", KT_REASON_SELF_TEST_FAILED, "signal 11"}, "Hello, world"},
		{{"hung", true, -9, "Hello, world\n", "", KT_REASON_SELF_TEST_FAILED, "did not end"}, "Hello, world"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_km_end end = end_of(&rows[i].row);
		struct kt_error err = {.reason = KT_REASON_NONE};
		int r = kt_judge_own(&end, "tests/hello_test.km", rows[i].expect, &err);

		assert_int_equal(r < 0, rows[i].row.reason != KT_REASON_NONE);
		if (err.reason != rows[i].row.reason || !strstr(err.text, rows[i].row.words))
			fail_msg("%s: %s: %s", rows[i].row.what, kt_reason_name(err.reason), err.text);
	}
}

/* What km says last, whatever it is, comes as one printable line, its end rather than its start. */
static void test_last_words(void **state)
{
	char errors[2000];
	struct kt_km_end end = {.exit_status = 1, .child = {.output = (char *)"out", .output_size = 3,
	 .errors = errors}};
	struct kt_error err = {.reason = KT_REASON_NONE};
	char hypervisor[8], release[96];
	const char *said;

	(void)state;
	memset(errors, 'a', sizeof(errors));
	memcpy(errors + sizeof(errors) - 14, "x\033[1m\t\t\n y\0z\xff\n", 14);
	end.child.errors_size = sizeof(errors);
	assert_true(kt_judge_payload(&end, "integer", HOST, hypervisor, release, &err) < 0);
	said = strstr(err.text, "it said: ");
	assert_non_null(said);
	said += strlen("it said: ");
	assert_true(strlen(said) <= 256);
	assert_true(strlen(said) > 200);
	assert_string_equal(strchr(said, 'x'), "x?[1m y?z?");
	/* on stdout where stderr is empty */
	end.child.errors_size = 0;
	assert_true(kt_judge_payload(&end, "integer", HOST, hypervisor, release, &err) < 0);
	assert_non_null(strstr(err.text, "it said: out"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_last_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
