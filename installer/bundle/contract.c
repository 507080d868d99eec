/* The ELF contract: what must hold of a tree's files before a set of them may become current.
 *
 * Payloads name their interpreter and libraries by absolute path under /opt/kontain, so what is missing there is found
 * by a crash in somebody's pod; here it is found first. An error is what could not work or leads out of the tree; a
 * finding is what full trees are known to hold and live with. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/elf.h"
#include "kontain/contract/paths.h"
#include "lookup.h"

#define NAME_BYTES (KT_MANIFEST_PATH_MAX + 16)
#define PATH_BYTES 4096

/* Which rules a file falls under. */
enum role {
	ROLE_MONITOR, /* bin/km: runs in any pod, so the tree must bring all that it needs */
	ROLE_TOOL,    /* the rest of bin/, tools/ and shim/: run on the host and may use its libraries */
	ROLE_LOADER,  /* runtime/libc.so: interpreter of payloads */
	ROLE_GUEST,   /* what payloads load, and payloads */
};

struct contract {
	const struct kt_manifest *manifest;
	bool strict;
	kt_elf_finding *found;
	void *context;
	struct kt_error *err;
};

struct subject {
	const struct kt_file *file;
	char name[NAME_BYTES]; /* "runtime/libc.so": in the bundle and below the root alike */
	enum role role;
};

static int refuse(const struct contract *contract, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(const struct contract *contract, const char *name, const char *format, ...)
{
	char text[512], shown[KT_SHOWN_MAX];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return kt_fail(contract->err, ENOEXEC, KT_REASON_ELF_INVALID, "%s %s", kt_path_show(name, shown), text);
}

/* Tells of a finding, or refuses for it. */
static int find(const struct contract *contract, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int find(const struct contract *contract, const char *name, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (contract->strict)
		return refuse(contract, name, "%s", text);
	if (contract->found)
		contract->found(contract->context, name, text);
	return 0;
}

static bool is_below_root(const char *path)
{
	return strncmp(path, KT_ROOT, strlen(KT_ROOT)) == 0 &&
	       (path[strlen(KT_ROOT)] == '/' || path[strlen(KT_ROOT)] == '\0');
}

/* ---- interpreter ---- */

static enum kt_lead interpreter_lead(const struct contract *contract, const char *interpreter)
{
	return is_below_root(interpreter) ? kt_manifest_lead(contract->manifest, interpreter + strlen(KT_ROOT)) :
					    KT_LEAD_OUTSIDE;
}

/* alpine-lib is an image of a root: its own programs name /lib/ld-musl-x86_64.so.1 and mean the one that is in it. */
static bool is_in_own_image(const struct contract *contract, const struct subject *subject, const char *interpreter)
{
	char path[PATH_BYTES + 16];

	if (strncmp(subject->name, "alpine-lib/", 11) != 0 || interpreter[0] != '/')
		return false;
	(void)snprintf(path, sizeof(path), "alpine-lib%s", interpreter);
	return kt_manifest_lead(contract->manifest, path) == KT_LEAD_FILE;
}

static int interpreter_check(const struct contract *contract, const struct subject *subject, const struct kt_elf *elf)
{
	char shown[KT_SHOWN_MAX];

	if (!elf->interpreter)
		return 0;

	enum kt_lead lead = interpreter_lead(contract, elf->interpreter);

	(void)kt_path_show(elf->interpreter, shown);
	if (lead == KT_LEAD_FILE)
		return 0;
	if (subject->role == ROLE_MONITOR)
		return refuse(contract, subject->name, "needs the interpreter %s, which this bundle does not bring",
			      shown);
	if (subject->role == ROLE_TOOL)
		return find(contract, subject->name, "is a host's tool: its interpreter is %s", shown);
	if (lead == KT_LEAD_NOTHING)
		return find(contract, subject->name, "has an interpreter that this bundle does not bring: %s", shown);
	if (is_in_own_image(contract, subject, elf->interpreter))
		return find(contract, subject->name, "has the interpreter %s of its own image", shown);
	return refuse(contract, subject->name, "has an interpreter outside of the tree and of " KT_ROOT ": %s", shown);
}

/* ---- RUNPATH ---- */

/* Where in the bundle does an entry lead? False when it is no place that loaders agree on: then *ret_place is "". */
static bool entry_place(const struct subject *subject, const char *entry, size_t length, char ret_place[PATH_BYTES])
{
	static const char *const origins[] = {"$ORIGIN", "${ORIGIN}"};
	const char *slash = strrchr(subject->name, '/');
	int folder = slash ? (int)(slash - subject->name) : 0;

	ret_place[0] = '\0';
	if (length >= strlen(KT_ROOT) && memcmp(entry, KT_ROOT, strlen(KT_ROOT)) == 0 &&
	    (length == strlen(KT_ROOT) || entry[strlen(KT_ROOT)] == '/')) {
		(void)snprintf(ret_place, PATH_BYTES, ".%.*s", (int)(length - strlen(KT_ROOT)),
			       entry + strlen(KT_ROOT));
		return true;
	}
	for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
		size_t size = strlen(origins[i]);

		if (length < size || memcmp(entry, origins[i], size) != 0 || (length > size && entry[size] != '/'))
			continue;
		(void)snprintf(ret_place, PATH_BYTES, "%.*s%.*s", folder, subject->name, (int)(length - size),
			       entry + size);
		return true;
	}
	return false;
}

/* Does a path below some folder climb out of the folders it begins in? */
static bool is_climbing(const char *path)
{
	int depth = 0;

	while (*path) {
		size_t length = strcspn(path, "/");

		if (length == 2 && path[0] == '.' && path[1] == '.')
			depth--;
		else if (length > 0 && !(length == 1 && path[0] == '.'))
			depth++;
		if (depth < 0)
			return true;
		path += length + (path[length] == '/');
	}
	return false;
}

static int entry_check(const struct contract *contract, const struct subject *subject, const char *entry, size_t length)
{
	char place[PATH_BYTES], text[PATH_BYTES], shown[KT_SHOWN_MAX];

	if (length >= sizeof(text) - sizeof(subject->name))
		return refuse(contract, subject->name, "has a RUNPATH entry that is too long");
	(void)snprintf(text, sizeof(text), "%.*s", (int)length, entry);
	(void)kt_path_show(text, shown);
	if (entry_place(subject, text, length, place)) {
		if (is_climbing(place) || kt_manifest_lead(contract->manifest, place) == KT_LEAD_OUTSIDE)
			return refuse(contract, subject->name, "has a RUNPATH entry that leaves the tree: %s", shown);
		return 0;
	}
	if (text[0] == '/')
		return find(contract, subject->name, "has a RUNPATH entry outside of " KT_ROOT ": %s", shown);
	if (is_climbing(text))
		return refuse(contract, subject->name, "has a relative RUNPATH entry that leaves the tree: %s", shown);
	return find(contract, subject->name, "has a RUNPATH entry taken from the working directory: \"%s\"", shown);
}

static int runpath_check(const struct contract *contract, const struct subject *subject, const struct kt_elf *elf)
{
	for (const char *entry = elf->runpath; entry && *entry;) {
		size_t length = strcspn(entry, ":");
		int r = entry_check(contract, subject, entry, length);

		if (r < 0)
			return r;
		entry += length;
		if (*entry == ':')
			entry++;
	}
	return 0;
}

/* ---- needed libraries ---- */

static bool is_in_place(const struct contract *contract, const char *place, const char *library)
{
	char path[2 * PATH_BYTES];

	return snprintf(path, sizeof(path), "%s/%s", place, library) < (int)sizeof(path) &&
	       kt_manifest_lead(contract->manifest, path) == KT_LEAD_FILE;
}

static bool is_resolved(const struct contract *contract, const struct subject *subject, const struct kt_elf *elf,
			const char *library)
{
	/* what payloads are linked to look in, in their order */
	static const char *const places[] = {"lib", "runtime", "alpine-lib/lib", "alpine-lib/usr/lib"};
	char place[PATH_BYTES];

	if (strchr(library, '/'))
		return is_below_root(library) &&
		       kt_manifest_lead(contract->manifest, library + strlen(KT_ROOT)) == KT_LEAD_FILE;
	for (const char *entry = elf->runpath; entry && *entry;) {
		size_t length = strcspn(entry, ":");

		if (entry_place(subject, entry, length, place) && is_in_place(contract, place, library))
			return true;
		entry += length + (entry[length] == ':');
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (is_in_place(contract, places[i], library))
			return true;
	return false;
}

static int needed_check(const struct contract *contract, const struct subject *subject, const struct kt_elf *elf)
{
	char shown[KT_SHOWN_MAX];

	if (subject->role == ROLE_TOOL)
		return 0; /* a finding names its interpreter already: where that is the host's, so are the libraries */
	for (size_t i = 0; i < elf->needed_count; i++) {
		if (is_resolved(contract, subject, elf, elf->needed[i]))
			continue;
		(void)kt_path_show(elf->needed[i], shown);

		int r = subject->role == ROLE_MONITOR ?
				refuse(contract, subject->name,
				       "needs the library %s, which this bundle does not bring", shown) :
				find(contract, subject->name, "needs the library %s, which this bundle does not bring",
				     shown);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- one file ---- */

static int role_check(const struct contract *contract, const struct subject *subject, const struct kt_elf *elf)
{
	bool is_runnable = elf->type == 2 /* ET_EXEC */ || elf->is_executable_dyn;

	if (subject->role == ROLE_MONITOR && !is_runnable)
		return refuse(contract, subject->name, "is not a program: it has no entry point");
	if (subject->role == ROLE_MONITOR && subject->file->mode != 0755)
		return refuse(contract, subject->name, "is not executable (mode %04o)", subject->file->mode);
	if (subject->role == ROLE_LOADER && !elf->is_executable_dyn)
		return refuse(contract, subject->name,
			      "is not an executable shared object (ET_DYN with an entry point)");
	if (subject->role == ROLE_LOADER && subject->file->mode != 0755)
		return find(contract, subject->name, "is not executable (mode %04o)", subject->file->mode);
	return 0;
}

static int elf_check(const struct contract *contract, const struct subject *subject, const struct kt_elf *elf)
{
	int r = role_check(contract, subject, elf);

	if (r == 0)
		r = interpreter_check(contract, subject, elf);
	if (r == 0)
		r = runpath_check(contract, subject, elf);
	return r < 0 ? r : needed_check(contract, subject, elf);
}

/* Where an ELF file is expected: what is run, or loaded by its name. Elsewhere, as in a debugger's data or a compiler's
 * library of objects, the magic number promises nothing. */
static bool is_expected(const struct subject *subject)
{
	const char *slash = strrchr(subject->name, '/');
	const char *name = slash ? slash + 1 : subject->name;
	size_t length = strlen(name);

	return subject->role == ROLE_MONITOR || subject->role == ROLE_LOADER || subject->file->mode == 0755 ||
	       strstr(name, ".so.") || (length > 3 && strcmp(name + length - 3, ".so") == 0) ||
	       (length > 3 && strcmp(name + length - 3, ".km") == 0);
}

/* Where debuggers look: beside the file or in a folder of its name, and by its build id (gdb, "Separate Debug Files").
 * Nothing is loaded by such a name. */
static bool is_debug_name(const char *name)
{
	static const char *const folders[] = {"debug", ".debug", ".build-id"};
	size_t length = strlen(name);

	if (length > 6 && strcmp(name + length - 6, ".debug") == 0)
		return true;
	for (const char *part = name, *slash; (slash = strchr(part, '/')); part = slash + 1)
		for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
			if (strlen(folders[i]) == (size_t)(slash - part) &&
			    memcmp(part, folders[i], (size_t)(slash - part)) == 0)
				return true;
	return false;
}

static int bytes_check(const struct contract *contract, const struct subject *subject, const void *bytes, size_t size)
{
	struct kt_error mine = {.code = 0};
	char shown[KT_SHOWN_MAX];
	struct kt_elf elf;
	int r = kt_elf_read(bytes, size, &elf, &mine);

	if (r == 0)
		return elf_check(contract, subject, &elf);
	if (subject->role != ROLE_MONITOR && subject->role != ROLE_LOADER && is_debug_name(subject->name) &&
	    kt_elf_is_debug(bytes, size))
		return find(contract, subject->name, "is a separate debug file: it is for debuggers, and never loaded");
	if (!is_expected(subject))
		return find(contract, subject->name, "%s", mine.text);
	return kt_fail(contract->err, mine.code, mine.reason, "%s: %s", kt_path_show(subject->name, shown), mine.text);
}

/* Mapped, not read: of a library of 100 MB a few pages count. The files were read to their end just before, by their
 * verifier, and nobody else writes where they are: so no page is missing that would raise SIGBUS. */
static int file_check(const struct contract *contract, const struct subject *subject, int dir)
{
	struct stat info;
	KT_OWN(kt_close_fd) int fd = kt_fs_open_file(dir, subject->file->path, &info);
	char magic[4] = "", shown[KT_SHOWN_MAX];
	ssize_t got = fd < 0 ? -1 : pread(fd, magic, sizeof(magic), 0);

	(void)kt_path_show(subject->name, shown);
	if (got < 0)
		return kt_fail_errno(contract->err, fd < 0 ? -fd : errno, KT_REASON_IO_ERROR, "cannot read %s", shown);
	if (!kt_elf_is_elf(magic, (size_t)got)) {
		if (subject->role == ROLE_MONITOR || subject->role == ROLE_LOADER)
			return refuse(contract, subject->name, "is not an ELF file");
		return 0;
	}

	void *bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (bytes == MAP_FAILED)
		return kt_fail_errno(contract->err, errno, KT_REASON_IO_ERROR, "cannot map %s", shown);

	int r = bytes_check(contract, subject, bytes, (size_t)info.st_size);

	(void)munmap(bytes, (size_t)info.st_size);
	return r;
}

/* ---- trees ---- */

static enum role role_of(const char *name)
{
	if (strcmp(name, "bin/km") == 0)
		return ROLE_MONITOR;
	if (strcmp(name, "runtime/libc.so") == 0)
		return ROLE_LOADER;
	return strncmp(name, "bin/", 4) == 0 || strncmp(name, "tools/", 6) == 0 || strncmp(name, "shim/", 5) == 0 ?
		       ROLE_TOOL :
		       ROLE_GUEST;
}

static int files_check(const struct contract *contract, const char *folder, const struct kt_filelist *list, int dir)
{
	const struct kt_file *files = list->files;

	for (size_t i = 0; i < list->count; i++) {
		struct subject subject = {.file = &files[i]};

		if (files[i].link)
			continue;
		(void)snprintf(subject.name, sizeof(subject.name), "%s%s%s", folder, *folder ? "/" : "", files[i].path);
		subject.role = *folder ? role_of(subject.name) : ROLE_GUEST;

		int r = file_check(contract, &subject, dir);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Links that programs are linked against by name: C++ libraries of Alpine want the first, `-lc` the second. */
static int links_check(const struct contract *contract)
{
	static const struct {
		const char *component, *target, *link;
		bool is_optional; /* right where it is, but it may be missing */
	} rows[] = {
		{"runtime", "libc.so", "libc.musl-x86_64.so.1", false},
		{"runtime", "libruntime.a", "libc.a", false},
		{"lib", "libruntime.a", "libc.a", false},
		{"runtime", "libc.so", "ld-linux-x86-64.so.2", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct kt_component *component = kt_manifest_component(contract->manifest, rows[i].component);
		const struct kt_file *link;
		char name[64];

		if (!component || !kt_filelist_find(&component->list, rows[i].target))
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s", rows[i].component, rows[i].link);
		link = kt_filelist_find(&component->list, rows[i].link);
		if (!link && rows[i].is_optional)
			continue;
		if (!link || !link->link ||
		    strcmp(link->link + (strncmp(link->link, "./", 2) == 0 ? 2 : 0), rows[i].target) != 0)
			return refuse(contract, name,
				      "must be a link to %s, which lies beside it (kontain-pack --make-links makes it)",
				      rows[i].target);
	}
	return 0;
}

/* Texts are made in a struct of our own: a caller may pass none. */
static int answer(int r, const struct kt_error *mine, struct kt_error *err)
{
	return r < 0 ? kt_fail(err, mine->code, mine->reason, "%s", mine->text) : 0;
}

int kt_elf_check(const struct kt_manifest *manifest, const int component_fd[], bool strict, kt_elf_finding *found,
		 void *context, struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	const struct contract contract = {manifest, strict, found, context, &mine};
	int r = links_check(&contract);

	for (size_t i = 0; r == 0 && i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];
		const char *folder = kt_component_source(component->name);

		if (component_fd[i] >= 0)
			r = files_check(&contract, strcmp(folder, ".") == 0 ? "" : folder, &component->list,
					component_fd[i]);
	}
	return answer(r, &mine, err);
}

static void text_add(struct kt_digest *digest, const char *text)
{
	kt_digest_add(digest, text, strlen(text) + 1); /* the NUL keeps neighbours apart */
}

static bool is_upgraded_alone(const char *name)
{
	return strcmp(name, "km") == 0 || strcmp(name, KT_COMPONENT_TOOLS) == 0 ||
	       strcmp(name, KT_COMPONENT_EXTRAS) == 0;
}

int kt_elf_surroundings(const struct kt_manifest *manifest, char ret_hex[KT_DIGEST_HEX])
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();

	if (!digest)
		return -ENOMEM;
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];

		text_add(digest, component->name);
		/* A path may lead through versions/: to libraries. Through those of the others it could at most be reported as not
		 * brought, which refuses nothing of a component that is there already. */
		if (!is_upgraded_alone(component->name))
			text_add(digest, component->version);
		for (size_t k = 0; k < component->list.count; k++) {
			text_add(digest, component->list.files[k].path);
			text_add(digest, component->list.files[k].link ? component->list.files[k].link : "");
		}
	}
	kt_digest_take(digest, ret_hex);
	return 0;
}
