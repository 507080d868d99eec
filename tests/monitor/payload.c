/* Loading. Nothing in the file is believed: an offset or address is compared with what is there before it is used. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor.h"
#include "payload.h"

#define DYN_BASE     (GUEST_BOTTOM + GUEST_PAGE) /* where an ET_DYN goes that would be at 0 */
#define INTERP_BASE  (GUEST_TOP / 2)             /* where its interpreter goes; above it is what mmap gives */
#define PAGE         UINT64_C(4096)
#define PHNUM_MAX    64
#define RANDOM_BYTES 16

static int refuse(const char *path, const char *why)
{
	message("cannot load %s: %s", path, why);
	return MONITOR_EXIT_PAYLOAD;
}

/* NULL, or what is wrong with the head. */
static const char *head_check(const Elf64_Ehdr *head, size_t size)
{
	if (size < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0)
		return "not an ELF file";
	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB ||
	    head->e_machine != EM_X86_64)
		return "not an ELF file for x86-64";
	if (head->e_type != ET_EXEC && head->e_type != ET_DYN)
		return "not an executable";
	if (head->e_phentsize != sizeof(Elf64_Phdr) || head->e_phnum == 0 || head->e_phnum > PHNUM_MAX)
		return "program headers of an unknown shape";
	if (head->e_phoff > size || head->e_phnum * sizeof(Elf64_Phdr) > size - head->e_phoff)
		return "its program headers lie outside the file";
	return NULL;
}

static int head_read(const char *path, const uint8_t *bytes, size_t size, Elf64_Ehdr *ret_head)
{
	const char *why;

	memset(ret_head, 0, sizeof(*ret_head));
	memcpy(ret_head, bytes, size < sizeof(*ret_head) ? size : sizeof(*ret_head));
	why = head_check(ret_head, size);
	return why ? refuse(path, why) : 0;
}

int payload_read(const char *path, uint8_t **ret_bytes, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not keep us */
	uint8_t *bytes = NULL;
	Elf64_Ehdr head;
	struct stat info;
	size_t size = 0;
	int code = 0;

	if (fd < 0) {
		message("cannot open %s: %s", path, strerror(errno));
		return MONITOR_EXIT_PAYLOAD;
	}
	if (fstat(fd, &info) < 0 || !S_ISREG(info.st_mode))
		code = refuse(path, "not a regular file");
	else if (info.st_size > (off_t)GUEST_TOP)
		code = refuse(path, "larger than the guest's memory");
	else if ((bytes = malloc((size_t)info.st_size + 1)) == NULL)
		code = refuse(path, strerror(errno));
	while (code == 0 && size < (size_t)info.st_size) {
		ssize_t got = read(fd, bytes + size, (size_t)info.st_size - size);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			code = refuse(path, got < 0 ? strerror(errno) : "shorter than it was");
		else
			size += (size_t)got;
	}
	(void)close(fd);
	if (code || (code = head_read(path, bytes, size, &head))) {
		free(bytes);
		return code;
	}
	*ret_bytes = bytes;
	*ret_size = size;
	return 0;
}

static const char *segment_load(const Elf64_Phdr *segment, uint64_t base, const uint8_t *bytes, size_t size,
				const struct guest *guest)
{
	uint64_t at = base + segment->p_vaddr; /* may wrap round: guest_bytes looks at the sum */
	uint8_t *to;

	if (segment->p_filesz > segment->p_memsz)
		return "a segment is longer in the file than in memory";
	if (segment->p_offset > size || segment->p_filesz > size - segment->p_offset)
		return "a segment lies outside the file";
	to = guest_bytes(guest, at, segment->p_memsz);
	if (to == NULL || at + segment->p_memsz > GUEST_TOP - GUEST_STACK)
		return "a segment lies outside the guest's memory (2 to 63 MiB)";
	memcpy(to, bytes + segment->p_offset, segment->p_filesz);
	return NULL;
}

/* What goes on the stack beside argv and envp. */
struct image {
	uint64_t entry;
	uint64_t headers; /* address of the program headers, 0 when no segment holds them */
	uint64_t header_count;
	uint64_t top;  /* behind its last segment */
	uint64_t base; /* of its interpreter, 0 when it needs none */
};

/* A file's bytes while they are loaded. */
struct file {
	const char *path;
	const uint8_t *bytes;
	size_t size;
	Elf64_Ehdr head;
};

static Elf64_Phdr segment_get(const struct file *file, unsigned index)
{
	Elf64_Phdr segment;

	memcpy(&segment, file->bytes + file->head.e_phoff + index * sizeof(segment), sizeof(segment));
	return segment;
}

static const char *segments_load(const struct file *file, uint64_t base, const struct guest *guest,
				 struct image *ret_image)
{
	const Elf64_Ehdr *head = &file->head;
	struct image image = {.entry = base + head->e_entry, .header_count = head->e_phnum};
	bool holds_entry = false;

	for (unsigned i = 0; i < head->e_phnum; i++) {
		const Elf64_Phdr segment = segment_get(file, i);
		const char *why;

		if (segment.p_type != PT_LOAD)
			continue;
		if ((why = segment_load(&segment, base, file->bytes, file->size, guest)))
			return why;
		if (head->e_entry - segment.p_vaddr < segment.p_filesz && segment.p_flags & PF_X)
			holds_entry = true;
		if (head->e_phoff - segment.p_offset < segment.p_filesz)
			image.headers = base + segment.p_vaddr + head->e_phoff - segment.p_offset;
		if (image.top < base + segment.p_vaddr + segment.p_memsz)
			image.top = base + segment.p_vaddr + segment.p_memsz;
	}
	if (!holds_entry)
		return "its entry point lies outside its code";
	*ret_image = image;
	return NULL;
}

/* *ret_name is in the file's bytes, NULL when it needs none. */
static const char *interpreter_find(const struct file *file, const char **ret_name)
{
	*ret_name = NULL;
	for (unsigned i = 0; i < file->head.e_phnum; i++) {
		const Elf64_Phdr segment = segment_get(file, i);

		if (segment.p_type != PT_INTERP)
			continue;
		if (segment.p_offset > file->size || segment.p_filesz > file->size - segment.p_offset ||
		    segment.p_filesz == 0 || file->bytes[segment.p_offset + segment.p_filesz - 1] != '\0')
			return "the name of its interpreter lies outside the file, or has no end";
		*ret_name = (const char *)file->bytes + segment.p_offset;
		return NULL;
	}
	return NULL;
}

/* The stack is written from its top down. `at` is 0 once something did not fit. */
struct stack {
	const struct guest *guest;
	uint64_t at;
};

static uint64_t stack_put(struct stack *stack, const void *bytes, size_t size)
{
	if (stack->at < GUEST_TOP - GUEST_STACK + size) {
		stack->at = 0;
		return 0;
	}
	stack->at -= size;
	memcpy(guest_bytes(stack->guest, stack->at, size), bytes, size);
	return stack->at;
}

static size_t strings_count(char *const *strings)
{
	size_t count = 0;

	while (strings[count])
		count++;
	return count;
}

/* Copies the strings; their addresses go to `ret_words`, a 0 behind them. */
static uint64_t *strings_put(struct stack *stack, char *const *strings, uint64_t *ret_words)
{
	for (; *strings; strings++)
		*ret_words++ = stack_put(stack, *strings, strlen(*strings) + 1);
	*ret_words++ = 0;
	return ret_words;
}

/* System V ABI for x86-64, 3.4.1: at the stack pointer, which is a multiple of 16, argc, argv, 0, envp, 0, auxv. */
static uint64_t stack_build(const struct guest *guest, char *const *argv, char *const *envp, const struct image *image)
{
	struct stack stack = {.guest = guest, .at = GUEST_TOP};
	uint8_t chance[RANDOM_BYTES] = {0};

	if (getrandom(chance, sizeof(chance), 0) != (ssize_t)sizeof(chance))
		return 0;

	const uint64_t auxv[] = {
		AT_PHDR,   image->headers,
		AT_PHENT,  sizeof(Elf64_Phdr),
		AT_PHNUM,  image->header_count,
		AT_PAGESZ, PAGE,
		AT_BASE,   image->base,
		AT_FLAGS,  0,
		AT_ENTRY,  image->entry,
		AT_UID,    getuid(),
		AT_EUID,   geteuid(),
		AT_GID,    getgid(),
		AT_EGID,   getegid(),
		AT_SECURE, 0,
		AT_RANDOM, stack_put(&stack, chance, sizeof(chance)),
		AT_NULL,   0,
	};
	size_t argc = strings_count(argv);
	size_t count = 1 + argc + 1 + strings_count(envp) + 1 + sizeof(auxv) / sizeof(auxv[0]);
	uint64_t *words = calloc(count, sizeof(*words)), *word = words, at;

	if (words == NULL)
		return 0;
	*word++ = argc;
	word = strings_put(&stack, argv, word);
	word = strings_put(&stack, envp, word);
	memcpy(word, auxv, sizeof(auxv));
	if (stack.at)
		stack.at -= (stack.at - count * sizeof(*words)) % 16;
	at = stack_put(&stack, words, count * sizeof(*words));
	free(words);
	return at;
}

static int file_load(struct file *file, uint64_t base_of_dyn, const struct guest *guest, struct image *ret_image)
{
	int code = head_read(file->path, file->bytes, file->size, &file->head);
	const char *why;

	if (code)
		return code;
	why = segments_load(file, file->head.e_type == ET_DYN ? base_of_dyn : 0, guest, ret_image);
	return why ? refuse(file->path, why) : 0;
}

/* Where it starts: *ret_entry of the interpreter, that of the payload is for it to know (AT_ENTRY). */
static int interpreter_load(const char *path, const struct guest *guest, struct image *payload, uint64_t *ret_entry,
			    uint64_t *ret_top)
{
	struct file file = {.path = path};
	struct image image;
	uint8_t *bytes = NULL;
	const char *own;
	int code;

	if (payload->top > INTERP_BASE)
		return refuse(path, "the payload leaves no room for an interpreter");
	code = payload_read(path, &bytes, &file.size);
	if (code)
		return code;
	file.bytes = bytes;
	code = file_load(&file, INTERP_BASE, guest, &image);
	if (code == 0 && (file.head.e_type != ET_DYN || interpreter_find(&file, &own) || own))
		code = refuse(path, "an interpreter must be position independent, and needs none itself");
	free(bytes);
	if (code)
		return code;
	payload->base = INTERP_BASE;
	*ret_entry = image.entry;
	*ret_top = image.top;
	return 0;
}

static uint64_t page_after(uint64_t address)
{
	return (address + PAGE - 1) & ~(PAGE - 1);
}

int payload_load(const char *path, const uint8_t *bytes, size_t size, char **argv, char **envp, struct guest *guest,
		 uint64_t *ret_entry, uint64_t *ret_stack)
{
	struct file file = {.path = path, .bytes = bytes, .size = size};
	const char *interpreter, *why;
	uint64_t top = INTERP_BASE, stack;
	struct image image;
	int code = file_load(&file, DYN_BASE, guest, &image);

	if (code)
		return code;
	if ((why = interpreter_find(&file, &interpreter)))
		return refuse(path, why);
	*ret_entry = image.entry;
	if (interpreter && (code = interpreter_load(interpreter, guest, &image, ret_entry, &top)))
		return code;
	guest->heap = guest->heap_start = page_after(image.top);
	guest->heap_end = guest->heap < INTERP_BASE ? INTERP_BASE : guest->heap;
	guest->map = page_after(image.top > top ? image.top : top);
	stack = stack_build(guest, argv, envp, &image);
	if (stack == 0)
		return refuse(path, "its arguments and environment do not fit on the stack (1 MiB)");
	*ret_stack = stack;
	return 0;
}
