/* Each way to fail has one reason. How it ended comes first, then what it said: a km that died has said nothing that
 * counts. */
#include "judge.h"

#include <ctype.h>
#include <errno.h>
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

/* A shell's way to tell a signal, which km uses for its own end too: 128 and the number. */
static const struct {
	int status;
	const char *name;
} aborts[] = {
	{132, "SIGILL"}, {133, "SIGTRAP"}, {134, "SIGABRT"}, {135, "SIGBUS"}, {136, "SIGFPE"}, {139, "SIGSEGV"},
};

/* km's own exit codes. */
static const struct {
	int status;
	const char *meaning;
} failures[] = {
	{1, "device, KVM or address space"},
	{2, "the payload cannot be loaded"},
	{3, "kernel too old"},
};

/* The end of what km wrote, in one line that is fit to print anywhere. */
static void last_words(const struct kt_km_end *end, char words[WORDS_MAX])
{
	const char *text = end->child.errors && end->child.errors_size > 0 ? end->child.errors : end->child.output;
	size_t size = text == end->child.errors ? end->child.errors_size : end->child.output_size, used = 0;

	if (!text)
		size = 0;
	while (size > 0 && isspace((unsigned char)text[size - 1]))
		size--;
	for (size_t i = size > WORDS_MAX - 1 ? size - (WORDS_MAX - 1) : 0; i < size; i++) {
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

/* Everything but an exit of the payload's own. */
static int judge_end(const struct kt_km_end *end, const char *program, struct kt_error *err)
{
	char what[192];

	if (end->timed_out) {
		(void)snprintf(what, sizeof(what), "km did not end the %s program within %u ms", program,
			       end->child.duration_ms);
		return fail(end, KT_REASON_KM_HUNG, err, what);
	}
	if (end->exit_status < 0) {
		(void)snprintf(what, sizeof(what), "km was ended by signal %d (%s) while it ran the %s program",
			       end->signal, strsignal(end->signal), program);
		return fail(end, KT_REASON_KM_ABORTED, err, what);
	}
	for (size_t i = 0; i < sizeof(aborts) / sizeof(aborts[0]); i++) {
		if (aborts[i].status != end->exit_status)
			continue;
		(void)snprintf(what, sizeof(what), "km aborted with status %d (%s) while it ran the %s program",
			       end->exit_status, aborts[i].name, program);
		return fail(end, KT_REASON_KM_ABORTED, err, what);
	}
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (failures[i].status != end->exit_status)
			continue;
		(void)snprintf(what, sizeof(what), "km ended with status %d (%s) instead of running the %s program",
			       end->exit_status, failures[i].meaning, program);
		return fail(end, KT_REASON_KM_FAILED, err, what);
	}
	return 0;
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

int kt_judge_payload(const struct kt_km_end *end, const char *payload, const char *host_release, char hypervisor[8],
		     char release[96], struct kt_error *err)
{
	int r = judge_end(end, payload, err);

	if (r < 0)
		return r;
	if (end->exit_status != KT_PAYLOAD_STATUS) {
		char what[128];

		(void)snprintf(what, sizeof(what), "the %s program ended with %d, and km told %d", payload,
			       KT_PAYLOAD_STATUS, end->exit_status);
		return fail(end, KT_REASON_KM_EXIT_WRONG, err, what);
	}
	if (!line_read(end, payload, release, 96)) {
		char what[128];

		(void)snprintf(what, sizeof(what), "the line that the %s program prints did not arrive (%zu bytes)",
			       payload, end->child.output_size);
		return fail(end, KT_REASON_KM_SILENT, err, what);
	}
	return judge_release(release, host_release, hypervisor, err);
}

int kt_judge_own(const struct kt_km_end *end, const char *program, const char *expect, struct kt_error *err)
{
	const char *output = end->child.output ? end->child.output : "";
	size_t line = strcspn(output, "\r\n");
	struct kt_error how = {.reason = KT_REASON_NONE};
	char what[256], words[WORDS_MAX];

	if (judge_end(end, program, &how) < 0)
		return kt_fail(err, EPROTO, KT_REASON_SELF_TEST_FAILED, "the bundle's self-test: %s", how.text);
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
