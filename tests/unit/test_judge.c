/* links: kt_node kt_contract kt_base */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/node/proof/judge.h"

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
		.child = {.output = (char *)row->output,
			  .output_size = strlen(row->output),
			  .errors = (char *)row->errors,
			  .errors_size = strlen(row->errors),
			  .duration_ms = 77},
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
		{"a word that only a full release has", false, 42, LINE ".kontain.KVM as-process-1\n", "",
		 KT_REASON_KM_PRETENDS, "as-process-1"},
		{"suffix alone", false, 42, "kontain-proof integer .kontain.KVM\n", "", KT_REASON_KM_PRETENDS, ""},
		{"silent", false, 42, "", "", KT_REASON_KM_SILENT, "(0 bytes)"},
		{"silent, with words", false, 42, "", "oh dear\n", KT_REASON_KM_SILENT, "output: oh dear"},
		{"the other payload's line", false, 42, "kontain-proof sse2 " HOST ".kontain.KVM\n", "",
		 KT_REASON_KM_GARBLED, "altered"},
		{"no newline", false, 42, LINE ".kontain.KVM", "", KT_REASON_KM_GARBLED, ""},
		{"two lines", false, 42, LINE ".kontain.KVM\nmore\n", "", KT_REASON_KM_GARBLED, ""},
		{"no release", false, 42, "kontain-proof integer \n", "", KT_REASON_KM_GARBLED, ""},
		{"bytes that are no text", false, 42,
		 "\x7f"
		 "ELF\x01\xff",
		 "", KT_REASON_KM_GARBLED, "?ELF??"},
		{"words before it", false, 42, "hello\n" LINE ".kontain.KVM\n", "", KT_REASON_KM_GARBLED, ""},
		{"a release that is too long", false, 42,
		 LINE
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
		 "", KT_REASON_KM_GARBLED, ""},
		{"wrong status", false, 0, LINE ".kontain.KVM\n", "", KT_REASON_KM_EXIT_WRONG,
		 "the integer program exited with 42 but km reported 0"},
		{"ended at once", false, 0, "", "", KT_REASON_KM_EXIT_WRONG, "km reported 0; output: none"},
		{"another status", false, 77, "", "", KT_REASON_KM_EXIT_WRONG, "km reported 77"},
		{"wrong sums", false, 43, "", "", KT_REASON_KM_EXIT_WRONG, "its sums came out wrong (status 43)"},
		{"43 behind the line", false, 43, LINE ".kontain.KVM\n", "", KT_REASON_KM_EXIT_WRONG,
		 "42 but km reported 43"},
		{"no uname", false, 44, "", "", KT_REASON_KM_EXIT_WRONG, "call of uname failed (status 44)"},
		{"no write", false, 45, "", "", KT_REASON_KM_EXIT_WRONG, "call of write failed (status 45)"},
		/* what 1, 2 and 3 mean, only km's words say */
		{"no device", false, 1, "", "km: Can't open default device file.: Permission denied\n",
		 KT_REASON_KM_DEVICE_FAILED, "program to its end: it cannot open its device; output: km: Can't open"},
		{"no virtual machine", false, 1, "", "KVM: create VM failed: Invalid argument\n",
		 KT_REASON_KM_DEVICE_FAILED,
		 "status 1 and did not run the integer program to its end: it cannot use KVM; output: KVM: create VM"},
		{"not even integer code", false, 1, "", "KVM: internal error, suberr 0x1 VCPU 0 RIP 0x1\n",
		 KT_REASON_KM_DEVICE_FAILED,
		 "KVM stopped the guest with an internal error; output: KVM: internal error"},
		{"another holds it", false, 1, "", "KVM: create VM failed: Device or resource busy\n", KT_REASON_BUSY,
		 "something else holds what it needs"},
		{"no memory", false, 1, "", "KVM: no memory for reserved pages: Cannot allocate memory\n",
		 KT_REASON_KM_OUT_OF_RESOURCES, "it gets no memory"},
		{"usage", false, 1, "",
		 "Failed to determine payload name or find .km file for x\nUsage: km [options]\n\t-v\n",
		 KT_REASON_KM_FAILED, "it does not find the program; output: Failed to determine payload name or find"},
		{"words that nobody knows", false, 1, "", "oh\ndear\n", KT_REASON_KM_FAILED,
		 "its end; output: oh dear"},
		{"no words", false, 1, "", "", KT_REASON_KM_FAILED, "its end; output: none"},
		{"words of another status", false, 3, "", "KVM: create VM failed: Invalid argument\n",
		 KT_REASON_KM_DEVICE_FAILED, "status 3"},
		{"words on stdout are the payload's", false, 1, "KVM: create VM failed\n", "", KT_REASON_KM_FAILED,
		 "output: KVM"},
		{"no payload", false, 2, "", "open /payload failed: No such file or directory\n", KT_REASON_KM_FAILED,
		 "it cannot open the program or its interpreter; output: open /payload failed"},
		{"2 without words", false, 2, "", "", KT_REASON_KM_FAILED,
		 "status 2 and did not run the integer program"},
		{"kernel", false, 3, "", "Kernel 4.4.0 is too old. The oldest supported kernel is 4.15\n",
		 KT_REASON_KM_KERNEL_TOO_OLD, "it finds this kernel too old; output: Kernel 4.4.0"},
		{"3 without words", false, 3, "", "closing vcpu fd: Bad file descriptor\n", KT_REASON_KM_FAILED,
		 "closing vcpu"},
		{"a status beyond km's, with its words", false, 4, "", "KVM: create VM failed\n",
		 KT_REASON_KM_EXIT_WRONG, "km reported 4"},
		{"assertion, as a shell says it", false, 134, "", "assert\n", KT_REASON_KM_ABORTED,
		 "aborted with status 134 (SIGABRT)"},
		{"assertion", false, -SIGABRT, "", "a\nb", KT_REASON_KM_ABORTED, "aborted by signal 6 (SIGABRT)"},
		{"bad instruction", false, -SIGILL, "", "", KT_REASON_KM_ABORTED, "SIGILL"},
		{"forbidden call", false, -SIGSYS, "", "", KT_REASON_KM_ABORTED, "SIGSYS"},
		{"no /proc, as a shell says it", false, 139, "", "", KT_REASON_KM_CRASHED,
		 "crashed with status 139 (SIGSEGV)"},
		{"no /proc", false, -SIGSEGV, "", "", KT_REASON_KM_CRASHED, "crashed by signal 11"},
		{"bus error", false, -SIGBUS, "", "", KT_REASON_KM_CRASHED, "SIGBUS"},
		{"killed with the line said", false, -SIGKILL, LINE ".kontain.KVM\n", "", KT_REASON_KM_KILLED,
		 "from outside by signal 9"},
		{"told to end", false, -SIGTERM, "", "", KT_REASON_KM_KILLED, "signal 15"},
		{"a status that only looks like a signal", false, 137, "", "", KT_REASON_KM_EXIT_WRONG,
		 "km reported 137"},
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
		{{"nothing", false, 0, "", "", KT_REASON_SELF_TEST_FAILED, "output: none"}, "Hello, world"},
		{{"in the second line", false, 0, "x\nHello, world\n", "", KT_REASON_SELF_TEST_FAILED, ""},
		 "Hello, world"},
		{{"status", false, 7, "Hello, world\n", "", KT_REASON_SELF_TEST_FAILED, "exited with 7"},
		 "Hello, world"},
		{{"status of its own", false, 1, "", "no", KT_REASON_SELF_TEST_FAILED, "exited with 1; output: no"},
		 ""},
		{{"a file of the bundle is missing", false, 2, "", "open /x failed: No such file\n",
		  KT_REASON_SELF_TEST_FAILED,
		  "exited with 2: it cannot open the program or its interpreter; output: open /x"},
		 ""},
		{{"usage", false, 1, "", "Usage: km [options]\n", KT_REASON_SELF_TEST_FAILED, "these arguments"}, ""},
		{{"KVM's trouble", false, 1, "", "KVM: vcpu run failed: Bad address\n", KT_REASON_KM_DEVICE_FAILED,
		  "self-test tests/hello_test.km exited with 1: it cannot use KVM"},
		 ""},
		{{"the node's trouble", false, 1, "", "KVM: create VCPU 0 failed: Cannot allocate memory\n",
		  KT_REASON_KM_OUT_OF_RESOURCES, "it gets no memory"},
		 ""},
		{{"a status of its own, and words", false, 9, "", "KVM: create VM failed\n", KT_REASON_SELF_TEST_FAILED,
		  "exited with 9; output: KVM"},
		 ""},
		{{"killed", false, -9, "", "", KT_REASON_KM_KILLED, "self-test: km was ended from outside"}, ""},
		{{"crashed", false, -11, "Hello, world\n", "", KT_REASON_SELF_TEST_FAILED, "signal 11"},
		 "Hello, world"},
		{{"hung", true, -9, "Hello, world\n", "", KT_REASON_KM_HUNG, "self-test: km did not end"},
		 "Hello, world"},
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

/* Exit 1, or an abort, and the words: nothing else says that KVM could not emulate an instruction. */
static void test_emulation(void **state)
{
	static const char words[] = "KVM: internal error, suberr 0x1";
	static const struct row rows[] = {
		{"as km ends", false, 1, "", words, KT_REASON_NONE, "KVM: internal error, suberr 0x1"},
		{"among others", false, 1, "line\n", "a\n12:00 km_vcpu_run KVM: internal error, suberr 0x1 VCPU 0\nb\n",
		 KT_REASON_NONE, "12:00 km_vcpu_run KVM: internal error, suberr 0x1 VCPU 0"},
		{"with a core", false, -SIGABRT, "", words, KT_REASON_NONE, words},
		{"with a core, as a shell says it", false, 134, "", words, KT_REASON_NONE, words},
		{"a blank behind it", false, 1, "", "KVM: internal error, suberr 0x1VCPU 0 RIP 0x1 CR2 0x0 ",
		 KT_REASON_NONE, "KVM: internal error, suberr 0x1VCPU 0 RIP 0x1 CR2 0x0"},
		{"no words", false, 1, "", "", KT_REASON_KM_FAILED, ""},
		{"an abort without words", false, -SIGABRT, "", "assertion\n", KT_REASON_KM_ABORTED, ""},
		{"another internal error", false, 1, "", "KVM: internal error, suberr 0x3\n",
		 KT_REASON_KM_DEVICE_FAILED, ""},
		{"and another", false, 1, "", "KVM: internal error, suberr 0x11\n", KT_REASON_KM_DEVICE_FAILED, ""},
		{"on stdout", false, 1, words, "", KT_REASON_KM_FAILED, ""},
		{"another signal", false, -SIGSEGV, "", words, KT_REASON_KM_CRASHED, ""},
		{"killed", false, -SIGKILL, "", words, KT_REASON_KM_KILLED, ""},
		{"hung", true, -SIGKILL, "", words, KT_REASON_KM_HUNG, ""},
		{"another status", false, 0, "", words, KT_REASON_KM_EXIT_WRONG, ""},
	};
	char line[KT_JUDGE_WORDS_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_km_end end = end_of(&rows[i]);
		struct kt_error err = {.reason = KT_REASON_NONE};
		char hypervisor[8], release[96];

		if (kt_judge_is_emulation(&end, line) != (rows[i].reason == KT_REASON_NONE))
			fail_msg("%s", rows[i].what);
		if (rows[i].reason == KT_REASON_NONE)
			assert_string_equal(line, rows[i].words);
		else if (kt_judge_payload(&end, "sse2", HOST, hypervisor, release, &err) == 0 ||
			 err.reason != rows[i].reason)
			fail_msg("%s: %s: %s", rows[i].what, kt_reason_name(err.reason), err.text);
	}
}

/* The sentence's end behind "output: ", of a km that ended with 1. */
static void words_of(const char *errors, size_t size, struct kt_error *err, const char **ret_words)
{
	struct kt_km_end end = {
		.exit_status = 1,
		.child = {.output = (char *)"out", .output_size = 3, .errors = (char *)errors, .errors_size = size}};
	char hypervisor[8], release[96];

	assert_true(kt_judge_payload(&end, "integer", HOST, hypervisor, release, err) < 0);
	*ret_words = strstr(err->text, "output: ");
	assert_non_null(*ret_words);
	*ret_words += strlen("output: ");
	assert_true(strlen(*ret_words) <= 256);
}

/* What km says last, whatever it is, comes as one printable line: whole lines where they have room. */
static void test_last_words(void **state)
{
	static const char tail[] = "x\033[1m\t\t\n y\0z\xff\n";
	static const struct {
		const char *what;
		size_t before; /* bytes of 'a' before the text */
		const char *text;
		const char *words;
	} rows[] = {
		{"a line", 0, "km: no\n", "km: no"},
		{"empty lines behind it", 0, "km: no\n\n \t\n", "km: no"},
		{"lines that have room", 0, "one\n\ntwo\nthree", "one two three"},
		{"a line before that has none", 300, "\nkm: no\n", "km: no"},
		{"a line before that has just none", 250, "\nkm: no\n", "km: no"},
		{"nothing but space", 0, "\n \n", "none"},
	};
	char errors[2000];
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *words;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(errors, 'a', rows[i].before);
		strcpy(errors + rows[i].before, rows[i].text);
		words_of(errors, strlen(rows[i].text) + rows[i].before, &err, &words);
		if (strcmp(words, rows[i].words) != 0)
			fail_msg("%s: %s", rows[i].what, words);
	}
	/* longer than the room: its end; and what is not fit to print is not printed */
	memset(errors, 'a', sizeof(errors));
	words_of(errors, sizeof(errors), &err, &words);
	assert_int_equal(strlen(words), 256);
	memcpy(errors + sizeof(errors) - sizeof(tail) + 1, tail, sizeof(tail) - 1);
	errors[sizeof(errors) - 200] = '\n';
	words_of(errors, sizeof(errors), &err, &words);
	assert_true(strlen(words) > 150 && strlen(words) < 200);
	assert_string_equal(strchr(words, 'x'), "x?[1m y?z?");
	/* on stdout where stderr is empty */
	words_of(errors, 0, &err, &words);
	assert_string_equal(words, "out");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_emulation),
		cmocka_unit_test(test_last_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
