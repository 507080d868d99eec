/* What the table below says stands before the user's words, so that theirs win. Names that a user may choose go to the
 * linker by -Xlinker: -Wl would cut them at their commas. */
#include "command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/array.h"
#include "kontain/base/own.h"

/* Folders of a tree, by letter: R runtime, K lib, L and U those of alpine-lib, G gcc's own. */
static const struct {
	char letter;
	const char *folder;
} folders[] = {{'R', "runtime"}, {'K', "lib"}, {'L', "alpine-lib/lib"}, {'U', "alpine-lib/usr/lib"}};

static const struct {
	const char *search;      /* folders of -B, in their order */
	const char *runpath;     /* and of the RUNPATH */
	const char *interpreter; /* below the prefix */
	const char *flags[8];
} rows[KT_CC_TARGETS][KT_CC_KINDS] = {
	[KT_CC_KONTAIN] =
		{
			/* -static alone is -no-pie to gcc, and clang warns of a second word for it.
			 * km maps a payload's segments one by one: none shares a page with another, and text begins
			 * where km expects it */
			[KT_CC_STATIC] = {"RLUG",
					  NULL,
					  NULL,
					  {"-static", "-Wl,-z,separate-code", "-Wl,-z,max-page-size=0x1000",
					   "-Wl,-Ttext-segment=0x200000", "-Wl,--gc-sections"}},
			[KT_CC_DYNAMIC] = {"RLUG",
					   "KRLUG",
					   "runtime/libc.so",
					   {"-no-pie", "-Wl,-z,separate-code", "-Wl,-z,max-page-size=0x1000",
					    "-Wl,-Ttext-segment=0x200000"}},
			[KT_CC_SHARED] = {"RLUG",
					  "KRLUG",
					  NULL,
					  {"-shared", "-Wl,-z,separate-code", "-Wl,-z,max-page-size=0x1000"}},
		},
	[KT_CC_ALPINE] =
		{
			[KT_CC_STATIC] = {"LUG", NULL, NULL, {"-static"}},
			[KT_CC_DYNAMIC] = {"LUG", "LUG", "alpine-lib/lib/ld-musl-x86_64.so.1", {"-pie"}},
			[KT_CC_SHARED] = {"LUG", "LUG", NULL, {"-shared"}},
		},
};

static int word_add(struct kt_cc_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int word_add(struct kt_cc_command *command, const char *format, ...)
{
	char *word = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&word, format, args);
	va_end(args);
	if (length < 0)
		return -ENOMEM;
	if (kt_array_reserve(&command->words, command->count, &command->room, sizeof(*command->words)) < 0) {
		free(word);
		return -ENOMEM;
	}
	command->words[command->count++] = word;
	return 0;
}

/* Where a folder lies now; at its later place, which the payload looks in, the runtime may be a pinned one. "" for
 * gcc's where the tree has none. */
static void place_print(const struct kt_cc_request *request, const struct kt_cc_tree *tree, bool is_later, char letter,
			char *ret_place, size_t size)
{
	const char *root = is_later ? request->prefix : request->tree;

	ret_place[0] = '\0';
	if (letter == 'G' && tree->gcc[0])
		(void)snprintf(ret_place, size, "%s/alpine-lib/%s", root, tree->gcc);
	if (letter == 'R' && is_later && request->pin) {
		(void)snprintf(ret_place, size, "%s/versions/runtime/%s", root, request->pin);
		return;
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (folders[i].letter == letter)
			(void)snprintf(ret_place, size, "%s/%s", root, folders[i].folder);
}

/* -B, by which gcc finds start files and libraries and clang start files alone; -L for clang. */
static int search_add(const struct kt_cc_request *request, const struct kt_cc_tree *tree, const char *option,
		      struct kt_cc_command *command)
{
	const char *letters = rows[request->target][request->kind].search;
	char place[4096];
	int r = 0;

	for (; r == 0 && *letters; letters++) {
		place_print(request, tree, false, *letters, place, sizeof(place));
		if (place[0])
			r = word_add(command, "%s%s", option, place);
	}
	return r;
}

static int runpath_add(const struct kt_cc_request *request, const struct kt_cc_tree *tree,
		       struct kt_cc_command *command)
{
	const char *letters = rows[request->target][request->kind].runpath;
	KT_OWN(kt_free_mem) char *text = NULL;
	KT_OWN(kt_close_file) FILE *stream = NULL;
	size_t size = 0;
	int r;

	if (!letters)
		return 0;
	stream = open_memstream(&text, &size);
	if (!stream)
		return -ENOMEM;
	for (const char *letter = letters; *letter; letter++) {
		char place[4096];

		place_print(request, tree, true, *letter, place, sizeof(place));
		if (place[0])
			(void)fprintf(stream, "%s%s", letter == letters ? "" : ":", place);
	}
	if (fflush(stream) != 0)
		return -ENOMEM;
	/* DT_RUNPATH and not DT_RPATH, whichever the linker was built to make: LD_LIBRARY_PATH comes before it */
	r = word_add(command, "-Wl,--enable-new-dtags");
	if (r == 0)
		r = word_add(command, "-Xlinker");
	if (r == 0)
		r = word_add(command, "-rpath");
	if (r == 0)
		r = word_add(command, "-Xlinker");
	return r == 0 ? word_add(command, "%s", text) : r;
}

static int interpreter_add(const struct kt_cc_request *request, struct kt_cc_command *command)
{
	const char *interpreter = rows[request->target][request->kind].interpreter;
	int r = interpreter ? word_add(command, "-Xlinker") : 0;

	if (r < 0 || !interpreter)
		return r;
	if (request->pin)
		return word_add(command, "--dynamic-linker=%s/versions/runtime/%s/libc.so", request->prefix,
				request->pin);
	return word_add(command, "--dynamic-linker=%s/%s", request->prefix, interpreter);
}

static int link_add(const struct kt_cc_request *request, const struct kt_cc_tree *tree, struct kt_cc_command *command)
{
	const char *const *flags = rows[request->target][request->kind].flags;
	int r = 0;

	for (; r == 0 && *flags; flags++)
		r = word_add(command, "%s", *flags);
	if (r == 0)
		r = runpath_add(request, tree, command);
	if (r == 0)
		r = interpreter_add(request, command);
	/* libstdc++.a refers to threads weakly: without all of them a static program calls what is not there */
	if (r == 0 && request->is_cxx && request->kind == KT_CC_STATIC)
		r = word_add(command, "-pthread");
	return r;
}

int kt_cc_command_make(const struct kt_cc_request *request, const struct kt_cc_tree *tree, const char *compiler,
		       struct kt_cc_command *ret_command, struct kt_error *err)
{
	KT_OWN(kt_cc_command_done) struct kt_cc_command command = {.words = NULL};
	bool searches = request->rest_count > 0 && !request->is_compile;
	int r = word_add(&command, "%s", compiler);

	if (r == 0 && searches)
		r = search_add(request, tree, "-B", &command);
	if (r == 0 && kt_cc_links(request))
		r = link_add(request, tree, &command);
	else if (r == 0 && searches && request->is_relocatable && request->kind == KT_CC_STATIC)
		r = word_add(&command, "-static");
	for (size_t i = 0; r == 0 && i < request->rest_count; i++)
		r = word_add(&command, "%s", request->rest[i]);
	/* behind the user's own */
	if (r == 0 && searches && request->has_input)
		r = search_add(request, tree, "-L", &command);
	if (r == 0 && kt_array_reserve(&command.words, command.count, &command.room, sizeof(*command.words)) < 0)
		r = -ENOMEM;
	if (r < 0)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	command.words[command.count] = NULL;
	*ret_command = command;
	command = (struct kt_cc_command){.words = NULL};
	return 0;
}

void kt_cc_command_done(struct kt_cc_command *command)
{
	for (size_t i = 0; i < command->count; i++)
		free(command->words[i]);
	free(command->words);
	*command = (struct kt_cc_command){.words = NULL};
}

char *kt_cc_command_print(const struct kt_cc_command *command)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%";
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	for (size_t i = 0; i < command->count; i++) {
		const char *word = command->words[i];

		(void)fputs(i > 0 ? " " : "", stream);
		if (*word && word[strspn(word, plain)] == '\0') {
			(void)fputs(word, stream);
			continue;
		}
		(void)fputc('\'', stream);
		for (; *word; word++)
			(void)fprintf(stream, *word == '\'' ? "'\\''" : "%c", *word);
		(void)fputc('\'', stream);
	}
	if (fclose(stream) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
