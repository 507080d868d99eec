/* km's messages, from the public sources (github.com/kontainapp/km, the file is named at each row). They are written
 * by its km_err and km_errx, the former with ": " and strerror(errno) behind them, in a line that begins with time,
 * function and thread; so a row is looked for anywhere in a line, and an errno at its end. */
#include "words.h"

#include <ctype.h>
#include <string.h>

/* The first row that any line has decides; the words of one line, in this order. */
static const struct {
	const char *words;
	const char *then; /* further on in the same line; NULL: nothing more is asked */
	enum kt_reason reason;
	const char *meaning;
} sayings[] = {
	/* km_vcpu_run.c */
	{"KVM: internal error", NULL, KT_REASON_KM_DEVICE_FAILED, "KVM stopped the guest with an internal error"},
	/* km_cpu_init.c: /dev/kontain, /dev/kvm, /dev/kkm */
	{"Can't open d", "evice file", KT_REASON_KM_DEVICE_FAILED, "it cannot open its device"},
	{"Can't open default device", NULL, KT_REASON_KM_DEVICE_FAILED, "it cannot open its device"},
	{"Can't open /dev/", NULL, KT_REASON_KM_DEVICE_FAILED, "it cannot open its device"},
	/* km_cpu_init.c, km_mem.c, km_vcpu_run.c: what an ioctl of KVM answers, or the end of a guest */
	{"KVM: ", NULL, KT_REASON_KM_DEVICE_FAILED, "it cannot use KVM"},
	{"KVM_SET_", NULL, KT_REASON_KM_DEVICE_FAILED, "it cannot use KVM"},
	{"Failed to get main vcpu", NULL, KT_REASON_KM_DEVICE_FAILED, "it cannot use KVM"}, /* km_main.c */
	/* km_mem.c: vm.overcommit_memory, vm.mmap_min_addr, a limit of the address space */
	{"Problem getting guest memory", NULL, KT_REASON_KM_DEVICE_FAILED, "it does not get the addresses it needs"},
	/* km_cpu_init.c */
	{"Kernel ", " is too old", KT_REASON_KM_KERNEL_TOO_OLD, "it finds this kernel too old"},
	{"kernel version", NULL, KT_REASON_KM_FAILED, "it cannot read the kernel's release"},
	/* km_main.c; its usage follows */
	{"Failed to determine payload name", NULL, KT_REASON_KM_FAILED, "it does not find the program"},
	{"Usage: km ", NULL, KT_REASON_KM_FAILED, "it does not take these arguments"},
	/* load_elf.c: the program, or the interpreter that it names */
	{"open /", " failed", KT_REASON_KM_FAILED, "it cannot open the program or its interpreter"},
	{" is not an ELF object", NULL, KT_REASON_KM_FAILED, "it cannot load the program"},
	{"elf_begin() failed", NULL, KT_REASON_KM_FAILED, "it cannot load the program"},
	{"error reading elf", NULL, KT_REASON_KM_FAILED, "it cannot load the program"},
	{"error mmap elf", NULL, KT_REASON_KM_FAILED, "it cannot load the program"},
	{"No memory to load elf", NULL, KT_REASON_KM_FAILED, "it cannot load the program"},
	{"failed to set guest memory protection", NULL, KT_REASON_KM_FAILED, "it cannot load the program"},
	{"PT_INTERP", NULL, KT_REASON_KM_FAILED, "it cannot load the program"},
};

/* Only the guest's own instruction is emulation: KVM_INTERNAL_ERROR_EMULATION of linux/kvm.h. KVM has other internal
 * errors, with other numbers. */
#define EMULATION "KVM: internal error, suberr 0x1"

/* What passes by itself and is nobody's fault, at the end of a line: strerror(3) of glibc, and of musl where it
 * differs. */
static const struct {
	const char *end;
	enum kt_reason reason;
	const char *meaning;
} passing[] = {
	{": Device or resource busy", KT_REASON_BUSY, "something else holds what it needs"},
	{": Resource busy", KT_REASON_BUSY, "something else holds what it needs"},
	{": Cannot allocate memory", KT_REASON_KM_OUT_OF_RESOURCES, "it gets no memory"},
	{": Out of memory", KT_REASON_KM_OUT_OF_RESOURCES, "it gets no memory"},
	{": Resource temporarily unavailable", KT_REASON_KM_OUT_OF_RESOURCES, "it gets no thread or locked memory"},
	{": Too many open files", KT_REASON_KM_OUT_OF_RESOURCES, "it gets no file descriptor"},
	{": Too many open files in system", KT_REASON_KM_OUT_OF_RESOURCES, "it gets no file descriptor"},
	{": No file descriptors available", KT_REASON_KM_OUT_OF_RESOURCES, "it gets no file descriptor"},
};

static bool line_has(const char *line, size_t size, const char *words, const char *then)
{
	const char *at = memmem(line, size, words, strlen(words));

	if (!at || !then)
		return at != NULL;
	at += strlen(words);
	return memmem(at, size - (size_t)(at - line), then, strlen(then)) != NULL;
}

static bool line_ends(const char *line, size_t size, const char *end)
{
	size_t length = strlen(end);

	while (size > 0 && isspace((unsigned char)line[size - 1]))
		size--;
	return size >= length && memcmp(line + size - length, end, length) == 0;
}

static bool line_is_emulation(const char *line, size_t size)
{
	const char *after = memmem(line, size, EMULATION, strlen(EMULATION));

	if (!after)
		return false;
	after += strlen(EMULATION);
	return after == line + size || !isxdigit((unsigned char)*after);
}

/* The line that begins at text, without its newline. */
static size_t line_size(const char *text, size_t size)
{
	const char *end = memchr(text, '\n', size);

	return end ? (size_t)(end - text) : size;
}

static bool row_find(size_t row, const char *text, size_t size, struct kt_words *words)
{
	for (size_t at = 0, length; at < size; at += length + 1) {
		length = line_size(text + at, size - at);
		if (!line_has(text + at, length, sayings[row].words, sayings[row].then))
			continue;
		words->reason = sayings[row].reason;
		words->meaning = sayings[row].meaning;
		words->line = text + at;
		words->line_size = length;
		words->is_emulation = line_is_emulation(text + at, length);
		return true;
	}
	return false;
}

/* A cause that passes, in the line that was found, or in any where none was. */
static void passing_find(const char *text, size_t size, struct kt_words *words)
{
	for (size_t at = 0, length; at < size; at += length + 1) {
		length = line_size(text + at, size - at);
		for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
			if (!line_ends(text + at, length, passing[i].end))
				continue;
			words->reason = passing[i].reason;
			words->meaning = passing[i].meaning;
			words->line = text + at;
			words->line_size = length;
			return;
		}
	}
}

void kt_words_read(const char *text, size_t size, struct kt_words *ret_words)
{
	struct kt_words words = {.reason = KT_REASON_NONE, .meaning = ""};
	bool found = false;

	for (size_t i = 0; i < sizeof(sayings) / sizeof(sayings[0]) && !found; i++)
		found = row_find(i, text, size, &words);
	if (found)
		passing_find(words.line, words.line_size, &words);
	else
		passing_find(text, size, &words);
	*ret_words = words;
}
