/* The wrapper's own options are taken out, wherever they stand. What is an argument of a compiler's option ("-Xlinker
 * -static", "-o -kv") is not ours, so the options that take the next word are known by name. */
#include "request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/own.h"
#include "kontain/contract/paths.h"
#include "kontain/contract/state.h"

const char *const kt_cc_target_names[KT_CC_TARGETS] = {"kontain", "alpine"};
const char *const kt_cc_kind_names[KT_CC_KINDS] = {"static", "dynamic", "shared"};

/* gcc(1) and clang(1): options whose argument is the next word. */
static const char *const with_argument[] = {
	"-o",         "-x",
	"-l",         "-I",
	"-L",         "-D",
	"-U",         "-A",
	"-B",         "-F",
	"-T",         "-u",
	"-z",         "-e",
	"-R",         "-include",
	"-imacros",   "-isystem",
	"-iquote",    "-idirafter",
	"-iprefix",   "-iwithprefix",
	"-isysroot",  "-iwithprefixbefore",
	"-imultilib", "-MF",
	"-MT",        "-MQ",
	"-Xlinker",   "-Xassembler",
	"-Xclang",    "-Xpreprocessor",
	"-mllvm",     "-target",
	"-arch",      "-aux-info",
	"-wrapper",   "-dumpbase",
	"-dumpdir",   "-dumpbase-ext",
	"-specs",     "-rpath",
	"--param",    "--sysroot",
	"--output",   "--include-directory",
};

/* Words that say something to us and are passed on. */
static const struct {
	const char *word;
	size_t flag; /* offset of a bool; 0: of none */
	size_t second;
	enum kt_cc_pie pie;
} marks[] = {
	{"-c", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"-S", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"-E", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"-M", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"-MM", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"-fsyntax-only", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"--compile", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"--assemble", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"--preprocess", offsetof(struct kt_cc_request, is_compile), 0, 0},
	{"-r", offsetof(struct kt_cc_request, is_relocatable), 0, 0},
	{"-nostdlib", offsetof(struct kt_cc_request, has_no_start), offsetof(struct kt_cc_request, has_no_libc), 0},
	{"-nostartfiles", offsetof(struct kt_cc_request, has_no_start), 0, 0},
	{"-nodefaultlibs", offsetof(struct kt_cc_request, has_no_libc), 0, 0},
	{"-nolibc", offsetof(struct kt_cc_request, has_no_libc), 0, 0},
	{"-pie", 0, 0, KT_CC_PIE},
	{"-no-pie", 0, 0, KT_CC_NO_PIE},
	{"-nopie", 0, 0, KT_CC_NO_PIE},
	{"-static-pie", 0, 0, KT_CC_STATIC_PIE},
};

static bool takes_argument(const char *word)
{
	for (size_t i = 0; i < sizeof(with_argument) / sizeof(with_argument[0]); i++)
		if (strcmp(with_argument[i], word) == 0)
			return true;
	return false;
}

static void flag_set(struct kt_cc_request *request, size_t offset)
{
	if (offset > 0)
		*(bool *)((char *)request + offset) = true;
}

static void mark_take(struct kt_cc_request *request, const char *word)
{
	/* "-" is stdin, "@FILE" holds more words: something is to be done in any case */
	if (word[0] != '-' || word[1] == '\0' || strncmp(word, "-l", 2) == 0)
		request->has_input = true;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		if (strcmp(marks[i].word, word) != 0)
			continue;
		flag_set(request, marks[i].flag);
		flag_set(request, marks[i].second);
		if (marks[i].pie)
			request->pie = marks[i].pie;
	}
}

/* The number of one of the names behind a dash, or -1. */
static int choice_of(const char *word, const char *const names[], int count)
{
	for (int i = 0; i < count; i++)
		if (word[0] == '-' && strcmp(word + 1, names[i]) == 0)
			return i;
	return -1;
}

/* What was chosen before, and by which word. */
struct choices {
	const char *target, *kind;
};

static bool choice_take(struct kt_cc_request *request, struct choices *choices, const char *word)
{
	int target = choice_of(word, kt_cc_target_names, KT_CC_TARGETS);
	int kind = choice_of(word, kt_cc_kind_names, KT_CC_KINDS);

	if (target >= 0) {
		if (choices->target && strcmp(choices->target, word) != 0)
			request->replaced_target = choices->target;
		choices->target = word;
		request->target = (enum kt_cc_target)target;
	}
	if (kind >= 0) {
		if (choices->kind && strcmp(choices->kind, word) != 0)
			request->replaced_kind = choices->kind;
		choices->kind = word;
		request->kind = (enum kt_cc_kind)kind;
	}
	return target >= 0 || kind >= 0;
}

/* "--NAME=VALUE" or "--NAME VALUE": 1 when it is one of ours, 0, or an error. *at moves to its last word. */
static int value_take(struct kt_cc_request *request, int argc, char *const argv[], int *at, struct kt_error *err)
{
	const struct {
		const char *name;
		const char **value;
	} rows[] = {{"--prefix", &request->prefix}, {"--tree", &request->tree}, {"--pin", &request->pin}};
	const char *word = argv[*at];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t length = strlen(rows[i].name);

		if (strncmp(word, rows[i].name, length) != 0 || (word[length] && word[length] != '='))
			continue;
		if (word[length] == '=')
			*rows[i].value = word + length + 1;
		else if (*at + 1 < argc)
			*rows[i].value = argv[++*at];
		else
			*rows[i].value = "";
		if (!**rows[i].value)
			return kt_fail(err, EINVAL, KT_REASON_NONE, "option \"%s\" requires an argument", rows[i].name);
		return 1;
	}
	return 0;
}

static int request_check(struct kt_cc_request *request, struct kt_error *err)
{
	if (request->prefix[0] != '/')
		return kt_fail(err, EINVAL, KT_REASON_NONE,
			       "--prefix %.200s: expected an absolute path, as it is written into the payload; --tree "
			       "DIR says where the tree lies now",
			       request->prefix);
	/* a colon ends an entry of a RUNPATH: ld.so(8) */
	if (strchr(request->prefix, ':'))
		return kt_fail(err, EINVAL, KT_REASON_NONE,
			       "--prefix %.200s: a RUNPATH cannot name a folder with a colon", request->prefix);
	if (request->pin && !kt_version_is_valid(request->pin))
		return kt_fail(err, EINVAL, KT_REASON_NONE,
			       "--pin %.100s: expected a version of the runtime: letters, digits and . _ -, 63 at most",
			       request->pin);
	if (request->pin && (request->target != KT_CC_KONTAIN || request->kind != KT_CC_DYNAMIC))
		return kt_fail(
			err, EINVAL, KT_REASON_NONE,
			"--pin %.100s: only a program of -kontain -dynamic names the runtime, this one is of -%s "
			"-%s",
			request->pin, kt_cc_target_names[request->target], kt_cc_kind_names[request->kind]);
	return 0;
}

int kt_cc_read(int argc, char *const argv[], struct kt_cc_request *ret_request, struct kt_error *err)
{
	KT_OWN(kt_cc_request_done) struct kt_cc_request request = {.prefix = KT_ROOT};
	struct choices choices = {.target = NULL};
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	size_t length;
	int r;

	request.name = slash ? slash + 1 : argc > 0 && argv[0][0] ? argv[0] : "kontain-gcc";
	length = strlen(request.name);
	request.is_cxx = length >= 3 && (strcmp(request.name + length - 3, "g++") == 0 ||
					 strcmp(request.name + length - 3, "c++") == 0);
	request.rest = calloc((size_t)argc + 1, sizeof(*request.rest));
	if (!request.rest)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (choice_take(&request, &choices, word))
			continue;
		r = value_take(&request, argc, argv, &i, err);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		if (strcmp(word, "-kv") == 0) {
			request.is_verbose = true;
			continue;
		}
		request.is_help = request.is_help || strcmp(word, "--help") == 0;
		request.rest[request.rest_count++] = word;
		mark_take(&request, word);
		if (takes_argument(word) && i + 1 < argc)
			request.rest[request.rest_count++] = argv[++i];
	}
	if (!request.tree)
		request.tree = request.prefix;
	r = request_check(&request, err);
	if (r < 0)
		return r;
	*ret_request = request;
	request.rest = NULL;
	return 0;
}

void kt_cc_request_done(struct kt_cc_request *request)
{
	free(request->rest);
	request->rest = NULL;
}

bool kt_cc_links(const struct kt_cc_request *request)
{
	return request->has_input && !request->is_compile && !request->is_relocatable;
}
