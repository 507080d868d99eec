/* Each way to fail has one reason. How it ended comes first, then what it said: a km that died has said nothing that
 * counts. */
#include "judge.h"

#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "payloads.h"
#include "words.h"

/* km adds one of these to what the host's uname(2) says, as far as it has room: the field keeps 64 characters
 * (__NEW_UTS_LEN of linux/utsname.h, and strncat in km_hcalls.c of km). */
#define RELEASE_CHARS 64

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

/* What the payload itself ends with where something is wrong, see payload/. It says no line then. */
static const struct {
	int status;
	const char *meaning;
} own_ends[] = {
	{KT_PAYLOAD_WRONG_SUMS, "its sums came out wrong"},
	{KT_PAYLOAD_NO_UNAME, "its call of uname failed"},
	{KT_PAYLOAD_NO_WRITE, "its call of write failed"},
};

/* Where the last lines begin that are whole and have room; of a longer line, its end. */
static size_t last_lines(const char *text, size_t size)
{
	size_t start = size, at = size;

	while (at > 0 && size - at < KT_JUDGE_WORDS_MAX) {
		at--;
		if ((at == 0 || text[at - 1] == '\n') && size - at < KT_JUDGE_WORDS_MAX)
			start = at;
	}
	return start < size ? start : at;
}

/* A text in one line that is fit to print anywhere. */
static void one_line(const char *text, size_t size, char words[KT_JUDGE_WORDS_MAX])
{
	size_t used = 0;

	for (size_t i = 0; i < size && used < KT_JUDGE_WORDS_MAX - 1; i++) {
		bool is_space = isspace((unsigned char)text[i]);

		if (is_space && (used == 0 || words[used - 1] == ' '))
			continue;
		words[used++] = is_space ? ' ' : isprint((unsigned char)text[i]) ? text[i] : '?';
	}
	if (used > 0 && words[used - 1] == ' ')
		used--;
	words[used] = '\0';
	if (used == 0)
		strcpy(words, "none");
}

/* The end of what km wrote. */
static void last_words(const struct kt_km_end *end, char words[KT_JUDGE_WORDS_MAX])
{
	const char *text = end->child.errors && end->child.errors_size > 0 ? end->child.errors : end->child.output;
	size_t size = text == end->child.errors ? end->child.errors_size : end->child.output_size, start;

	if (!text)
		size = 0;
	while (size > 0 && isspace((unsigned char)text[size - 1]))
		size--;
	start = last_lines(text, size);
	one_line(text + start, size - start, words);
}

static int fail(const struct kt_km_end *end, enum kt_reason reason, struct kt_error *err, const char *what)
{
	char words[KT_JUDGE_WORDS_MAX];

	last_words(end, words);
	return kt_fail(err, EPROTO, reason, "%s; output: %s", what, words);
}

static bool is_end_of_km(const struct kt_km_end *end)
{
	return end->exit_status >= KT_KM_STATUS_FIRST && end->exit_status <= KT_KM_STATUS_LAST;
}

static void words_of(const struct kt_km_end *end, struct kt_words *words)
{
	kt_words_read(end->child.errors ? end->child.errors : "", end->child.errors ? end->child.errors_size : 0,
		      words);
}

/* As fail, but what is quoted is the line that says why, where there is one: a usage of some screens may follow it. */
static int fail_by_words(const struct kt_km_end *end, const struct kt_words *words, enum kt_reason reason,
			 struct kt_error *err, const char *what)
{
	char line[KT_JUDGE_WORDS_MAX];

	if (!words->line)
		return fail(end, reason, err, what);
	one_line(words->line, words->line_size, line);
	return kt_fail(err, EPROTO, reason, "%s: %s; output: %s", what, words->meaning, line);
}

/* km exits with 1 then; one that was told to leave a core aborts instead (km's --core-on-err). */
bool kt_judge_is_emulation(const struct kt_km_end *end, char words[KT_JUDGE_WORDS_MAX])
{
	struct kt_words read;

	if (end->timed_out || (!is_end_of_km(end) && end->exit_status != 128 + SIGABRT && end->signal != SIGABRT))
		return false;
	words_of(end, &read);
	if (read.is_emulation)
		one_line(read.line, read.line_size, words);
	return read.is_emulation;
}

bool kt_judge_blames_bundle(enum kt_reason reason)
{
	return reason != KT_REASON_KM_DEVICE_FAILED && !kt_reason_get(reason)->transient;
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

/* 1, 2 and 3 are km's, of which its words tell the cause; 42 and the next ones the payload's. */
static int judge_status(const struct kt_km_end *end, const char *program, struct kt_error *err)
{
	struct kt_words words;
	char what[192];

	if (end->exit_status == KT_PAYLOAD_STATUS)
		return 0;
	if (is_end_of_km(end)) {
		words_of(end, &words);
		(void)snprintf(what, sizeof(what),
			       "km exited with status %d and did not run the %.64s program to its end",
			       end->exit_status, program);
		return fail_by_words(end, &words, words.reason == KT_REASON_NONE ? KT_REASON_KM_FAILED : words.reason,
				     err, what);
	}
	for (size_t i = 0; i < sizeof(own_ends) / sizeof(own_ends[0]) && end->child.output_size == 0; i++) {
		if (own_ends[i].status != end->exit_status)
			continue;
		(void)snprintf(what, sizeof(what), "the %.64s program ran under km, but %s (status %d)", program,
			       own_ends[i].meaning, end->exit_status);
		return fail(end, KT_REASON_KM_EXIT_WRONG, err, what);
	}
	(void)snprintf(what, sizeof(what), "the %.64s program exited with %d but km reported %d", program,
		       KT_PAYLOAD_STATUS, end->exit_status);
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

static int fail_native(const char *release, struct kt_error *err)
{
	return kt_fail(err, EPROTO, KT_REASON_KM_PRETENDS,
		       "the payload ran, but natively: uname reported the host's own release %s, without km's suffix",
		       release);
}

/* The payload's last word is taken off a release that fills its field, which alone has one. */
static bool word_take(char *release)
{
	char *word = release + RELEASE_CHARS;

	if (strlen(release) < RELEASE_CHARS || strcmp(word, " " KT_PAYLOAD_AS_FIRST) != 0)
		return false;
	*word = '\0';
	return true;
}

/* The suffix is cut off as km does it. Which of the two it is may be in what is cut off; and of one that has no room at
 * all, the payload's own word says whether it ran under km, see payload.h. */
static int judge_release(char *release, const char *host_release, char hypervisor[8], struct kt_error *err)
{
	bool is_first = word_take(release), is_same = strcmp(release, host_release) == 0;
	char full[RELEASE_CHARS + 1];
	size_t matches = 0;

	if (strlen(host_release) >= RELEASE_CHARS && is_same && is_first)
		return 0;
	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]) && !is_same; i++) {
		(void)snprintf(full, sizeof(full), "%s%s", host_release, suffixes[i].suffix);
		if (strcmp(release, full) == 0)
			(void)snprintf(hypervisor, 8, "%s", matches++ == 0 ? suffixes[i].hypervisor : "");
	}
	if (matches > 0)
		return 0;
	if (is_same)
		return fail_native(release, err);
	return kt_fail(err, EPROTO, KT_REASON_KM_PRETENDS,
		       "uname in the payload reported %s, expected the host's %s with km's suffix", release,
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
	(void)snprintf(what, sizeof(what), "the line that the %.64s program prints arrived altered (%zu bytes)",
		       payload, end->child.output_size);
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

/* What km says of its own end says nothing against the bundle, but for what it could not find or load of it. */
static int judge_own_status(const struct kt_km_end *end, const char *program, struct kt_error *err)
{
	struct kt_words words = {.reason = KT_REASON_NONE};
	enum kt_reason reason = KT_REASON_SELF_TEST_FAILED;
	char what[256];

	if (end->exit_status == 0)
		return 0;
	if (is_end_of_km(end))
		words_of(end, &words);
	if (words.line && !kt_judge_blames_bundle(words.reason))
		reason = words.reason;
	(void)snprintf(what, sizeof(what), "the bundle's self-test %.128s exited with %d", program, end->exit_status);
	return fail_by_words(end, &words, reason, err, what);
}

int kt_judge_own(const struct kt_km_end *end, const char *program, const char *expect, struct kt_error *err)
{
	const char *output = end->child.output ? end->child.output : "";
	size_t line = strcspn(output, "\r\n");
	struct kt_error how = {.reason = KT_REASON_NONE};
	char words[KT_JUDGE_WORDS_MAX];
	int r;

	if (judge_death(end, program, &how) < 0) /* what says nothing against the bundle keeps its own reason */
		return kt_fail(err, EPROTO,
			       kt_judge_blames_bundle(how.reason) ? KT_REASON_SELF_TEST_FAILED : how.reason,
			       "the bundle's self-test: %s", how.text);
	r = judge_own_status(end, program, err);
	if (r < 0 || !expect || expect[0] == '\0' || (strlen(expect) == line && strncmp(output, expect, line) == 0))
		return r;
	last_words(end, words);
	return kt_fail(err, EPROTO, KT_REASON_SELF_TEST_FAILED,
		       "the first line of the bundle's self-test %.128s is not \"%.64s\"; output: %s", program, expect,
		       words);
}
