/* The loader's rules, on files instead of a process: musl looks in the RUNPATH of who needs a library, then in /lib and
 * /usr/lib, and answers for libc's own names by itself. Links on the way are needed as much as what they lead to. */
#include "closure.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/elf.h"
#include "kontain/contract/paths.h"

#define PATH_BYTES  4096
#define LINKS_MAX   40  /* what Linux follows (path_resolution(7)) */
#define DEPTH_MAX   128 /* of libraries that need libraries; a browser has some 12 */
#define LIBRARIES   KT_ROOT "/alpine-lib"
#define ET_DYN_TYPE 3

static const char loader[] = "lib/ld-musl-x86_64.so.1";

struct closure {
	int dir;
	const struct kt_filelist *list;
	bool *taken;
	bool *done;             /* owned: its needs are in */
	size_t path[DEPTH_MAX]; /* from the first library to the one that is looked at */
	size_t depth;
	struct kt_error *err;
};

/* ---- a file's bytes ---- */

struct mapped {
	void *bytes;
	size_t size;
};

static void mapped_done(struct mapped *mapped)
{
	if (mapped->bytes)
		(void)munmap(mapped->bytes, mapped->size);
	mapped->bytes = NULL;
}

static int file_map(int dir, const char *path, struct mapped *ret_mapped)
{
	struct stat info;
	KT_OWN(kt_close_fd) int fd = kt_fs_open_file(dir, path, &info);

	if (fd < 0)
		return fd;
	ret_mapped->size = (size_t)info.st_size;
	if (ret_mapped->size == 0)
		return 0;
	ret_mapped->bytes = mmap(NULL, ret_mapped->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (ret_mapped->bytes != MAP_FAILED)
		return 0;
	ret_mapped->bytes = NULL;
	return -errno;
}

static int refuse(const struct closure *closure, const char *path, const char *format, const char *detail)
{
	char text[512], shown[KT_SHOWN_MAX];

	/* the formats are ours, with one %s each */
	(void)snprintf(text, sizeof(text), format, detail);
	return kt_fail(closure->err, ENOEXEC, KT_REASON_ELF_INVALID, "%s %s", kt_path_show(path, shown), text);
}

/* A text that tells ld which libraries are meant: ld(1), "Implicit Linker Scripts". */
static bool is_linker_script(const struct mapped *mapped)
{
	static const char *const words[] = {"GROUP", "INPUT", "OUTPUT_FORMAT"};
	size_t size = mapped->size < 4096 ? mapped->size : 4096;

	for (size_t i = 0; mapped->bytes && i < sizeof(words) / sizeof(words[0]); i++)
		if (memmem(mapped->bytes, size, words[i], strlen(words[i])))
			return true;
	return false;
}

/* strings of ret_elf point into ret_mapped */
static int elf_take(const struct closure *closure, int dir, const char *path, struct mapped *ret_mapped,
		    struct kt_elf *ret_elf)
{
	char shown[KT_SHOWN_MAX];
	int r = file_map(dir, path, ret_mapped);

	(void)kt_path_show(path, shown);
	if (r < 0)
		return kt_fail_errno(closure->err, -r, KT_REASON_IO_ERROR, "cannot read %s", shown);
	if (!ret_mapped->bytes || !kt_elf_is_elf(ret_mapped->bytes, ret_mapped->size))
		return is_linker_script(ret_mapped) ?
			       refuse(closure, path,
				      "is a linker script%s: no program loads it, name the library it is for", "") :
			       refuse(closure, path, "is not an ELF file%s", "");
	r = kt_elf_read(ret_mapped->bytes, ret_mapped->size, ret_elf, closure->err);
	return r < 0 ? kt_fail_prefix(closure->err, "%s", shown) : 0;
}

/* ---- paths of the tree ---- */

static ssize_t find(const struct closure *closure, const char *path)
{
	const struct kt_file *file = kt_filelist_find(closure->list, path);

	return file ? file - closure->list->files : -1;
}

static void part_leave(char *at)
{
	char *slash = strrchr(at, '/');

	*(slash ? slash : at) = '\0';
}

/* The file that a path leads to, or -1. takes: the links on the way are taken. */
static ssize_t lead(const struct closure *closure, const char *path, bool takes)
{
	char at[PATH_BYTES] = "", rest[2 * PATH_BYTES], next[2 * PATH_BYTES];
	unsigned links = 0;

	if (snprintf(rest, sizeof(rest), "%s", path) >= PATH_BYTES)
		return -1;
	for (const char *part = rest; *part;) {
		size_t length = strcspn(part, "/"), used = strlen(at);
		const char *behind = part + length + (part[length] == '/');
		const struct kt_file *file;
		ssize_t index;

		if (length == 0 || (length == 1 && part[0] == '.')) {
			part = behind;
			continue;
		}
		if (length == 2 && part[0] == '.' && part[1] == '.') {
			part_leave(at);
			part = behind;
			continue;
		}
		if (used + length + 2 > sizeof(at))
			return -1;
		(void)snprintf(at + used, sizeof(at) - used, "%s%.*s", used ? "/" : "", (int)length, part);
		index = find(closure, at);
		if (index < 0) {
			part = behind;
			continue;
		}
		file = &closure->list->files[index];
		if (!file->link)
			return *behind ? -1 : index;
		if (takes)
			closure->taken[index] = true;
		if (++links > LINKS_MAX)
			return -1;
		part_leave(at);
		if (file->link[0] == '/') {
			if (strncmp(file->link, LIBRARIES "/", strlen(LIBRARIES "/")) != 0)
				return -1;
			at[0] = '\0';
		}
		if (snprintf(next, sizeof(next), "%s/%s", file->link + (file->link[0] == '/' ? strlen(LIBRARIES) : 0),
			     behind) >= PATH_BYTES)
			return -1;
		memcpy(rest, next, sizeof(rest));
		part = rest;
	}
	return -1;
}

/* ---- who needs what ---- */

/* Names that musl's loader answers for itself, whatever file it was started from (musl, ldso/dynlink.c). */
static bool is_loaders_own(const char *library)
{
	static const char *const names[] = {"libc.",  "libpthread.", "librt.",  "libm.",
					    "libdl.", "libutil.",    "libxnet."};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strncmp(library, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool is_glibc(const char *library)
{
	return strcmp(library, "libc.so.6") == 0 || strncmp(library, "ld-linux-", 9) == 0;
}

/* Where in the tree does an absolute path or a RUNPATH's entry lead? NULL: not into it. */
static const char *below_tree(const char *path)
{
	if (strncmp(path, LIBRARIES "/", strlen(LIBRARIES "/")) == 0)
		return path + strlen(LIBRARIES "/");
	return strncmp(path, "/lib", 4) == 0 || strncmp(path, "/usr/lib", 8) == 0 ? path + 1 : NULL;
}

static ssize_t entry_find(const struct closure *closure, const char *who, const char *entry, size_t length,
			  const char *library)
{
	static const char origin[] = "$ORIGIN";
	const char *slash = who ? strrchr(who, '/') : NULL;
	char path[PATH_BYTES];

	if (length >= sizeof(path))
		return -1;
	(void)snprintf(path, sizeof(path), "%.*s", (int)length, entry);
	if (who && strncmp(path, origin, strlen(origin)) == 0) {
		if (snprintf(path, sizeof(path), "%.*s%.*s/%s", slash ? (int)(slash - who) : 0, who,
			     (int)(length - strlen(origin)), entry + strlen(origin), library) >= (int)sizeof(path))
			return -1;
		return lead(closure, path, true);
	}
	if (!below_tree(path))
		return -1;

	char inside[2 * PATH_BYTES];

	(void)snprintf(inside, sizeof(inside), "%s/%s", below_tree(path), library);
	return lead(closure, inside, true);
}

/* who: its path in the tree; NULL for a program outside. musl also looks in the RUNPATHs of who needs `who`; the
 * contract asks that a library finds its own by itself. */
static ssize_t library_find(const struct closure *closure, const char *who, const struct kt_elf *elf,
			    const char *library)
{
	static const char *const folders[] = {"lib", "usr/lib"};
	char path[PATH_BYTES];
	ssize_t found;

	if (strchr(library, '/'))
		return below_tree(library) ? lead(closure, below_tree(library), true) : -1;
	for (const char *entry = elf->runpath; entry && *entry;) {
		size_t length = strcspn(entry, ":");

		found = entry_find(closure, who, entry, length, library);
		if (found >= 0)
			return found;
		entry += length + (entry[length] == ':');
	}
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (snprintf(path, sizeof(path), "%s/%s", folders[i], library) >= (int)sizeof(path))
			return -1;
		found = lead(closure, path, true);
		if (found >= 0)
			return found;
	}
	return -1;
}

static int library_visit(struct closure *closure, size_t index);

static int cycle_refuse(const struct closure *closure, size_t index)
{
	char circle[300] = "";
	size_t from = 0, used = 0;

	while (closure->path[from] != index)
		from++;
	for (size_t i = from; i < closure->depth && used < sizeof(circle); i++)
		used += (size_t)snprintf(circle + used, sizeof(circle) - used, "%s needs ",
					 closure->list->files[closure->path[i]].path);
	return kt_fail(closure->err, ELOOP, KT_REASON_ELF_INVALID,
		       "libraries need each other in a circle: %s%s; link one of them without the other", circle,
		       closure->list->files[index].path);
}

static int needs_visit(struct closure *closure, const char *who, const char *shown, const struct kt_elf *elf,
		       bool has_loader)
{
	for (size_t i = 0; i < elf->needed_count; i++) {
		const char *library = elf->needed[i];
		ssize_t found;
		int r;

		if (is_glibc(library))
			return refuse(closure, shown, "needs %s: it is linked with glibc, link it with kontain-gcc",
				      library);
		found = library_find(closure, who, elf, library);
		if (found < 0 && has_loader && is_loaders_own(library))
			continue;
		if (found < 0)
			return refuse(
				closure, shown,
				"needs the library %s, which is neither in its RUNPATH nor in lib or usr/lib of the "
				"source: add the package or folder that has it",
				library);
		r = library_visit(closure, (size_t)found);
		if (r < 0)
			return r;
	}
	return 0;
}

static int library_visit(struct closure *closure, size_t index)
{
	const char *path = closure->list->files[index].path;
	KT_OWN(mapped_done) struct mapped mapped = {.bytes = NULL};
	struct kt_elf elf;
	int r;

	for (size_t i = 0; i < closure->depth; i++)
		if (closure->path[i] == index)
			return cycle_refuse(closure, index);
	if (closure->done[index])
		return 0;
	if (closure->depth == DEPTH_MAX)
		return refuse(closure, path, "is needed by too many libraries one behind the other%s", "");
	closure->taken[index] = true;
	r = elf_take(closure, closure->dir, path, &mapped, &elf);
	if (r == 0 && elf.type != ET_DYN_TYPE)
		r = refuse(closure, path, "is not a shared library%s", "");
	if (r < 0)
		return r;
	closure->path[closure->depth++] = index;
	r = needs_visit(closure, path, path, &elf, false);
	closure->depth--;
	closure->done[index] = true;
	return r;
}

/* The loader that a program names: of the runtime, of this tree, or of a host. */
static int interpreter_take(struct closure *closure, const char *path, const char *interpreter)
{
	static const char *const runtimes[] = {KT_ROOT "/runtime/", KT_ROOT "/versions/runtime/",
					       KT_ROOT "/current/runtime/"};
	ssize_t found;

	for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++)
		if (strncmp(interpreter, runtimes[i], strlen(runtimes[i])) == 0)
			return 0;
	if (!strstr(interpreter, "ld-musl-") || !below_tree(interpreter))
		return refuse(closure, path, "is a program of a host, its interpreter is %s: link it with kontain-gcc",
			      interpreter);
	found = lead(closure, below_tree(interpreter), true);
	if (found < 0)
		return refuse(closure, path, "has the interpreter %s, which is not in the source: add the package musl",
			      interpreter);
	closure->taken[found] = true;
	return 0;
}

static int program_visit(struct closure *closure, const char *path)
{
	KT_OWN(mapped_done) struct mapped mapped = {.bytes = NULL};
	struct kt_elf elf;
	int r = elf_take(closure, AT_FDCWD, path, &mapped, &elf);

	if (r == 0 && elf.type != ET_DYN_TYPE && elf.type != 2 /* ET_EXEC */)
		r = refuse(closure, path, "is neither a program nor a shared library%s", "");
	if (r == 0 && elf.interpreter)
		r = interpreter_take(closure, path, elf.interpreter);
	return r < 0 ? r : needs_visit(closure, NULL, path, &elf, true);
}

/* ---- what is opened by name ---- */

static bool is_library_name(const char *path)
{
	size_t length = strlen(path);

	return strstr(path, ".so.") || (length > 3 && strcmp(path + length - 3, ".so") == 0);
}

static int also_visit(struct closure *closure, const char *glob)
{
	size_t count = 0;

	for (size_t i = 0; i < closure->list->count; i++) {
		const char *path = closure->list->files[i].path, *slash = strrchr(path, '/');
		ssize_t found;
		int r;

		if (fnmatch(glob, strchr(glob, '/') || !slash ? path : slash + 1, 0) != 0)
			continue;
		count++;
		found = lead(closure, path, true);
		if (found < 0)
			return refuse(closure, path, "is a link to %s, which is not in the source",
				      closure->list->files[i].link ? closure->list->files[i].link : "");
		closure->taken[found] = true;
		r = is_library_name(path) ? library_visit(closure, (size_t)found) : 0;
		if (r < 0)
			return r;
	}
	if (count == 0)
		return kt_fail(closure->err, ENOENT, KT_REASON_BUNDLE_INVALID,
			       "--also %.200s: nothing below lib or usr/lib of the source has such a name", glob);
	return 0;
}

/* What builds programs or boots a machine, and no payload opens. */
static bool is_for_builders(const char *path)
{
	static const char *const folders[] = {"apk",       "firmware", "modules", "modules-load.d", "include",
					      "pkgconfig", "plugin",   "cmake",   "bfd-plugins",    "sysctl.d"};

	for (const char *part = path, *slash; (slash = strchr(part, '/')); part = slash + 1)
		for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
			if (strlen(folders[i]) == (size_t)(slash - part) &&
			    memcmp(folders[i], part, (size_t)(slash - part)) == 0)
				return true;
	return false;
}

static bool leads_somewhere(const struct closure *closure, const char *path)
{
	ssize_t found = lead(closure, path, false);
	struct stat info;

	return found >= 0 ? closure->taken[found] : fstatat(closure->dir, path, &info, 0) == 0 && S_ISDIR(info.st_mode);
}

static void all_take(struct closure *closure)
{
	for (size_t i = 0; i < closure->list->count; i++)
		closure->taken[i] = !closure->list->files[i].link && !is_for_builders(closure->list->files[i].path);
	for (size_t i = 0; i < closure->list->count; i++) {
		const struct kt_file *file = &closure->list->files[i];

		if (file->link)
			closure->taken[i] = !is_for_builders(file->path) && leads_somewhere(closure, file->path);
	}
}

/* ---- one SONAME ---- */

/* The loader finds a library that is loaded already by this name: which of two files it is depends on who came first.
 */
static int sonames_check(const struct closure *closure)
{
	const struct kt_file *files = closure->list->files;
	size_t count = 0;
	struct named {
		size_t index;
		char name[256];
	} *named = calloc(closure->list->count + 1, sizeof(*named));
	int r = named ? 0 : kt_fail(closure->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");

	for (size_t i = 0; r == 0 && i < closure->list->count; i++) {
		KT_OWN(mapped_done) struct mapped mapped = {.bytes = NULL};
		const char *slash = strrchr(files[i].path, '/');
		int folder = slash ? (int)(slash - files[i].path) : 0;
		struct kt_error ignored;
		struct kt_elf elf;

		/* the folders that a loader searches; what lies deeper is opened by its path */
		if (files[i].link || !is_library_name(files[i].path) ||
		    !((folder == 3 && strncmp(files[i].path, "lib", 3) == 0) ||
		      (folder == 7 && strncmp(files[i].path, "usr/lib", 7) == 0)))
			continue;
		if (file_map(closure->dir, files[i].path, &mapped) < 0 || !mapped.bytes ||
		    kt_elf_read(mapped.bytes, mapped.size, &elf, &ignored) < 0 || !elf.soname)
			continue;
		(void)snprintf(named[count].name, sizeof(named[count].name), "%.255s", elf.soname);
		named[count].index = i;
		for (size_t k = 0; k < count && r == 0; k++)
			if (strcmp(named[k].name, named[count].name) == 0 &&
			    (closure->taken[named[k].index] || closure->taken[i]))
				r = kt_fail(closure->err, EEXIST, KT_REASON_ELF_INVALID,
					    "%s and %s have one SONAME, %s: which of them is loaded is chance, remove "
					    "one of "
					    "them from the source",
					    files[named[k].index].path, files[i].path, named[k].name);
		count++;
	}
	free(named);
	return r;
}

int kt_closure_make(int dir, const struct kt_filelist *list, const struct kt_closure_request *request, bool ret_taken[],
		    struct kt_error *err)
{
	struct kt_error mine = {.code = 0};
	KT_OWN(kt_free_mem) bool *done = calloc(list->count + 1, sizeof(*done));
	struct closure closure = {.dir = dir, .list = list, .taken = ret_taken, .done = done, .err = &mine};
	bool has_any = false;
	ssize_t found;
	int r = done ? 0 : kt_fail(&mine, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");

	memset(ret_taken, 0, list->count * sizeof(*ret_taken));
	if (request->all)
		all_take(&closure);
	for (size_t i = 0; r == 0 && i < request->program_count; i++)
		r = program_visit(&closure, request->programs[i]);
	for (size_t i = 0; r == 0 && i < request->also_count; i++)
		r = also_visit(&closure, request->also[i]);
	for (size_t i = 0; i < list->count; i++)
		has_any = has_any || ret_taken[i];
	/* who needs any library needs a loader, and libc by the name that Alpine's libraries know */
	found = has_any ? lead(&closure, loader, true) : -1;
	if (found >= 0)
		ret_taken[found] = true;
	if (has_any)
		(void)lead(&closure, "lib/libc.musl-x86_64.so.1", true);
	if (r == 0)
		r = sonames_check(&closure);
	if (r == 0 && !has_any)
		r = kt_fail(&mine, ENOENT, KT_REASON_BUNDLE_INVALID,
			    "no library of the source is needed: nothing is made");
	return r < 0 ? kt_fail(err, mine.code, mine.reason, "%s", mine.text) : 0;
}
