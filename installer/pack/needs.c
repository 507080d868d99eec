/* Paths are those that a process in the image would use: the kernel resolves them with the image's root as its own
 * (RESOLVE_IN_ROOT, openat2(2)), links and all. */
#include "needs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kontain/base/array.h"
#include "kontain/base/own.h"
#include "kontain/bundle/elf.h"
#include "kontain/contract/paths.h"

#define PATH_BYTES 4096

const char kt_needs_help[] = "usage: kontain-pack needs ROOT PROGRAM...\n"
			     "\n"
			     "Has the root of an image all that these programs of it need? Prints each interpreter and "
			     "library, and where it\n"
			     "was found. PROGRAM is a path in the root.\n"
			     "\n"
			     "exit status: 0 all is there; 1 the first that is not, one line names it; 2 usage";

/* What is to be looked at, and was: grows while it is walked. */
struct needs {
	int root;
	struct need {
		char *path;    /* owned */
		char *runpath; /* owned; NULL: none */
		size_t by;     /* who needed it first; itself for the program */
	} * list;              /* owned */
	size_t count;
	size_t room;
	struct kt_error *err;
};

static void needs_done(struct needs *needs)
{
	for (size_t i = 0; i < needs->count; i++) {
		free(needs->list[i].path);
		free(needs->list[i].runpath);
	}
	free(needs->list);
	kt_close_fd(&needs->root);
}

static int root_open(int root, const char *path)
{
	struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_IN_ROOT};

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

static bool is_file(int root, const char *path)
{
	KT_OWN(kt_close_fd) int fd = root_open(root, path);
	struct stat info;

	return fd >= 0 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

static int path_add(struct needs *needs, const char *path, size_t by)
{
	for (size_t i = 0; i < needs->count; i++)
		if (strcmp(needs->list[i].path, path) == 0)
			return 0;
	if (kt_array_reserve(&needs->list, needs->count, &needs->room, sizeof(*needs->list)) < 0)
		return kt_fail(needs->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	needs->list[needs->count] = (struct need){.path = strdup(path), .by = by};
	if (!needs->list[needs->count++].path)
		return kt_fail(needs->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	return 0;
}

static int lacks(const struct needs *needs, const char *who, const char *what, const char *name)
{
	char shown[KT_SHOWN_MAX], shown_name[KT_SHOWN_MAX];

	return kt_fail(needs->err, ENOENT, KT_REASON_ELF_INVALID,
		       "%s needs the %s %s, which is not in the image: add it, or link the payload -static",
		       kt_path_show(who, shown), what, kt_path_show(name, shown_name));
}

/* A folder of a RUNPATH as a path in the root; false: none that holds for every process. */
static bool folder_print(const char *who, const char *entry, size_t length, char ret_folder[PATH_BYTES])
{
	static const char *const origins[] = {"$ORIGIN", "${ORIGIN}"};
	const char *slash = strrchr(who, '/');

	for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
		size_t size = strlen(origins[i]);

		if (length >= size && memcmp(entry, origins[i], size) == 0)
			return snprintf(ret_folder, PATH_BYTES, "%.*s%.*s", slash ? (int)(slash - who) : 0, who,
					(int)(length - size), entry + size) < PATH_BYTES;
	}
	return length > 0 && entry[0] == '/' &&
	       snprintf(ret_folder, PATH_BYTES, "%.*s", (int)length, entry) < PATH_BYTES;
}

/* In the folders of a list; *ret_path is where. */
static bool list_find(const struct needs *needs, const char *who, const char *list, const char *library,
		      char ret_path[2 * PATH_BYTES])
{
	for (const char *entry = list; *entry;) {
		size_t length = strcspn(entry, ":");
		char folder[PATH_BYTES];

		if (folder_print(who, entry, length, folder)) {
			(void)snprintf(ret_path, 2 * PATH_BYTES, "%s/%s", folder, library);
			if (is_file(needs->root, ret_path))
				return true;
		}
		entry += length + (entry[length] == ':');
	}
	return false;
}

/* As musl's loader (ldso/dynlink.c): in the RUNPATH of who needs it, of who needs that, and so on, then its own. */
static bool library_find(const struct needs *needs, size_t who, const char *library, char ret_path[2 * PATH_BYTES])
{
	if (strchr(library, '/')) {
		(void)snprintf(ret_path, 2 * PATH_BYTES, "%s", library);
		return is_file(needs->root, ret_path);
	}
	for (size_t at = who;; at = needs->list[at].by) {
		const struct need *need = &needs->list[at];

		if (need->runpath && list_find(needs, need->path, need->runpath, library, ret_path))
			return true;
		if (need->by == at)
			break;
	}
	return list_find(needs, "/", "/lib:/usr/local/lib:/usr/lib", library, ret_path);
}

/* The interpreter of a program answers for musl's libc by whatever name it is asked for. */
static bool is_answered(const char *interpreter, const char *library)
{
	return interpreter && strncmp(library, "libc.", 5) == 0 && strcmp(library, "libc.so.6") != 0;
}

static int elf_visit(struct needs *needs, size_t index, const struct kt_elf *elf, const char *interpreter)
{
	const char *who = needs->list[index].path;
	int r = 0;

	needs->list[index].runpath = elf->runpath ? strdup(elf->runpath) : NULL;
	if (elf->runpath && !needs->list[index].runpath)
		return kt_fail(needs->err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");

	if (elf->interpreter && !is_file(needs->root, elf->interpreter))
		return lacks(needs, who, "interpreter", elf->interpreter);
	if (elf->interpreter)
		printf("%s: interpreter %s\n", who, elf->interpreter);
	for (size_t i = 0; r == 0 && i < elf->needed_count; i++) {
		char path[2 * PATH_BYTES];

		if (library_find(needs, index, elf->needed[i], path)) {
			printf("%s: %s is %s\n", who, elf->needed[i], path);
			r = path_add(needs, path, index);
		} else if (is_answered(interpreter, elf->needed[i])) {
			printf("%s: %s is the interpreter\n", who, elf->needed[i]);
		} else {
			r = lacks(needs, who, "library", elf->needed[i]);
		}
	}
	return r;
}

/* interpreter: the program's, which is the first; its libraries are looked at with it. */
static int file_visit(struct needs *needs, size_t index, char *interpreter)
{
	const char *who = needs->list[index].path;
	KT_OWN(kt_close_fd) int fd = root_open(needs->root, who);
	char shown[KT_SHOWN_MAX];
	struct kt_elf elf;
	struct stat info;
	void *bytes;
	int r;

	(void)kt_path_show(who, shown);
	if (fd < 0 || fstat(fd, &info) < 0)
		return kt_fail_errno(needs->err, errno, KT_REASON_IO_ERROR, "cannot read %s in the image", shown);
	if (!S_ISREG(info.st_mode) || info.st_size == 0)
		return kt_fail(needs->err, EINVAL, KT_REASON_ELF_INVALID, "%s is not an ELF file", shown);
	bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (bytes == MAP_FAILED)
		return kt_fail_errno(needs->err, errno, KT_REASON_IO_ERROR, "cannot map %s", shown);
	r = kt_elf_read(bytes, (size_t)info.st_size, &elf, needs->err);
	if (r < 0)
		r = kt_fail_prefix(needs->err, "%s", shown);
	else if (elf.type != 2 /* ET_EXEC */ && elf.type != 3 /* ET_DYN */)
		r = kt_fail(needs->err, ENOEXEC, KT_REASON_ELF_INVALID, "%s is neither a program nor a library", shown);
	if (r == 0 && index == 0)
		(void)snprintf(interpreter, PATH_BYTES, "%s", elf.interpreter ? elf.interpreter : "");
	if (r == 0)
		r = elf_visit(needs, index, &elf, *interpreter ? interpreter : NULL);
	(void)munmap(bytes, (size_t)info.st_size);
	return r;
}

static int program_check(int root, const char *program, struct kt_error *err)
{
	KT_OWN(needs_done) struct needs needs = {.root = fcntl(root, F_DUPFD_CLOEXEC, 3), .err = err};
	char interpreter[PATH_BYTES] = "";
	int r = path_add(&needs, program, 0);

	for (size_t i = 0; r == 0 && i < needs.count; i++)
		r = file_visit(&needs, i, interpreter);
	return r;
}

int kt_needs_check(const char *root, char *const programs[], size_t count, struct kt_error *err)
{
	KT_OWN(kt_close_fd) int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (fd < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open %.300s", root);
	for (size_t i = 0; r == 0 && i < count; i++)
		r = program_check(fd, programs[i], err);
	return r;
}
