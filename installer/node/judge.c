/* Each way to fail has one reason. How it ended comes first, then what it said: a km that died has said nothing that
 * counts. */
#include "judge.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "payloads.h"

#define WORDS_MAX 257 /* of km's last words, NUL included */

/* km adds one of these to what the host's uname(2) says. */
static const struct {
	const char *suffix;
	const char *hypervisor;
} suffixes[] = {
	{".kontain.KVM", "kvm"},
	{".kontain.KKM", "kkm"},
};

/* Signals by which a program ends itself; all others come from outside. As a status of km's they are a shell's way to
 * tell them, 128 and the number, which km uses for its own end too. */
static const struct {
	int signal;
	enum kt_reason reason;
	const char *name;
} ends[] = {
	{SIGILL, KT_REASON_KM_ABORTED, "SIGILL"},   {SIGTRAP, KT_REASON_KM_ABORTED, "SIGTRAP"},
	{SIGABRT, KT_REASON_KM_ABORTED, "SIGABRT"}, {SIGFPE, KT_REASON_KM_ABORTED, "SIGFPE"},
	{SIGSYS, KT_REASON_KM_ABORTED, "SIGSYS"},   {SIGBUS, KT_REASON_KM_CRASHED, "SIGBUS"},
	{SIGSEGV, KT_REASON_KM_CRASHED, "SIGSEGV"},
};

/* km's own exit codes. */
static const struct {
	int status;
	enum kt_reason reason;
	const char *meaning;
} failures[] = {
	{1, KT_REASON_KM_DEVICE_FAILED, "it cannot use the device, KVM or its address space"},
	{2, KT_REASON_KM_FAILED, "it cannot load the program"},
	{3, KT_REASON_KM_KERNEL_TOO_OLD, "it finds this kernel too old"},
};

/* Where the last lines begin that are whole and have room; of a longer line, its end. */
static size_t last_lines(const char *text, size_t size)
{
	size_t start = size, at = size;

	while (at > 0 && size - at < WORDS_MAX) {
		at--;
		if ((at == 0 || text[at - 1] == '\n') && size - at < WORDS_MAX)
			start = at;
	}
	return start < size ? start : at;
}

/* The end of what km wrote, in one line that is fit to print anywhere. */
static void last_words(const struct kt_km_end *end, char words[WORDS_MAX])
{
	const char *text = end->child.errors && end->child.errors_size > 0 ? end->child.errors : end->child.output;
	size_t size = text == end->child.errors ? end->child.errors_size : end->child.output_size, used = 0;

	if (!text)
		size = 0;
	while (size > 0 && isspace((unsigned char)text[size - 1]))
		size--;
	for (size_t i = last_lines(text, size); i < size && used < WORDS_MAX - 1; i++) {
		bool is_space = isspace((unsigned char)text[i]);

		if (is_space && (used == 0 || words[used - 1] == ' '))
			continue;
		words[used++] = is_space ? ' ' : isprint((unsigned char)text[i]) ? text[i] : '?';
	}
	words[used] = '\0';
	if (used == 0)
		strcpy(words, "nothing");
}

static int fail(const struct kt_km_end *end, enum kt_reason reason, struct kt_error *err, const char *what)
{
	char words[WORDS_MAX];

	last_words(end, words);
	return kt_fail(err, EPROTO, reason, "%s; it said: %s", what, words);
}

static int judge_signal(const struct kt_km_end *end, const char *program, struct kt_error *err)
{
	const char *how = end->exit_status < 0 ? "by signal" : "with status";
	int number = end->exit_status < 0 ? end->signal : end->exit_status;
	char what[192];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (number != ends[i].signal + (end->exit_status < 0 ? 0 : 128))
			continue;
		(void)snprintf(what, sizeof(what), "km %s %s %d (%s) while it ran the %.64s program",
			       ends[i].reason == KT_REASON_KM_CRASHED ? "crashed" : "aborted", how, number,
			       ends[i].name, program);
		return fail(end, ends[i].reason, err, what);
	}
	if (end->exit_status >= 0)
		return 0;
	(void)snprintf(what, sizeof(what), "km was ended from outside by signal %d (%s) while it ran the %.64s program",
		       number, strsignal(number), program);
	return fail(end, KT_REASON_KM_KILLED, err, what);
}

/* Everything but an exit: of the payload's own, or of km's. */
static int judge_death(const struct kt_km_end *end, const char *program, struct kt_error *err)
{
	char what[192];

	if (!end->timed_out)
		return judge_signal(end, program, err);
	(void)snprintf(what, sizeof(what), "km did not end the %.64s program within %u ms", program,
		       end->child.duration_ms);
	return fail(end, KT_REASON_KM_HUNG, err, what);
}

static int judge_status(const struct kt_km_end *end, const char *program, struct kt_error *err)
{
	char what[192];

	if (end->exit_status == KT_PAYLOAD_STATUS)
		return 0;
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (failures[i].status != end->exit_status)
			continue;
		(void)snprintf(what, sizeof(what), "km ended with status %d instead of running the %.64s program: %s",
			       end->exit_status, program, failures[i].meaning);
		return fail(end, failures[i].reason, err, what);
	}
	(void)snprintf(what, sizeof(what), "the %.64s program ended with %d, and km told %d", program, KT_PAYLOAD_STATUS,
		       end->exit_status);
	return fail(end, KT_REASON_KM_EXIT_WRONG, err, what);
}

/* Copies the release out of "kontain-proof <payload> <release>\n". False when the output is anything else. */
static bool line_read(const struct kt_km_end *end, const char *payload, char *release, size_t size)
{
	char start[64];
	size_t length = (size_t)snprintf(start, sizeof(start), KT_PAYLOAD_WORD " %s ", payload);
	const char *text = end->child.output;
	size_t left;

	/* no NUL within, one newline, and that at the end */
	if (!text || strlen(text) != end->child.output_size || strncmp(text, start, length) != 0)
		return false;
	text += length;
	left = strcspn(text, "\n");
	if (left == 0 || left >= size || strcmp(text + left, "\n") != 0)
		return false;
	for (size_t i = 0; i < left; i++)
		release[i] = isprint((unsigned char)text[i]) ? text[i] : '?';
	release[left] = '\0';
	return true;
}

static int judge_release(const char *release, const char *host_release, char hypervisor[8], struct kt_error *err)
{
	size_t length = strlen(host_release);

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
		if (strncmp(release, host_release, length) != 0 || strcmp(release + length, suffixes[i].suffix) != 0)
			continue;
		(void)snprintf(hypervisor, 8, "%s", suffixes[i].hypervisor);
		return 0;
	}
	if (strcmp(release, host_release) == 0)
		return kt_fail(err, EPROTO, KT_REASON_KM_PRETENDS,
			       "the payload ran, but natively: it was told the host's own release %s, without km's "
			       "suffix",
			       release);
	return kt_fail(err, EPROTO, KT_REASON_KM_PRETENDS,
		       "the payload was told release %s, which is not the host's %s with km's suffix", release,
		       host_release);
}

static int fail_line(const struct kt_km_end *end, const char *payload, struct kt_error *err)
{
	char what[192];

	if (end->child.output_size == 0) {
		(void)snprintf(what, sizeof(what), "the line that the %.64s program prints did not arrive (0 bytes)",
			       payload);
		return fail(end, KT_REASON_KM_SILENT, err, what);
	}
	(void)snprintf(what, sizeof(what), "the line that the %.64s program prints arrived altered (%zu bytes)", payload,
		       end->child.output_size);
	return fail(end, KT_REASON_KM_GARBLED, err, what);
}

int kt_judge_payload(const struct kt_km_end *end, const char *payload, const char *host_release, char hypervisor[8],
		     char release[96], struct kt_error *err)
{
	int r = judge_death(end, payload, err);

	if (r == 0)
		r = judge_status(end, payload, err);
	if (r < 0)
		return r;
	if (!line_read(end, payload, release, 96))
		return fail_line(end, payload, err);
	return judge_release(release, host_release, hypervisor, err);
}

int kt_judge_own(const struct kt_km_end *end, const char *program, const char *expect, struct kt_error *err)
{
	const char *output = end->child.output ? end->child.output : "";
	size_t line = strcspn(output, "\r\n");
	struct kt_error how = {.reason = KT_REASON_NONE};
	char what[256], words[WORDS_MAX];

	if (judge_death(end, program, &how) < 0) /* what says nothing against the bundle keeps its own reason */
		return kt_fail(err, EPROTO, kt_reason_get(how.reason)->transient ? how.reason : KT_REASON_SELF_TEST_FAILED,
			       "the bundle's self-test: %s", how.text);
	if (end->exit_status != 0) {
		(void)snprintf(what, sizeof(what), "the bundle's self-test %.128s ended with %d", program,
			       end->exit_status);
		return fail(end, KT_REASON_SELF_TEST_FAILED, err, what);
	}
	if (!expect || expect[0] == '\0' || (strlen(expect) == line && strncmp(output, expect, line) == 0))
		return 0;
	last_words(end, words);
	return kt_fail(err, EPROTO, KT_REASON_SELF_TEST_FAILED,
		       "the first line of the bundle's self-test %.128s is not \"%.64s\"; it said: %s", program, expect,
		       words);
}
