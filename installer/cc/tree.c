/* A file that the tree lacks would be taken from the host, silently, and glibc's start files before musl's libc make a
 * program that crashes in somebody's pod. So what a link needs is looked for first. */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/dir.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

#define GCC_FOLDERS "alpine-lib/usr/lib/gcc"
#define GCC_FILE    "alpine-lib/gcc-libs-path.txt" /* one line, written by Kontain's own preparation of alpine-lib */
#define PATH_BYTES  4096

/* ---- what a link takes ---- */

/* The start file that gcc(1) takes for it: glibc's and musl's names are the same. */
static const char *start_file(const struct kt_cc_request *request)
{
	bool is_pie = request->pie == KT_CC_PIE || (request->pie == KT_CC_PIE_UNASKED &&
						    request->target == KT_CC_ALPINE && request->kind == KT_CC_DYNAMIC);

	if (request->pie == KT_CC_STATIC_PIE)
		return "alpine-lib/usr/lib/rcrt1.o";
	return is_pie ? "alpine-lib/usr/lib/Scrt1.o" : "alpine-lib/usr/lib/crt1.o";
}

static const char *libc_file(const struct kt_cc_request *request)
{
	static const char *const files[KT_CC_TARGETS][2] = {
		[KT_CC_KONTAIN] = {"runtime/libc.a", "runtime/libc.so"},
		[KT_CC_ALPINE] = {"alpine-lib/usr/lib/libc.a", "alpine-lib/usr/lib/libc.so"},
	};

	return files[request->target][request->kind != KT_CC_STATIC];
}

static int file_check(const struct kt_cc_request *request, const char *file, struct kt_error *err)
{
	char path[PATH_BYTES];

	if (snprintf(path, sizeof(path), "%s/%s", request->tree, file) >= (int)sizeof(path))
		return kt_fail(err, ENAMETOOLONG, KT_REASON_NONE, "--tree: the path is too long");
	if (access(path, R_OK) == 0)
		return 0;
	return kt_fail(err, errno, KT_REASON_NONE,
		       "cannot read %.300s: %s; install a bundle that has it, or name another tree with --tree DIR",
		       path, strerror(errno));
}

/* ---- gcc's folder ---- */

static bool is_folder(const char *tree, const char *folder)
{
	char path[PATH_BYTES];
	struct stat info;

	return snprintf(path, sizeof(path), "%s/alpine-lib/%s", tree, folder) < (int)sizeof(path) &&
	       stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* The file's path is one of the place where alpine-lib was prepared; what counts is where it lies below alpine-lib. */
static int gcc_named(const char *tree, const char *text, char *ret_gcc, size_t size, struct kt_error *err)
{
	const char *below = strstr(text, "usr/lib/gcc/");
	size_t length = below ? strcspn(below, "\r\n") : 0;

	if (below && !strstr(below, "..") && length < size) {
		(void)snprintf(ret_gcc, size, "%.*s", (int)length, below);
		if (is_folder(tree, ret_gcc))
			return 0;
	}
	return kt_fail(err, ENOENT, KT_REASON_NONE,
		       "%.200s/" GCC_FILE " names \"%.*s\", which is not a folder below alpine-lib: correct the file, "
		       "or remove it",
		       tree, (int)strcspn(text, "\r\n"), text);
}

struct newest {
	char name[256];
};

static int version_visit(void *context, int dir, const char *name)
{
	struct newest *newest = context;
	char start[300];

	(void)snprintf(start, sizeof(start), "%.255s/crtbegin.o", name);
	if (faccessat(dir, start, R_OK, 0) == 0 && strverscmp(name, newest->name) > 0)
		(void)snprintf(newest->name, sizeof(newest->name), "%.255s", name);
	return 0;
}

static int triple_visit(void *context, int dir, const char *name)
{
	struct kt_cc_tree *tree = context;
	struct newest newest = {.name = ""};
	char found[sizeof(tree->gcc)];

	(void)kt_each_entry(dir, name, version_visit, &newest);
	if (!newest.name[0] ||
	    snprintf(found, sizeof(found), "usr/lib/gcc/%s/%s", name, newest.name) >= (int)sizeof(found))
		return 0;
	/* more than one triple: by name, so that it does not depend on the order of the folder */
	if (!tree->gcc[0] || strcmp(found, tree->gcc) < 0)
		memcpy(tree->gcc, found, sizeof(found));
	return 0;
}

static int gcc_find(const char *tree, struct kt_cc_tree *ret_tree, struct kt_error *err)
{
	char path[PATH_BYTES];
	KT_OWN(kt_free_mem) char *text = NULL;
	KT_OWN(kt_close_fd) int dir = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	size_t size = 0;

	(void)snprintf(path, sizeof(path), "%s/" GCC_FILE, tree);
	if (access(path, F_OK) == 0) {
		int r = kt_fs_read_all(AT_FDCWD, path, PATH_BYTES, &text, &size, err);

		return r < 0 ? r : gcc_named(tree, text, ret_tree->gcc, sizeof(ret_tree->gcc), err);
	}
	if (dir >= 0) {
		KT_OWN(kt_close_fd) int folders = openat(dir, GCC_FOLDERS, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (folders >= 0)
			(void)kt_each_entry(folders, ".", triple_visit, ret_tree);
	}
	return 0;
}

int kt_cc_tree_look(const struct kt_cc_request *request, struct kt_cc_tree *ret_tree, struct kt_error *err)
{
	int r = 0;

	ret_tree->gcc[0] = '\0';
	if (kt_cc_links(request) && !request->has_no_libc)
		r = file_check(request, libc_file(request), err);
	if (r == 0 && kt_cc_links(request) && !request->has_no_start)
		r = file_check(request, "alpine-lib/usr/lib/crti.o", err);
	if (r == 0 && kt_cc_links(request) && !request->has_no_start && request->kind != KT_CC_SHARED)
		r = file_check(request, start_file(request), err);
	return r < 0 ? r : gcc_find(request->tree, ret_tree, err);
}

/* ---- the compiler ---- */

static bool is_program(const char *path)
{
	struct stat info;

	return access(path, X_OK) == 0 && stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

static bool program_find(const char *name, char *ret_path, size_t size)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return snprintf(ret_path, size, "%s", name) < (int)size && is_program(ret_path);
	for (const char *entry = path ? path : "/usr/bin:/bin"; *entry;) {
		int length = (int)strcspn(entry, ":");

		if (snprintf(ret_path, size, "%.*s/%s", length ? length : 1, length ? entry : ".", name) < (int)size &&
		    is_program(ret_path))
			return true;
		entry += length + (entry[length] == ':');
	}
	return false;
}

int kt_cc_find_compiler(const struct kt_cc_request *request, char *ret_path, size_t size, struct kt_error *err)
{
	static const char *const names[2][2] = {{"gcc", "clang"}, {"g++", "clang++"}};
	const char *variable = request->is_cxx ? "KONTAIN_CXX" : "KONTAIN_CC";
	const char *said = getenv(variable), *slash = said ? strrchr(said, '/') : NULL;

	if (said && *said) {
		if (strncmp(slash ? slash + 1 : said, "kontain-", 8) == 0)
			return kt_fail(err, ELOOP, KT_REASON_NONE,
				       "%s names \"%.200s\": it must name the host's compiler, not this wrapper",
				       variable, said);
		if (program_find(said, ret_path, size))
			return 0;
		return kt_fail(err, ENOENT, KT_REASON_NONE,
			       "%s names \"%.200s\", which is not a program in PATH: name one, or unset it", variable,
			       said);
	}
	for (size_t i = 0; i < 2; i++)
		if (program_find(names[request->is_cxx][i], ret_path, size))
			return 0;
	return kt_fail(err, ENOENT, KT_REASON_NONE,
		       "no compiler: neither %s nor %s is in PATH; install one (Debian: apt-get install %s) or name it "
		       "with %s",
		       names[request->is_cxx][0], names[request->is_cxx][1], names[request->is_cxx][0], variable);
}
