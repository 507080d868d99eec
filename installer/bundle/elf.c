/* Reads an ELF file's headers from bytes that may be hostile.
 *
 * A loader finds the dynamic section by address, a linker by offset; a file in which these differ says one thing to us
 * and another to whoever runs it. So addresses are mapped as a loader maps them, segments may not overlap, and what is
 * there twice is refused. Structs are copied out: bytes need no alignment. */
#include "kontain/bundle/elf.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define SEGMENTS_MAX    128  /* real files have a dozen */
#define INTERPRETER_MAX 4096 /* PATH_MAX: what can be opened at all */

struct reader {
	const unsigned char *bytes;
	size_t size;
	Elf64_Ehdr head;
	Elf64_Phdr segments[SEGMENTS_MAX];
	size_t count;
	struct kt_error *err;
};

static int malformed(struct reader *reader, const char *what)
{
	return kt_fail(reader->err, ENOEXEC, KT_REASON_ELF_INVALID, "malformed ELF: %s", what);
}

static bool is_inside(const struct reader *reader, uint64_t offset, uint64_t size)
{
	return offset <= reader->size && size <= reader->size - offset;
}

bool kt_elf_is_elf(const void *bytes, size_t size)
{
	return size >= SELFMAG && memcmp(bytes, ELFMAG, SELFMAG) == 0;
}

static int head_read(struct reader *reader)
{
	const Elf64_Ehdr *head = &reader->head;

	if (!kt_elf_is_elf(reader->bytes, reader->size))
		return kt_fail(reader->err, ENOEXEC, KT_REASON_ELF_INVALID, "not an ELF file");
	if (reader->size < sizeof(reader->head))
		return malformed(reader, "cut short in its header");
	memcpy(&reader->head, reader->bytes, sizeof(reader->head));
	if (head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_ident[EI_DATA] != ELFDATA2LSB ||
	    head->e_machine != EM_X86_64)
		return kt_fail(reader->err, ENOEXEC, KT_REASON_ARCH_MISMATCH,
			       "an ELF file for another machine (class %u, machine %u), not x86-64",
			       head->e_ident[EI_CLASS], head->e_machine);
	if (head->e_ident[EI_VERSION] != EV_CURRENT || head->e_version != EV_CURRENT ||
	    head->e_ehsize != sizeof(reader->head))
		return malformed(reader, "unknown version or header size");
	if (head->e_type < ET_REL || head->e_type > ET_CORE)
		return malformed(reader, "unknown type");
	return 0;
}

static int segments_read(struct reader *reader)
{
	const Elf64_Ehdr *head = &reader->head;

	if (head->e_phnum == 0 || head->e_phentsize != sizeof(Elf64_Phdr))
		return malformed(reader, "no program headers");
	if (head->e_phnum > SEGMENTS_MAX)
		return malformed(reader, "too many program headers");
	if (head->e_phoff < sizeof(Elf64_Ehdr))
		return malformed(reader, "program headers overlap the file header");
	if (!is_inside(reader, head->e_phoff, (uint64_t)head->e_phnum * sizeof(Elf64_Phdr)))
		return malformed(reader, "program headers beyond the end of the file");
	reader->count = head->e_phnum;
	memcpy(reader->segments, reader->bytes + head->e_phoff, reader->count * sizeof(Elf64_Phdr));
	return 0;
}

static int load_check(struct reader *reader, const Elf64_Phdr *load, uint64_t *end)
{
	if (!is_inside(reader, load->p_offset, load->p_filesz))
		return malformed(reader, "a segment beyond the end of the file");
	if (load->p_filesz > load->p_memsz || load->p_memsz > UINT64_MAX - load->p_vaddr)
		return malformed(reader, "a segment larger than its memory");
	if (load->p_align > 1 && ((load->p_align & (load->p_align - 1)) != 0 ||
				  ((load->p_vaddr - load->p_offset) & (load->p_align - 1)) != 0))
		return malformed(reader, "a segment that is not aligned");
	if (load->p_vaddr < *end)
		return malformed(reader, "segments overlap or are out of order");
	*end = load->p_vaddr + load->p_memsz;
	return 0;
}

/* PT_LOAD segments in ascending order and apart (elf(5)); interpreter and dynamic section once at most. */
static int segments_check(struct reader *reader)
{
	size_t loads = 0, interpreters = 0, dynamics = 0;
	uint64_t end = 0;

	for (size_t i = 0; i < reader->count; i++) {
		const Elf64_Phdr *segment = &reader->segments[i];

		interpreters += segment->p_type == PT_INTERP;
		dynamics += segment->p_type == PT_DYNAMIC;
		if (segment->p_type != PT_LOAD)
			continue;

		int r = load_check(reader, segment, &end);

		if (r < 0)
			return r;
		loads++;
	}
	if (loads == 0)
		return malformed(reader, "nothing to load");
	if (interpreters > 1 || dynamics > 1)
		return malformed(reader, "two interpreters or dynamic sections");
	return 0;
}

/* The file's bytes at an address, with `size` of them in one segment's file part; NULL when there are none. */
static const unsigned char *address_map(const struct reader *reader, uint64_t address, uint64_t size)
{
	for (size_t i = 0; i < reader->count; i++) {
		const Elf64_Phdr *load = &reader->segments[i];

		if (load->p_type != PT_LOAD || address < load->p_vaddr)
			continue;

		uint64_t into = address - load->p_vaddr;

		if (into <= load->p_filesz && size <= load->p_filesz - into)
			return reader->bytes + load->p_offset + into;
	}
	return NULL;
}

static bool is_code(const struct reader *reader, uint64_t address)
{
	for (size_t i = 0; i < reader->count; i++) {
		const Elf64_Phdr *load = &reader->segments[i];

		if (load->p_type == PT_LOAD && (load->p_flags & PF_X) && address >= load->p_vaddr &&
		    address - load->p_vaddr < load->p_memsz)
			return true;
	}
	return false;
}

static int interpreter_read(struct reader *reader, const Elf64_Phdr *segment, struct kt_elf *elf)
{
	const char *name = NULL;

	if (segment->p_filesz >= 2 && segment->p_filesz <= INTERPRETER_MAX &&
	    is_inside(reader, segment->p_offset, segment->p_filesz))
		name = (const char *)reader->bytes + segment->p_offset;
	if (!name || name[segment->p_filesz - 1] != '\0' || !*name)
		return malformed(reader, "its interpreter is not a file name");
	elf->interpreter = name;
	return 0;
}

/* The entries that say what a file needs. Their values are offsets into a string table named by two more. */
struct dynamic {
	uint64_t table, table_size, runpath, rpath, soname;
	bool has_table, has_table_size, has_runpath, has_rpath, has_soname;
	size_t needed_count;
	uint64_t needed[KT_ELF_NEEDED_MAX];
};

static int entry_take(struct reader *reader, const Elf64_Dyn *entry, struct dynamic *dynamic)
{
	const struct {
		int64_t tag;
		uint64_t *value;
		bool *is_there;
	} rows[] = {
		{DT_STRTAB, &dynamic->table, &dynamic->has_table},
		{DT_STRSZ, &dynamic->table_size, &dynamic->has_table_size},
		{DT_RUNPATH, &dynamic->runpath, &dynamic->has_runpath},
		{DT_RPATH, &dynamic->rpath, &dynamic->has_rpath},
		{DT_SONAME, &dynamic->soname, &dynamic->has_soname},
	};

	if (entry->d_tag == DT_NEEDED) {
		if (dynamic->needed_count == KT_ELF_NEEDED_MAX)
			return malformed(reader, "too many needed libraries");
		dynamic->needed[dynamic->needed_count++] = entry->d_un.d_val;
		return 0;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].tag != entry->d_tag)
			continue;
		if (*rows[i].is_there)
			return malformed(reader, "a dynamic entry is there twice");
		*rows[i].is_there = true;
		*rows[i].value = entry->d_un.d_val;
	}
	return 0;
}

static int entries_read(struct reader *reader, const Elf64_Phdr *segment, struct dynamic *dynamic)
{
	Elf64_Dyn entry;

	if (!is_inside(reader, segment->p_offset, segment->p_filesz))
		return malformed(reader, "its dynamic section is beyond the end of the file");
	if (address_map(reader, segment->p_vaddr, segment->p_filesz) != reader->bytes + segment->p_offset)
		return malformed(reader, "its dynamic section is at an address that is not where it is in the file");
	for (uint64_t at = 0; segment->p_filesz - at >= sizeof(entry); at += sizeof(entry)) {
		memcpy(&entry, reader->bytes + segment->p_offset + at, sizeof(entry));
		if (entry.d_tag == DT_NULL)
			return 0;

		int r = entry_take(reader, &entry, dynamic);

		if (r < 0)
			return r;
	}
	return malformed(reader, "its dynamic section has no end");
}

/* A string of the table, NULL when it begins or ends outside. */
static const char *table_string(const unsigned char *table, uint64_t size, uint64_t offset)
{
	if (!table || offset >= size || !memchr(table + offset, '\0', size - offset))
		return NULL;
	return (const char *)table + offset;
}

static int dynamic_read(struct reader *reader, const Elf64_Phdr *segment, struct kt_elf *elf)
{
	struct dynamic dynamic = {.needed_count = 0};
	int r = entries_read(reader, segment, &dynamic);

	if (r < 0)
		return r;

	const unsigned char *table = dynamic.has_table && dynamic.has_table_size ?
					     address_map(reader, dynamic.table, dynamic.table_size) :
					     NULL;

	for (size_t i = 0; i < dynamic.needed_count; i++) {
		elf->needed[i] = table_string(table, dynamic.table_size, dynamic.needed[i]);
		if (!elf->needed[i] || !*elf->needed[i])
			return malformed(reader, "a needed library has no name");
	}
	elf->needed_count = dynamic.needed_count;
	/* nothing that runs depends on it: one that cannot be read is none */
	elf->soname = dynamic.has_soname ? table_string(table, dynamic.table_size, dynamic.soname) : NULL;
	if (!dynamic.has_runpath && !dynamic.has_rpath)
		return 0;
	elf->runpath = table_string(table, dynamic.table_size, dynamic.has_runpath ? dynamic.runpath : dynamic.rpath);
	return elf->runpath ? 0 : malformed(reader, "its RUNPATH is not a string");
}

static int segments_take(struct reader *reader, struct kt_elf *elf)
{
	int r = segments_read(reader);

	if (r == 0)
		r = segments_check(reader);
	if (r == 0 && reader->head.e_type == ET_EXEC && !is_code(reader, reader->head.e_entry))
		r = malformed(reader, "its entry point is not in its code");
	for (size_t i = 0; r == 0 && i < reader->count; i++) {
		const Elf64_Phdr *segment = &reader->segments[i];

		if (segment->p_type == PT_INTERP)
			r = interpreter_read(reader, segment, elf);
		else if (segment->p_type == PT_DYNAMIC)
			r = dynamic_read(reader, segment, elf);
	}
	elf->is_executable_dyn = reader->head.e_type == ET_DYN && is_code(reader, reader->head.e_entry);
	return r;
}

/* As objcopy --only-keep-debug makes it: the sections of the original, and of those that a loader would load none with
 * its bytes but notes (the build id). */
bool kt_elf_is_debug(const void *bytes, size_t size)
{
	struct reader reader = {.bytes = bytes, .size = size, .err = KT_ERROR_IGNORED};
	const Elf64_Ehdr *head = &reader.head;
	Elf64_Shdr section;

	if (head_read(&reader) < 0 || head->e_shnum == 0 || head->e_shentsize != sizeof(section) ||
	    !is_inside(&reader, head->e_shoff, (uint64_t)head->e_shnum * sizeof(section)))
		return false;
	for (size_t i = 0; i < head->e_shnum; i++) {
		memcpy(&section, reader.bytes + head->e_shoff + i * sizeof(section), sizeof(section));
		if ((section.sh_flags & SHF_ALLOC) && section.sh_type != SHT_NOBITS && section.sh_type != SHT_NOTE)
			return false;
	}
	return true;
}

int kt_elf_read(const void *bytes, size_t size, struct kt_elf *ret_elf, struct kt_error *err)
{
	struct reader reader = {.bytes = bytes, .size = size, .err = err};
	struct kt_elf elf = {.type = 0};
	int r = head_read(&reader);

	if (r < 0)
		return r;
	elf.type = reader.head.e_type;
	if (elf.type == ET_EXEC || elf.type == ET_DYN)
		r = segments_take(&reader, &elf);
	if (r == 0)
		*ret_elf = elf;
	return r;
}
