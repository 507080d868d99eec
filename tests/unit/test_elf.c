/* links: kt_bundle kt_contract kt_base */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/elf.h"

/* ---- making files ---- */

/* A small file as a linker makes it: one segment of everything at BASE, and what is asked for. */
#define BASE    0x400000
#define HEADERS 4
#define STRINGS 1024

struct image {
	Elf64_Ehdr head;
	Elf64_Phdr segments[HEADERS]; /* load, interpreter, dynamic, note */
	Elf64_Dyn dynamic[16];
	char strings[STRINGS]; /* interpreter's first */
	char code[16];
};

struct made {
	uint16_t type;
	const char *interpreter;
	const char *runpath;
	const char *needed[4];
	bool is_not_runnable;
};

static uint64_t string_add(struct image *image, size_t *used, const char *text)
{
	size_t at = *used;

	memcpy(image->strings + at, text, strlen(text) + 1);
	*used += strlen(text) + 1;
	return at;
}

static void image_make(const struct made *made, struct image *image)
{
	size_t used = 1, entries = 0;

	*image = (struct image){
		.head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = made->type,
			 .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_entry = made->is_not_runnable ? 0 : BASE + offsetof(struct image, code),
			 .e_phoff = offsetof(struct image, segments),
			 .e_ehsize = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = HEADERS},
	};
	image->segments[0] = (Elf64_Phdr){.p_type = PT_LOAD,
					  .p_flags = PF_R | PF_X,
					  .p_vaddr = BASE,
					  .p_filesz = sizeof(*image),
					  .p_memsz = sizeof(*image),
					  .p_align = 4096};
	for (int i = 1; i < HEADERS; i++)
		image->segments[i].p_type = PT_NOTE;
	if (made->interpreter) {
		uint64_t at = offsetof(struct image, strings) + string_add(image, &used, made->interpreter);

		image->segments[1] = (Elf64_Phdr){.p_type = PT_INTERP,
						  .p_offset = at,
						  .p_vaddr = BASE + at,
						  .p_filesz = strlen(made->interpreter) + 1};
	}
	for (int i = 0; i < 4 && made->needed[i]; i++)
		image->dynamic[entries++] = (Elf64_Dyn){DT_NEEDED, {string_add(image, &used, made->needed[i])}};
	if (made->runpath)
		image->dynamic[entries++] = (Elf64_Dyn){DT_RUNPATH, {string_add(image, &used, made->runpath)}};
	image->dynamic[entries++] = (Elf64_Dyn){DT_STRTAB, {BASE + offsetof(struct image, strings)}};
	image->dynamic[entries++] = (Elf64_Dyn){DT_STRSZ, {STRINGS}};
	image->dynamic[entries] = (Elf64_Dyn){DT_SONAME, {string_add(image, &used, "libw.so.1")}};
	image->segments[2] = (Elf64_Phdr){.p_type = PT_DYNAMIC,
					  .p_offset = offsetof(struct image, dynamic),
					  .p_vaddr = BASE + offsetof(struct image, dynamic),
					  .p_filesz = sizeof(image->dynamic),
					  .p_memsz = sizeof(image->dynamic)};
}

static const struct made whole = {
	ET_DYN, "/opt/kontain/runtime/libc.so", "/opt/kontain/lib:$ORIGIN", {"libc.so", "libx.so"}, false};

/* In a block of its exact size, off its alignment by `shift`, so that a byte too far is seen. */
static int read_exactly(const void *bytes, size_t size, size_t shift, struct kt_elf *elf, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *block = malloc(size + shift ? size + shift : 1);

	memcpy(block + shift, bytes, size);

	int r = kt_elf_read(block + shift, size, elf, err);

	/* strings are the block's: looked at while it is there */
	if (r == 0) {
		size_t length = 0;

		for (size_t i = 0; i < elf->needed_count; i++)
			length += strlen(elf->needed[i]);
		length += elf->interpreter ? strlen(elf->interpreter) : 0;
		length += elf->runpath ? strlen(elf->runpath) : 0;
		assert_true(length < size * (elf->needed_count + 2));
	}
	return r;
}

/* ---- the reader ---- */

static void test_what_a_file_says(void **state)
{
	struct image image;
	struct kt_elf elf;
	struct kt_error err = {0};

	(void)state;
	image_make(&whole, &image);
	if (kt_elf_read(&image, sizeof(image), &elf, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(elf.type, ET_DYN);
	assert_true(elf.is_executable_dyn);
	assert_string_equal(elf.interpreter, whole.interpreter);
	assert_string_equal(elf.runpath, whole.runpath);
	assert_string_equal(elf.soname, "libw.so.1");
	assert_int_equal(elf.needed_count, 2);
	assert_string_equal(elf.needed[1], "libx.so");
	assert_true(kt_elf_is_elf(&image, sizeof(image)));
	assert_false(kt_elf_is_elf(&image, 3));
	assert_false(kt_elf_is_elf("#!/bin/sh", 9));
	for (size_t shift = 1; shift < 8; shift++)
		assert_int_equal(read_exactly(&image, sizeof(image), shift, &elf, &err), 0);
}

static void test_this_program(void **state)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	size_t size = 0;
	struct kt_elf elf;
	struct kt_error err = {0};

	(void)state;
	assert_int_equal(kt_fs_read_all(AT_FDCWD, "/proc/self/exe", 1 << 28, &bytes, &size, &err), 0);
	if (kt_elf_read(bytes, size, &elf, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(elf.interpreter, "/lib64/ld-linux-x86-64.so.2");
	assert_true(elf.needed_count > 0);
	assert_true(elf.is_executable_dyn || elf.type == ET_EXEC);
}

#define AT(member) offsetof(struct image, member)

/* One field of the whole file changed. */
static const struct {
	size_t at, size;
	uint64_t value;
	enum kt_reason reason; /* 0: it is taken all the same */
	const char *said;
} field_rows[] = {
	{AT(head.e_ident[0]), 1, 0, KT_REASON_ELF_INVALID, "not an ELF"},
	{AT(head.e_ident[EI_CLASS]), 1, ELFCLASS32, KT_REASON_ARCH_MISMATCH, "another machine"},
	{AT(head.e_ident[EI_DATA]), 1, ELFDATA2MSB, KT_REASON_ARCH_MISMATCH, "another machine"},
	{AT(head.e_machine), 2, EM_AARCH64, KT_REASON_ARCH_MISMATCH, "machine 183"},
	{AT(head.e_ident[EI_VERSION]), 1, 2, KT_REASON_ELF_INVALID, "version"},
	{AT(head.e_version), 4, 2, KT_REASON_ELF_INVALID, "version"},
	{AT(head.e_ehsize), 2, 52, KT_REASON_ELF_INVALID, "header size"},
	{AT(head.e_type), 2, ET_NONE, KT_REASON_ELF_INVALID, "type"},
	{AT(head.e_type), 2, 0xfe00, KT_REASON_ELF_INVALID, "type"},
	{AT(head.e_type), 2, ET_REL, 0, NULL},
	{AT(head.e_type), 2, ET_EXEC, 0, NULL},
	{AT(head.e_phnum), 2, 0, KT_REASON_ELF_INVALID, "no program headers"},
	{AT(head.e_phnum), 2, 129, KT_REASON_ELF_INVALID, "too many"},
	{AT(head.e_phnum), 2, PN_XNUM, KT_REASON_ELF_INVALID, "too many"},
	{AT(head.e_phentsize), 2, 55, KT_REASON_ELF_INVALID, "no program headers"},
	{AT(head.e_phoff), 8, 0, KT_REASON_ELF_INVALID, "overlap the file header"},
	{AT(head.e_phoff), 8, sizeof(struct image) - 100, KT_REASON_ELF_INVALID, "beyond the end"},
	{AT(head.e_phoff), 8, UINT64_MAX - 8, KT_REASON_ELF_INVALID, "beyond the end"},
	{AT(head.e_entry), 8, 0, 0, NULL},
	{AT(segments[0].p_type), 4, PT_NOTE, KT_REASON_ELF_INVALID, "nothing to load"},
	{AT(segments[0].p_offset), 8, 4096, KT_REASON_ELF_INVALID, "beyond the end"},
	{AT(segments[0].p_offset), 8, UINT64_MAX, KT_REASON_ELF_INVALID, "beyond the end"},
	{AT(segments[0].p_filesz), 8, sizeof(struct image) + 1, KT_REASON_ELF_INVALID, "beyond the end"},
	{AT(segments[0].p_filesz), 8, UINT64_MAX, KT_REASON_ELF_INVALID, "beyond the end"},
	{AT(segments[0].p_memsz), 8, 16, KT_REASON_ELF_INVALID, "larger than its memory"},
	{AT(segments[0].p_memsz), 8, UINT64_MAX, KT_REASON_ELF_INVALID, "larger than its memory"},
	{AT(segments[0].p_vaddr), 8, BASE + 1, KT_REASON_ELF_INVALID, "not aligned"},
	{AT(segments[0].p_align), 8, 4097, KT_REASON_ELF_INVALID, "not aligned"},
	{AT(segments[0].p_align), 8, 0, 0, NULL},
	{AT(segments[0].p_flags), 4, PF_R, 0, NULL}, /* no code: no program, but a file */
	{AT(segments[3].p_type), 4, PT_LOAD, KT_REASON_ELF_INVALID, "overlap or are out of order"},
	{AT(segments[3].p_type), 4, PT_INTERP, KT_REASON_ELF_INVALID, "two interpreters"},
	{AT(segments[3].p_type), 4, PT_DYNAMIC, KT_REASON_ELF_INVALID, "two interpreters or dynamic"},
	{AT(segments[1].p_offset), 8, sizeof(struct image), KT_REASON_ELF_INVALID, "interpreter"},
	{AT(segments[1].p_offset), 8, UINT64_MAX, KT_REASON_ELF_INVALID, "interpreter"},
	{AT(segments[1].p_offset), 8, AT(strings), KT_REASON_ELF_INVALID, "interpreter"}, /* begins with its end */
	{AT(segments[1].p_filesz), 8, 0, KT_REASON_ELF_INVALID, "interpreter"},
	{AT(segments[1].p_filesz), 8, 5, KT_REASON_ELF_INVALID, "interpreter"},
	{AT(segments[1].p_filesz), 8, 5000, KT_REASON_ELF_INVALID, "interpreter"},
	{AT(segments[2].p_offset), 8, sizeof(struct image), KT_REASON_ELF_INVALID, "dynamic section"},
	{AT(segments[2].p_offset), 8, AT(dynamic[1]), KT_REASON_ELF_INVALID, "not where it is in the file"},
	{AT(segments[2].p_vaddr), 8, BASE, KT_REASON_ELF_INVALID, "not where it is in the file"},
	{AT(segments[2].p_vaddr), 8, 0, KT_REASON_ELF_INVALID, "not where it is in the file"},
	{AT(segments[2].p_filesz), 8, 64, KT_REASON_ELF_INVALID, "no end"},
	{AT(segments[2].p_filesz), 8, UINT64_MAX, KT_REASON_ELF_INVALID, "dynamic section"},
	{AT(dynamic[0].d_un), 8, STRINGS, KT_REASON_ELF_INVALID, "no name"},
	{AT(dynamic[0].d_un), 8, UINT64_MAX, KT_REASON_ELF_INVALID, "no name"},
	{AT(dynamic[0].d_un), 8, 0, KT_REASON_ELF_INVALID, "no name"}, /* "" */
	{AT(dynamic[2].d_un), 8, STRINGS, KT_REASON_ELF_INVALID, "RUNPATH"},
	{AT(dynamic[2].d_tag), 8, DT_STRTAB, KT_REASON_ELF_INVALID, "twice"},
	{AT(dynamic[2].d_tag), 8, DT_STRSZ, KT_REASON_ELF_INVALID, "twice"},
	{AT(dynamic[3].d_tag), 8, DT_RUNPATH, KT_REASON_ELF_INVALID, "twice"},
	{AT(dynamic[2].d_tag), 8, DT_RPATH, 0, NULL},
	{AT(dynamic[3].d_tag), 8, DT_DEBUG, KT_REASON_ELF_INVALID, "no name"},
	{AT(dynamic[3].d_un), 8, UINT64_MAX, KT_REASON_ELF_INVALID, "no name"},
	{AT(dynamic[4].d_un), 8, UINT64_MAX, KT_REASON_ELF_INVALID, "no name"},
	{AT(dynamic[4].d_un), 8, 1, KT_REASON_ELF_INVALID, "no name"},
	{AT(dynamic[5].d_un), 8, UINT64_MAX, 0, NULL}, /* no name: nothing that runs depends on it */
	{AT(dynamic[0].d_tag), 8, DT_SONAME, KT_REASON_ELF_INVALID, "twice"},
	{AT(dynamic[0].d_tag), 8, DT_NULL, 0, NULL}, /* ends before it says anything */
};

static void test_fields_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(field_rows) / sizeof(field_rows[0]); i++) {
		struct image image;
		struct kt_elf elf, before;
		struct kt_error err = {0};

		image_make(&whole, &image);
		memcpy((char *)&image + field_rows[i].at, &field_rows[i].value, field_rows[i].size);
		memset(&elf, 0x55, sizeof(elf));
		before = elf;

		int r = read_exactly(&image, sizeof(image), 0, &elf, &err);

		if ((r == 0) != (field_rows[i].reason == 0))
			fail_msg("row %zu (%s): %s", i, field_rows[i].said ? field_rows[i].said : "",
				 r == 0 ? "taken" : err.text);
		if (r == 0)
			continue;
		assert_int_equal(err.reason, field_rows[i].reason);
		if (!strstr(err.text, field_rows[i].said))
			fail_msg("row %zu said: %s", i, err.text);
		assert_memory_equal(&elf, &before, sizeof(elf)); /* left alone */
		assert_true(kt_elf_read(&image, sizeof(image), &elf, KT_ERROR_IGNORED) < 0);
	}
}

static void test_entry_outside_of_the_code(void **state)
{
	static const uint64_t entries[] = {0, BASE - 1, BASE + sizeof(struct image), UINT64_MAX};
	struct image image;
	struct kt_elf elf;
	struct kt_error err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		image_make(&whole, &image);
		image.head.e_entry = entries[i];
		assert_int_equal(kt_elf_read(&image, sizeof(image), &elf, &err), 0);
		assert_false(elf.is_executable_dyn);
		image.head.e_type = ET_EXEC;
		assert_true(kt_elf_read(&image, sizeof(image), &elf, &err) < 0);
		assert_non_null(strstr(err.text, "entry point"));
	}
}

static void test_more_needed_than_can_be_told(void **state)
{
	struct {
		struct image image;
		Elf64_Dyn dynamic[KT_ELF_NEEDED_MAX + 4];
	} large;
	struct kt_elf elf;
	struct kt_error err = {0};

	(void)state;
	for (size_t count = KT_ELF_NEEDED_MAX; count <= KT_ELF_NEEDED_MAX + 1; count++) {
		memset(&large, 0, sizeof(large));
		image_make(&whole, &large.image);
		large.image.segments[0].p_filesz = large.image.segments[0].p_memsz = sizeof(large);
		for (size_t i = 0; i < count; i++)
			large.dynamic[i] = (Elf64_Dyn){DT_NEEDED, {1}};
		large.dynamic[count] = (Elf64_Dyn){DT_STRTAB, {BASE + AT(strings)}};
		large.dynamic[count + 1] = (Elf64_Dyn){DT_STRSZ, {STRINGS}};
		large.image.segments[2].p_offset = sizeof(struct image);
		large.image.segments[2].p_vaddr = BASE + sizeof(struct image);
		large.image.segments[2].p_filesz = sizeof(large.dynamic);

		int r = kt_elf_read(&large, sizeof(large), &elf, &err);

		if (count <= KT_ELF_NEEDED_MAX) {
			assert_int_equal(r, 0);
			assert_int_equal(elf.needed_count, KT_ELF_NEEDED_MAX);
		} else {
			assert_true(r < 0);
			assert_non_null(strstr(err.text, "too many needed"));
		}
	}
}

/* Every cut, and every byte changed to several values: never a byte too far (the sanitizers say so), and an error has
 * its reason. */
static void test_cut_and_flipped(void **state)
{
	static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct image image;
	struct kt_elf elf;
	struct kt_error err = {0};

	(void)state;
	image_make(&whole, &image);
	for (size_t cut = 0; cut < sizeof(image); cut++) {
		assert_true(read_exactly(&image, cut, 0, &elf, &err) < 0);
		assert_int_equal(err.reason, KT_REASON_ELF_INVALID);
	}
	for (size_t at = 0; at < AT(code); at++) {
		unsigned char was = ((unsigned char *)&image)[at];

		for (size_t i = 0; i < sizeof(values); i++) {
			((unsigned char *)&image)[at] = values[i];
			if (read_exactly(&image, sizeof(image), at % 2, &elf, &err) < 0)
				assert_true(err.reason == KT_REASON_ELF_INVALID ||
					    err.reason == KT_REASON_ARCH_MISMATCH);
		}
		((unsigned char *)&image)[at] = was;
	}
}

/* ---- the contract ---- */

#define ROWS_MAX 10

struct laid {
	const char *name; /* "runtime/libc.so"; NULL ends */
	const char *link; /* target, or NULL for a file */
	struct made made; /* type 0: `text` instead */
	const char *text;
	unsigned mode; /* 0: 0755 */
};

struct room {
	char path[32];
	struct kt_manifest manifest;
	int fds[KT_COMPONENT_MAX];
	int dir;
	struct kt_file files[KT_COMPONENT_MAX][ROWS_MAX];
};

static void file_lay(int dir, const struct laid *laid)
{
	struct image image;
	const char *name = NULL;
	char folder[64];

	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(laid->name, '/') - laid->name), laid->name);
	assert_int_equal(kt_fs_make_dirs(dir, folder), 0);

	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(dir, laid->name, &name);

	assert_true(parent >= 0);
	if (laid->link) {
		assert_int_equal(symlinkat(laid->link, parent, name), 0);
		return;
	}

	KT_OWN(kt_close_fd) int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL, 0755);

	image_make(&laid->made, &image);
	if (laid->made.type)
		assert_int_equal(kt_fs_write_full(fd, &image, sizeof(image)), 0);
	else
		assert_int_equal(kt_fs_write_full(fd, laid->text, strlen(laid->text)), 0);
}

static void room_lay(struct room *room, const struct laid *rows)
{
	*room = (struct room){.path = "/tmp/kt-elf-XXXXXX", .fds = {-1, -1, -1, -1, -1, -1, -1}};
	assert_non_null(mkdtemp(room->path));
	room->dir = open(room->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; kt_component_names[i]; i++) {
		struct kt_component *component = &room->manifest.components[i];
		const char *folder = kt_component_source(kt_component_names[i]);

		strcpy(component->name, kt_component_names[i]);
		strcpy(component->version, "1.0");
		component->list.files = room->files[i];
		assert_int_equal(kt_fs_make_dirs(room->dir, folder), 0);
		room->fds[i] = openat(room->dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	room->manifest.component_count = KT_COMPONENT_MAX;
	for (; rows->name; rows++) {
		size_t length = strcspn(rows->name, "/"), i = 0;

		file_lay(room->dir, rows);
		while (i < KT_COMPONENT_MAX - 1 && /* the last are the extras */
		       (strlen(kt_component_source(kt_component_names[i])) != length ||
			strncmp(kt_component_source(kt_component_names[i]), rows->name, length) != 0))
			i++;
		room->files[i][room->manifest.components[i].list.count++] =
			(struct kt_file){.path = rows->name + (i < KT_COMPONENT_MAX - 1 ? length + 1 : 0),
					 .link = rows->link,
					 .mode = rows->mode ? rows->mode : 0755};
	}
}

static void room_done(struct room *room)
{
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < KT_COMPONENT_MAX; i++)
		kt_close_fd(&room->fds[i]);
	kt_close_fd(&room->dir);
	assert_int_equal(kt_fs_remove_tree(tmp, room->path + strlen("/tmp/"), KT_ERROR_IGNORED), 0);
}

static char findings[4096];

static void finding_note(void *context, const char *path, const char *text)
{
	size_t used = strlen(findings);

	(*(size_t *)context)++;
	snprintf(findings + used, sizeof(findings) - used, "%s %s\n", path, text);
}

#define STATIC                                     \
	{                                          \
		ET_EXEC, NULL, NULL, {NULL}, false \
	}
#define LOADER                                    \
	{                                         \
		ET_DYN, NULL, NULL, {NULL}, false \
	}
#define LIBRARY                                  \
	{                                        \
		ET_DYN, NULL, NULL, {NULL}, true \
	}
#define HOST_LOADER "/lib64/ld-linux-x86-64.so.2"
#define OUR_LOADER  "/opt/kontain/runtime/libc.so"
#define KM                                       \
	{                                        \
		.name = "bin/km", .made = STATIC \
	}
#define RUNTIME                                                       \
	{.name = "runtime/libc.musl-x86_64.so.1", .link = "libc.so"}, \
	{                                                             \
		.name = "runtime/libc.so", .made = LOADER             \
	}

/* Files in the order of their paths in each component. */
static const struct {
	struct laid rows[ROWS_MAX];
	enum kt_reason reason; /* 0: it passes */
	const char *said;      /* of the error, or of a finding */
	size_t findings;
} contract_rows[] = {
	{{KM}, 0, NULL, 0},
	{{KM, RUNTIME}, 0, NULL, 0},
	{{{.name = "bin/km", .made = {ET_DYN, NULL, NULL, {NULL}, false}}}, 0, NULL, 0}, /* static-pie */

	/* bin/km */
	{{{.name = "bin/km", .text = "#!/bin/sh\n"}}, KT_REASON_ELF_INVALID, "bin/km is not an ELF", 0},
	{{{.name = "bin/km", .text = ""}}, KT_REASON_ELF_INVALID, "bin/km is not an ELF", 0},
	{{{.name = "bin/km", .text = "\177ELF"}}, KT_REASON_ELF_INVALID, "bin/km: malformed", 0},
	{{{.name = "bin/km", .made = STATIC, .mode = 0644}}, KT_REASON_ELF_INVALID, "bin/km is not executable", 0},
	{{{.name = "bin/km", .made = LIBRARY}}, KT_REASON_ELF_INVALID, "bin/km is not a program", 0},
	{{{.name = "bin/km", .made = {ET_REL, NULL, NULL, {NULL}, true}}}, KT_REASON_ELF_INVALID, "not a program", 0},
	{{{.name = "bin/km", .made = {ET_DYN, HOST_LOADER, NULL, {"libc.so.6"}, false}}},
	 KT_REASON_ELF_INVALID,
	 "bin/km needs the interpreter " HOST_LOADER,
	 0},
	{{{.name = "bin/km", .made = {ET_DYN, OUR_LOADER, NULL, {NULL}, false}}},
	 KT_REASON_ELF_INVALID,
	 "bin/km needs the interpreter",
	 0},
	{{{.name = "bin/km", .made = {ET_DYN, OUR_LOADER, NULL, {"libc.so"}, false}}, RUNTIME}, 0, NULL, 0},
	{{{.name = "bin/km", .made = {ET_DYN, OUR_LOADER, NULL, {"libgone.so"}, false}}, RUNTIME},
	 KT_REASON_ELF_INVALID,
	 "bin/km needs the library libgone.so",
	 0},

	/* the rest of bin/ and shim/ */
	{{KM, {.name = "bin/krun", .made = {ET_DYN, HOST_LOADER, "/usr/lib", {"libc.so.6"}, false}}},
	 0,
	 "bin/krun is a host's tool",
	 2},
	{{KM, {.name = "bin/script", .text = "#!/bin/sh\n"}}, 0, NULL, 0},
	{{KM, {.name = "shim/broken", .text = "\177ELF broken"}}, KT_REASON_ELF_INVALID, "shim/broken: malformed", 0},
	{{KM, {.name = "shim/shim", .made = {ET_DYN, HOST_LOADER, "$ORIGIN/../../x", {NULL}, false}}},
	 KT_REASON_ELF_INVALID,
	 "shim/shim has a RUNPATH entry that leaves the tree: $ORIGIN/../../x",
	 1},

	/* runtime/libc.so */
	{{KM,
	  {.name = "runtime/libc.musl-x86_64.so.1", .link = "libc.so"},
	  {.name = "runtime/libc.so", .made = LIBRARY}},
	 KT_REASON_ELF_INVALID,
	 "runtime/libc.so is not an executable shared object",
	 0},
	{{KM,
	  {.name = "runtime/libc.musl-x86_64.so.1", .link = "libc.so"},
	  {.name = "runtime/libc.so", .made = STATIC}},
	 KT_REASON_ELF_INVALID,
	 "runtime/libc.so is not an executable shared object",
	 0},
	{{KM,
	  {.name = "runtime/libc.musl-x86_64.so.1", .link = "libc.so"},
	  {.name = "runtime/libc.so", .text = "INPUT(-lc)"}},
	 KT_REASON_ELF_INVALID,
	 "runtime/libc.so is not an ELF",
	 0},
	{{KM, {.name = "runtime/libc.so", .made = LOADER}},
	 KT_REASON_ELF_INVALID,
	 "runtime/libc.musl-x86_64.so.1 must be a link to libc.so",
	 0},
	{{KM, {.name = "runtime/libc.musl-x86_64.so.1", .link = "other"}, {.name = "runtime/libc.so", .made = LOADER}},
	 KT_REASON_ELF_INVALID,
	 "must be a link to libc.so",
	 0},
	{{KM,
	  {.name = "runtime/libc.musl-x86_64.so.1", .link = "./libc.so"},
	  {.name = "runtime/libc.so", .made = LOADER}},
	 0,
	 NULL,
	 0},
	{{KM, {.name = "runtime/libc.musl-x86_64.so.1", .made = LOADER}, {.name = "runtime/libc.so", .made = LOADER}},
	 KT_REASON_ELF_INVALID,
	 "must be a link to libc.so",
	 0},
	{{KM, {.name = "lib/libruntime.a", .text = "!<arch>\n"}},
	 KT_REASON_ELF_INVALID,
	 "lib/libc.a must be a link to libruntime.a",
	 0},
	{{KM, {.name = "lib/libc.a", .link = "libruntime.a"}, {.name = "lib/libruntime.a", .text = "!<arch>\n"}},
	 0,
	 NULL,
	 0},

	/* interpreters of what guests load */
	{{KM, {.name = "lib/program", .made = {ET_DYN, HOST_LOADER, NULL, {NULL}, false}}},
	 KT_REASON_ELF_INVALID,
	 "lib/program has an interpreter outside of the tree",
	 0},
	{{KM, {.name = "lib/program", .made = {ET_DYN, "/opt/kontain/../../lib64/ld.so", NULL, {NULL}, false}}},
	 KT_REASON_ELF_INVALID,
	 "outside of the tree",
	 0},
	{{KM, {.name = "lib/program", .made = {ET_DYN, "/opt/kontainer/libc.so", NULL, {NULL}, false}}},
	 KT_REASON_ELF_INVALID,
	 "outside of the tree",
	 0},
	{{KM, {.name = "lib/program", .made = {ET_DYN, "runtime/libc.so", NULL, {NULL}, false}}, RUNTIME},
	 KT_REASON_ELF_INVALID,
	 "outside of the tree",
	 0},
	{{KM, {.name = "lib/program", .made = {ET_DYN, OUR_LOADER, NULL, {NULL}, false}}},
	 0,
	 "this bundle does not bring",
	 1},
	{{KM, {.name = "lib/program", .made = {ET_DYN, OUR_LOADER, NULL, {NULL}, false}}, RUNTIME}, 0, NULL, 0},
	{{KM,
	  {.name = "lib/program", .made = {ET_DYN, "/opt/kontain/versions/runtime/1.0/libc.so", NULL, {NULL}, false}},
	  RUNTIME},
	 0,
	 NULL,
	 0},
	{{KM,
	  {.name = "lib/program", .made = {ET_DYN, "/opt/kontain/versions/runtime/0.9/libc.so", NULL, {NULL}, false}},
	  RUNTIME},
	 0,
	 "this bundle does not bring",
	 1},
	{{KM,
	  {.name = "alpine-lib/lib/ld-musl-x86_64.so.1", .made = LOADER},
	  {.name = "alpine-lib/usr/lib/cc1", .made = {ET_DYN, "/lib/ld-musl-x86_64.so.1", NULL, {NULL}, false}}},
	 0,
	 "of its own image",
	 1},
	{{KM, {.name = "alpine-lib/usr/lib/cc1", .made = {ET_DYN, "/lib/ld-musl-x86_64.so.1", NULL, {NULL}, false}}},
	 KT_REASON_ELF_INVALID,
	 "outside of the tree",
	 0},

	/* RUNPATH */
	{{KM,
	  {.name = "lib/a.so",
	   .made = {ET_DYN, NULL, "/opt/kontain/lib:$ORIGIN:${ORIGIN}/x:/opt/kontain", {NULL}, true}}},
	 0,
	 NULL,
	 0},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, "/usr/lib/gcc/x86_64-alpine", {NULL}, true}}},
	 0,
	 "outside of /opt/kontain",
	 1},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, "$ORIGIN/../bin", {NULL}, true}}}, 0, NULL, 0},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, "$ORIGIN/../..", {NULL}, true}}},
	 KT_REASON_ELF_INVALID,
	 "leaves the tree",
	 0},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, "/opt/kontain/lib/../../../etc", {NULL}, true}}},
	 KT_REASON_ELF_INVALID,
	 "leaves the tree",
	 0},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, "/opt/kontain/lib:../lib", {NULL}, true}}},
	 KT_REASON_ELF_INVALID,
	 "relative",
	 0},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, "lib", {NULL}, true}}}, 0, "working directory", 1},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, "/opt/kontain/lib::/opt/kontain", {NULL}, true}}},
	 0,
	 "working directory",
	 1},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, "$ORIGINAL/x", {NULL}, true}}}, 0, "working directory", 1},

	/* needed libraries */
	{{KM,
	  {.name = "lib/a.so", .made = {ET_DYN, NULL, NULL, {"b.so"}, true}},
	  {.name = "lib/b.so", .made = LIBRARY}},
	 0,
	 NULL,
	 0},
	{{KM,
	  {.name = "alpine-lib/usr/lib/a.so", .made = {ET_DYN, NULL, NULL, {"b.so"}, true}},
	  {.name = "alpine-lib/usr/lib/b.so", .link = "c.so"},
	  {.name = "alpine-lib/usr/lib/c.so", .made = LIBRARY}},
	 0,
	 NULL,
	 0},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, NULL, {"gone.so"}, true}}},
	 0,
	 "needs the library gone.so",
	 1},
	{{KM,
	  {.name = "lib/a.so", .made = {ET_DYN, NULL, "$ORIGIN/own", {"b.so"}, true}},
	  {.name = "lib/own/b.so", .made = LIBRARY}},
	 0,
	 NULL,
	 0},
	{{KM,
	  {.name = "lib/a.so", .made = {ET_DYN, NULL, "/opt/kontain/lib/own", {"b.so"}, true}},
	  {.name = "lib/own/b.so", .made = LIBRARY}},
	 0,
	 NULL,
	 0},
	{{KM,
	  {.name = "lib/a.so", .made = {ET_DYN, NULL, NULL, {"b.so"}, true}},
	  {.name = "lib/own/b.so", .made = LIBRARY}},
	 0,
	 "b.so",
	 1},
	{{KM,
	  {.name = "lib/a.so", .made = {ET_DYN, NULL, NULL, {"/opt/kontain/lib/b.so"}, true}},
	  {.name = "lib/b.so", .made = LIBRARY}},
	 0,
	 NULL,
	 0},
	{{KM, {.name = "lib/a.so", .made = {ET_DYN, NULL, NULL, {"/usr/lib/b.so"}, true}}}, 0, "/usr/lib/b.so", 1},

	/* where an ELF file is expected, and where the magic number promises nothing */
	{{KM, {.name = "lib/a.so", .text = "INPUT(-lncursesw)", .mode = 0644}}, 0, NULL, 0},
	{{KM, {.name = "lib/a.so.1", .text = "\177ELF broken", .mode = 0644}},
	 KT_REASON_ELF_INVALID,
	 "lib/a.so.1: malformed",
	 0},
	{{KM, {.name = "lib/a", .text = "\177ELF broken", .mode = 0755}}, KT_REASON_ELF_INVALID, "lib/a: malformed", 0},
	{{KM, {.name = "lib/a.debug", .text = "\177ELF broken", .mode = 0644}}, 0, "malformed", 1},

	/* payloads beside the components */
	{{KM, {.name = "tests/hello_test.km", .made = STATIC, .mode = 0644}}, 0, NULL, 0},
	{{KM, {.name = "tests/hello_test.km", .made = {ET_DYN, HOST_LOADER, NULL, {NULL}, false}}},
	 KT_REASON_ELF_INVALID,
	 "tests/hello_test.km has an interpreter outside",
	 0},
	{{KM, {.name = "tests/hello_test.km", .made = {ET_DYN, OUR_LOADER, NULL, {"libc.so"}, false}}, RUNTIME},
	 0,
	 NULL,
	 0},
	{{KM, {.name = "tests/hello_test.km", .text = "\177ELF broken", .mode = 0644}},
	 KT_REASON_ELF_INVALID,
	 "tests/hello_test.km: malformed",
	 0},
	{{KM, {.name = "tests/hello_test.km", .made = {ET_DYN, NULL, "$ORIGIN/../..", {NULL}, false}}},
	 KT_REASON_ELF_INVALID,
	 "leaves the tree",
	 0},
};

static int room_check(const struct room *room, bool strict, size_t *ret_found, struct kt_error *err)
{
	*ret_found = 0;
	findings[0] = '\0';
	return kt_elf_check(&room->manifest, room->fds, strict, finding_note, ret_found, err);
}

static void test_contract(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(contract_rows) / sizeof(contract_rows[0]); i++) {
		struct kt_error err = {0};
		struct room room;
		size_t found;

		room_lay(&room, contract_rows[i].rows);

		int r = room_check(&room, false, &found, &err);
		const char *told = r < 0 ? err.text : findings;

		if ((r < 0) != (contract_rows[i].reason != 0) || found != contract_rows[i].findings ||
		    (contract_rows[i].said && !strstr(told, contract_rows[i].said)))
			fail_msg("row %zu (%s): %zu findings, %s", i,
				 contract_rows[i].said ? contract_rows[i].said : "", found, told);
		if (r < 0)
			assert_int_equal(err.reason, contract_rows[i].reason);
		/* strictly, a finding is an error, and nobody is told of it */
		r = room_check(&room, true, &found, &err);
		assert_true((r < 0) == (contract_rows[i].reason != 0 || contract_rows[i].findings > 0));
		assert_int_equal(found, 0);
		if (r < 0)
			assert_int_equal(err.reason, KT_REASON_ELF_INVALID);
		/* who wants to hear neither error nor findings gets the same answer */
		if (!contract_rows[i].reason)
			assert_int_equal(kt_elf_check(&room.manifest, room.fds, false, NULL, NULL, KT_ERROR_IGNORED),
					 0);
		room_done(&room);
	}
}

/* What a component's contract depends on beside its own bytes: paths and links of all, not their contents. */
static void test_surroundings(void **state)
{
	const struct laid rows[] = {
		KM, {.name = "lib/a.so", .made = LIBRARY}, {.name = "lib/b.so", .link = "a.so"}, {.name = NULL}};
	char first[KT_DIGEST_HEX], other[KT_DIGEST_HEX];
	struct room room;
	struct kt_error err = {0};

	(void)state;
	room_lay(&room, rows);
	assert_int_equal(kt_elf_surroundings(&room.manifest, first), 0);
	room.files[3][0].mode = 0644;
	room.files[3][0].size_bytes = 5;
	strcpy(room.manifest.components[0].version, "2.0"); /* km's, which no library names */
	assert_int_equal(kt_elf_surroundings(&room.manifest, other), 0);
	assert_string_equal(first, other);
	strcpy(room.manifest.components[1].version, "2.0"); /* the runtime's: a path may lead through it */
	assert_int_equal(kt_elf_surroundings(&room.manifest, other), 0);
	assert_string_not_equal(first, other);
	strcpy(room.manifest.components[1].version, "1.0");
	room.files[3][1].link = "c.so";
	assert_int_equal(kt_elf_surroundings(&room.manifest, other), 0);
	assert_string_not_equal(first, other);
	room.files[3][1].link = "a.so";
	room.files[3][0].path = "c.so";
	assert_int_equal(kt_elf_surroundings(&room.manifest, other), 0);
	assert_string_not_equal(first, other);
	/* one that is not read again still answers for the others */
	kt_close_fd(&room.fds[3]);
	assert_int_equal(kt_elf_check(&room.manifest, room.fds, false, NULL, NULL, &err), 0);
	room_done(&room);
}

static void test_other_machine_and_missing_file(void **state)
{
	const struct laid rows[] = {KM, {.name = "lib/a.so", .made = LIBRARY}, {.name = NULL}};
	struct kt_error err = {0};
	struct room room;
	size_t found;

	(void)state;
	room_lay(&room, rows);

	KT_OWN(kt_close_fd) int fd = openat(room.dir, "lib/a.so", O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "\xb7", 1, AT(head.e_machine)), 1);
	assert_true(room_check(&room, false, &found, &err) < 0);
	assert_int_equal(err.reason, KT_REASON_ARCH_MISMATCH);
	assert_non_null(strstr(err.text, "lib/a.so"));
	assert_int_equal(unlinkat(room.dir, "lib/a.so", 0), 0);
	assert_int_equal(room_check(&room, false, &found, &err), -ENOENT);
	assert_int_equal(err.reason, KT_REASON_IO_ERROR);
	assert_int_equal(symlinkat("/bin/true", room.dir, "lib/a.so"), 0);
	assert_true(room_check(&room, false, &found, &err) < 0); /* no link is followed where a file must be */
	room_done(&room);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_file_says),
		cmocka_unit_test(test_this_program),
		cmocka_unit_test(test_fields_changed),
		cmocka_unit_test(test_entry_outside_of_the_code),
		cmocka_unit_test(test_more_needed_than_can_be_told),
		cmocka_unit_test(test_cut_and_flipped),
		cmocka_unit_test(test_contract),
		cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_other_machine_and_missing_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
