/* kontain-pack: a tree or a release tarball becomes a bundle folder; or a bundle is read as strictly as a node does. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/bundle.h"
#include "kontain/elf.h"
#include "kontain/fs.h"
#include "kontain/own.h"
#include "layout.h"
#include "sources.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };
enum { OPTION_CHECK = 256, OPTION_COMPONENT, OPTION_SELF_TEST, OPTION_EXPECT, OPTION_NO_SELF_TEST, OPTION_STRICT,
       OPTION_HELP };

#define WORDS_MAX 32

/* All strings are argv's. */
struct request {
	const char *version;
	const char *output;
	const char *source;
	const char *check;
	const char *components[KT_COMPONENT_MAX]; /* NAME=V */
	size_t component_count;
	char *self_test; /* "PATH ARGUMENT..." */
	const char *expect;
	bool no_self_test;
	bool strict;
	bool verbose;
};

static const struct option long_options[] = {
	{"version", required_argument, NULL, 'V'},
	{"output", required_argument, NULL, 'o'},
	{"component", required_argument, NULL, OPTION_COMPONENT},
	{"self-test", required_argument, NULL, OPTION_SELF_TEST},
	{"expect", required_argument, NULL, OPTION_EXPECT},
	{"no-self-test", no_argument, NULL, OPTION_NO_SELF_TEST},
	{"check", required_argument, NULL, OPTION_CHECK},
	{"strict", no_argument, NULL, OPTION_STRICT},
	{"help", no_argument, NULL, OPTION_HELP},
	{NULL, 0, NULL, 0},
};

static void help(void)
{
	puts("kontain-pack " KONTAIN_VERSION "\n"
	     "\n"
	     "usage: kontain-pack --version V --output DIR [OPTION]... TREE|RELEASE.tar.gz\n"
	     "       kontain-pack --check DIR [--strict]\n"
	     "\n"
	     "Makes a bundle, the folder that an image carries and a node lands: bin/ (km), runtime/, alpine-lib/, lib/ and\n"
	     "shim/ of a tree or of a release tarball as published, and tests/hello_test.km. The same input gives the same\n"
	     "bytes.\n"
	     "\n"
	     "  --version V            of the bundle: letters, digits, . _ -, at most 63; a version never means two contents\n"
	     "  --output DIR           a new folder\n"
	     "  --component NAME=V     version of km, runtime, alpine-lib, lib or shim (its content's digest)\n"
	     "  --self-test 'PATH ARGUMENT...' --expect LINE\n"
	     "                         what a node runs under the new km, and the first line it must print\n"
	     "                         ('tests/hello_test.km Hello World', 'Hello, world', where that file is)\n"
	     "  --no-self-test         none\n"
	     "  --check DIR            reads a bundle as strictly as a node does; --strict: findings are errors\n"
	     "  -v                     name each finding\n"
	     "  --help\n"
	     "\n"
	     "exit status: 0 done; 1 refused, one line says why; 2 usage");
}

static int usage(const char *what)
{
	fprintf(stderr, "kontain-pack: %s, see --help\n", what);
	return EXIT_USAGE;
}

static int refused(const struct kt_error *err)
{
	const char *name = err->reason == KT_REASON_NONE ? "" : kt_reason_name(err->reason);

	fprintf(stderr, "kontain-pack: %s%s%s\n", name, *name ? ": " : "", err->text);
	return EXIT_REFUSED;
}

/* Takes what is said; a message, or NULL. */
static const char *read_options(int argc, char *argv[], struct request *request)
{
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, "v", long_options, NULL)) != -1) {
		switch (option) {
		case 'V': request->version = optarg; break;
		case 'o': request->output = optarg; break;
		case 'v': request->verbose = true; break;
		case OPTION_CHECK: request->check = optarg; break;
		case OPTION_SELF_TEST: request->self_test = optarg; break;
		case OPTION_EXPECT: request->expect = optarg; break;
		case OPTION_NO_SELF_TEST: request->no_self_test = true; break;
		case OPTION_STRICT: request->strict = true; break;
		case OPTION_HELP:
			help();
			exit(EXIT_DONE);
		case OPTION_COMPONENT:
			if (request->component_count == KT_COMPONENT_MAX)
				return "--component is said more often than there are components";
			request->components[request->component_count++] = optarg;
			break;
		default: return "an option is unknown or has no value";
		}
	}
	if (optind < argc)
		request->source = argv[optind++];
	if (optind < argc)
		return "more than one tree or tarball is named";
	if (request->check)
		return request->source || request->version || request->output ? "--check takes a bundle and nothing else" : NULL;
	if (!request->version || !request->output || !request->source)
		return "--version, --output and a tree or tarball are wanted";
	if (!kt_version_is_valid(request->version))
		return "--version: letters, digits, . _ - are wanted, a letter or digit first, at most 63";
	if (!request->self_test != !request->expect || (request->self_test && request->no_self_test))
		return "--self-test and --expect go together, without --no-self-test";
	return NULL;
}

/* ---- findings ---- */

struct findings {
	size_t count;
	bool verbose;
};

static void finding_take(void *context, const char *path, const char *text)
{
	struct findings *findings = context;

	findings->count++;
	if (findings->verbose)
		printf("finding   %s: %s\n", path, text);
}

static void fds_close(int (*fds)[KT_COMPONENT_MAX])
{
	for (size_t i = 0; i < KT_COMPONENT_MAX; i++)
		kt_close_fd(&(*fds)[i]);
}

static int contract_check(int dir, const struct kt_manifest *manifest, bool strict, struct findings *findings,
			  struct kt_error *err)
{
	KT_OWN(fds_close) int fds[KT_COMPONENT_MAX] = {-1, -1, -1, -1, -1};
	int r;

	for (size_t i = 0; i < manifest->component_count; i++) {
		const char *folder = kt_component_folder(manifest->components[i].name);

		fds[i] = kt_fs_open_beneath(dir, folder, O_RDONLY | O_DIRECTORY, 0);
		if (fds[i] < 0)
			return kt_fail_errno(err, -fds[i], KT_REASON_IO_ERROR, "cannot open %s", folder);
	}
	r = kt_elf_check(manifest, fds, strict, finding_take, findings, err);
	return r < 0 ? r : kt_elf_check_extras(manifest, dir, strict, finding_take, findings, err);
}

/* ---- packing ---- */

static int versions_set(const struct request *request, struct kt_manifest *manifest, struct kt_error *err)
{
	for (size_t i = 0; i < request->component_count; i++) {
		const char *text = request->components[i], *equals = strchr(text, '=');
		struct kt_component *component = NULL;

		for (size_t k = 0; equals && k < manifest->component_count; k++)
			if (strlen(manifest->components[k].name) == (size_t)(equals - text) &&
			    strncmp(manifest->components[k].name, text, (size_t)(equals - text)) == 0)
				component = &manifest->components[k];
		if (!component || !kt_version_is_valid(equals + 1))
			return kt_fail(err, EINVAL, KT_REASON_NONE,
				       "--component %.100s: NAME=VERSION is wanted, of a component that is there", text);
		(void)snprintf(component->version, sizeof(component->version), "%s", equals + 1);
	}
	return 0;
}

static bool has_hello(const struct kt_manifest *manifest)
{
	for (size_t i = 0; i < manifest->extra_count; i++)
		if (strcmp(manifest->extras[i].path, KT_PACK_SELF_TEST) == 0)
			return true;
	return false;
}

static int self_test_set(const struct request *request, struct kt_manifest *manifest, struct kt_error *err)
{
	KT_OWN(kt_free_mem) char *words = strdup(request->self_test ? request->self_test
								     : KT_PACK_SELF_TEST " Hello World");
	size_t count = 0;

	if (request->no_self_test || (!request->self_test && !has_hello(manifest)))
		return 0;
	manifest->self_test_argv = calloc(WORDS_MAX + 1, sizeof(char *));
	manifest->self_test_expect = strdup(request->expect ? request->expect : "Hello, world");
	if (!words || !manifest->self_test_argv || !manifest->self_test_expect)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	for (char *rest = NULL, *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (count == WORDS_MAX)
			return kt_fail(err, E2BIG, KT_REASON_NONE, "--self-test: at most %d words", WORDS_MAX);
		manifest->self_test_argv[count] = strdup(word);
		if (!manifest->self_test_argv[count++])
			return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "out of memory");
	}
	return count > 0 ? 0 : kt_fail(err, EINVAL, KT_REASON_NONE, "--self-test: a path in the bundle is wanted");
}

/* Writes what the reader reads back without complaint, or nothing. */
static int manifest_write(struct kt_place *place, const struct kt_manifest *manifest, struct kt_error *err)
{
	static const struct timespec epoch[2] = {{.tv_sec = 0}, {.tv_sec = 0}};
	KT_OWN(kt_manifest_done) struct kt_manifest read_back = {.component_count = 0};
	KT_OWN(kt_free_mem) char *text = kt_manifest_print(manifest);
	int r;

	if (!text)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "a name in it is no UTF-8, or memory is gone");
	r = kt_manifest_parse(text, strlen(text), &read_back, err);
	if (r < 0)
		return r;

	KT_OWN(kt_close_fd) int fd = kt_place_file(place, KT_MANIFEST_NAME, false, err);

	if (fd < 0)
		return fd;
	r = kt_place_write(place, fd, KT_MANIFEST_NAME, text, strlen(text), err);
	if (r == 0 && (futimens(fd, epoch) < 0 || futimens(place->dir, epoch) < 0 || syncfs(fd) < 0))
		r = kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot finish " KT_MANIFEST_NAME);
	return r;
}

static void summary_print(const struct request *request, const struct kt_manifest *manifest, const struct kt_place *place,
			  size_t findings)
{
	printf("bundle     %s, version %s\n", request->output, manifest->version);
	for (size_t i = 0; i < manifest->component_count; i++)
		printf("%-10s %s, %zu files\n", manifest->components[i].name, manifest->components[i].version,
		       manifest->components[i].file_count);
	if (manifest->self_test_argv)
		printf("self-test  %s\n", manifest->self_test_argv[0]);
	printf("size       %" PRIu64 " KiB\n", place->byte_count >> 10);
	if (place->left_out > 0)
		printf("left out   %zu entries that no bundle takes, the first in %s\n", place->left_out,
		       place->left_out_first);
	if (findings > 0)
		printf("findings   %zu, none of them in the way (-v names them)\n", findings);
}

static int pack(const struct request *request, struct kt_error *err)
{
	KT_OWN(kt_place_done) struct kt_place place = {.dir = -1, .parent = -1};
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	struct findings findings = {.verbose = request->verbose};
	struct stat info;
	int r;

	if (stat(request->source, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_NONE, "cannot open %.300s", request->source);
	r = kt_place_open(request->output, &place, err);
	if (r < 0)
		return r;
	r = S_ISDIR(info.st_mode) ? kt_tree_take(request->source, &place, err)
				  : kt_archive_take(request->source, &place, err);
	if (r == 0)
		r = kt_survey(&place, &manifest, err);
	if (r < 0)
		return kt_fail_prefix(err, "%.200s", request->source);
	(void)snprintf(manifest.version, sizeof(manifest.version), "%s", request->version);
	(void)snprintf(manifest.arch, sizeof(manifest.arch), "x86_64");
	r = versions_set(request, &manifest, err);
	if (r == 0)
		r = self_test_set(request, &manifest, err);
	if (r == 0)
		r = manifest_write(&place, &manifest, err);
	if (r == 0)
		r = contract_check(place.dir, &manifest, request->strict, &findings, err);
	if (r == 0)
		r = kt_place_keep(&place, err);
	if (r == 0)
		summary_print(request, &manifest, &place, findings.count);
	return r;
}

static int check(const struct request *request, struct kt_error *err)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	struct findings findings = {.verbose = true};
	int r = kt_bundle_open(request->check, &bundle, err);

	if (r == 0)
		r = kt_bundle_check(&bundle, err);
	if (r == 0)
		r = contract_check(bundle.dir, &bundle.manifest, request->strict, &findings, err);
	if (r == 0)
		printf("%s is whole: version %s, %zu findings\n", request->check, bundle.manifest.version, findings.count);
	return r;
}

int main(int argc, char *argv[])
{
	struct request request = {.version = NULL};
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *wrong = read_options(argc, argv, &request);

	umask(022);
	if (wrong)
		return usage(wrong);
	if ((request.check ? check(&request, &err) : pack(&request, &err)) < 0)
		return refused(&err);
	return EXIT_DONE;
}
