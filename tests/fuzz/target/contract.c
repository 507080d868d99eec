/* links: kt_bundle kt_contract kt_base */
/* The ELF contract: a file in each place that a bundle has for one, beside others that are well. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/elf.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

/* The places: where the bytes go in turn. */
static const char *const places[] = {
	"bin/km",
	"bin/tool",
	"runtime/libc.so",
	"runtime/libx.so",
	"lib/liby.so.1",
	"lib/debug/liby.so.1.debug",
	"alpine-lib/bin/program",
	"shim/shim",
	"tools/krun",
	"tests/payload.km",
};

static struct kt_file km[] = {
	{.path = "km", .mode = 0755},
	{.path = "krun", .link = KT_TOOLS_ABOVE "krun"},
	{.path = "tool", .mode = 0755},
};
static struct kt_file runtime[] = {
	{.path = "libc.musl-x86_64.so.1", .link = "libc.so"},
	{.path = "libc.so", .mode = 0755},
	{.path = "libx.so", .mode = 0644},
};
static struct kt_file alpine_lib[] = {
	{.path = "bin/program", .mode = 0755},
	{.path = "lib/ld-musl-x86_64.so.1", .link = "/opt/kontain/runtime/libc.so"},
};
static struct kt_file lib[] = {
	{.path = "debug/liby.so.1.debug", .mode = 0755},
	{.path = "liby.so.1", .mode = 0644},
};
static struct kt_file shim[] = {{.path = "shim", .mode = 0755}};
static struct kt_file tools[] = {{.path = "krun", .mode = 0755}};
static struct kt_file extras[] = {{.path = "tests/payload.km", .mode = 0755}};

#define COMPONENT(of, rows)                                                                  \
	{                                                                                    \
		.name = of, .version = "1", .list = {.count = COUNT(rows), .files = (rows) } \
	}
static const struct kt_manifest manifest = {
	.component_count = KT_COMPONENT_MAX,
	.components = {COMPONENT("km", km), COMPONENT("runtime", runtime), COMPONENT("alpine-lib", alpine_lib),
		       COMPONENT("lib", lib), COMPONENT("shim", shim), COMPONENT(KT_COMPONENT_TOOLS, tools),
		       COMPONENT(KT_COMPONENT_EXTRAS, extras)},
};

static int top = -1, folders[KT_COMPONENT_MAX] = {-1, -1, -1, -1, -1, -1, -1};

/* The least that is well in every place: an executable shared object that needs nothing. */
static void good_file_make(const char *path)
{
	struct {
		Elf64_Ehdr head;
		Elf64_Phdr load;
	} file = {
		.head = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			 .e_type = ET_DYN,
			 .e_machine = EM_X86_64,
			 .e_version = EV_CURRENT,
			 .e_entry = 64,
			 .e_phoff = sizeof(Elf64_Ehdr),
			 .e_ehsize = sizeof(Elf64_Ehdr),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 1},
		.load = {.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = sizeof(file), .p_memsz = sizeof(file)},
	};
	KT_OWN(kt_close_fd) int fd = openat(top, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	FUZZ_REQUIRE(fd >= 0 && kt_fs_write_full(fd, &file, sizeof(file)) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	top = open(fuzz_space(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_REQUIRE(top >= 0 && kt_fs_make_dirs(top, "alpine-lib/bin") == 0 && kt_fs_make_dirs(top, "lib/debug") == 0);
	for (size_t i = 0; i < manifest.component_count; i++) {
		const char *folder = kt_component_source(manifest.components[i].name);

		FUZZ_REQUIRE(kt_fs_make_dirs(top, folder) == 0);
		folders[i] = openat(top, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		FUZZ_REQUIRE(folders[i] >= 0);
	}
	FUZZ_REQUIRE(kt_fs_make_dirs(top, "tests") == 0);
	for (size_t i = 0; i < COUNT(places); i++)
		good_file_make(places[i]);
	return 0;
}

struct findings {
	const char *place;
	size_t count;
};

static void finding_take(void *context, const char *path, const char *text)
{
	struct findings *findings = context;

	FUZZ_REQUIRE(strcmp(path, findings->place) == 0 && *text && strlen(text) < 512);
	findings->count++;
}

static int check(bool strict, struct findings *findings, struct kt_error *err)
{
	return kt_elf_check(&manifest, folders, strict, finding_take, findings, err);
}

/* What an accepted file cannot be, by the words of the contract. */
static void accepted_check(const char *place, const struct kt_elf *elf)
{
	bool is_tool =
		strncmp(place, "bin/t", 5) == 0 || strncmp(place, "shim", 4) == 0 || strncmp(place, "tools", 5) == 0;

	if (strcmp(place, "bin/km") == 0)
		FUZZ_REQUIRE((elf->type == ET_EXEC || elf->is_executable_dyn) &&
			     (!elf->interpreter || strncmp(elf->interpreter, "/opt/kontain/", 13) == 0));
	if (strcmp(place, "runtime/libc.so") == 0)
		FUZZ_REQUIRE(elf->is_executable_dyn);
	if (elf->interpreter && !is_tool && strncmp(place, "alpine-lib/", 11) != 0)
		FUZZ_REQUIRE(strncmp(elf->interpreter, "/opt/kontain", 12) == 0 &&
			     !fuzz_is_leaving("", elf->interpreter + 12));
	/* one entry: colons and $ORIGIN are the contract's own matter */
	if (elf->runpath && elf->runpath[0] != '/' && !strpbrk(elf->runpath, ":$"))
		FUZZ_REQUIRE(!fuzz_is_leaving("", elf->runpath));
}

static void place_check(const char *place, const uint8_t *bytes, size_t size)
{
	struct findings findings = {.place = place}, strict_findings = {.place = place};
	struct kt_error err = {.code = 0}, strict_err = {.code = 0};
	int r = check(false, &findings, &err), strict = check(true, &strict_findings, &strict_err);
	struct kt_elf elf;

	FUZZ_REQUIRE(strict_findings.count == 0);
	FUZZ_REQUIRE((strict == 0) == (r == 0 && findings.count == 0));
	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(err.reason == KT_REASON_ELF_INVALID || err.reason == KT_REASON_ARCH_MISMATCH);
		FUZZ_REQUIRE(strncmp(err.text, place, strlen(place)) == 0);
	} else if (kt_elf_read(bytes, size, &elf, KT_ERROR_IGNORED) == 0) {
		fuzz_taken++;
		accepted_check(place, &elf);
	}
}

/* What is no ELF file at all is told by the first places as well as by the last. */
#define PLACES_OF_NO_ELF 3

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kt_elf elf;
	size_t count = kt_elf_read(bytes, size, &elf, KT_ERROR_IGNORED) == 0 ? COUNT(places) : PLACES_OF_NO_ELF;

	for (size_t i = 0; i < count; i++) {
		KT_OWN(kt_close_fd) int fd = openat(top, places[i], O_WRONLY | O_TRUNC | O_CLOEXEC);

		FUZZ_REQUIRE(fd >= 0 && kt_fs_write_full(fd, bytes, size) == 0);
		place_check(places[i], bytes, size);
		good_file_make(places[i]);
	}
	return 0;
}
