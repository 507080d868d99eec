/* kontain-pack: a tree or a release tarball becomes a bundle folder; or a bundle is read as strictly as a node does. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alpine.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/bundle.h"
#include "kontain/bundle/elf.h"
#include "kontain/contract/paths.h"
#include "layout.h"
#include "needs.h"
#include "sources.h"

enum { EXIT_DONE = 0, EXIT_REFUSED = 1, EXIT_USAGE = 2 };
enum {
	OPTION_CHECK = 256,
	OPTION_COMPONENT,
	OPTION_SELF_TEST,
	OPTION_EXPECT,
	OPTION_NO_SELF_TEST,
	OPTION_STRICT,
	OPTION_MAKE_LINKS,
	OPTION_HELP
};

#define WORDS_MAX 32

/* All strings are argv's. */
struct request {
	const char *version;
	const char *output;
	const char *source;
	const char *check;
	const char *components[KT_COMPONENT_MAX]; /* NAME=V */
	size_t component_count;
	char *self_test[WORDS_MAX + 1]; /* PATH ARGUMENT...; [0] NULL: not asked for */
	const char *expect;
	bool no_self_test;
	bool strict;
	bool make_links;
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
	{"make-links", no_argument, NULL, OPTION_MAKE_LINKS},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static void help(void)
{
	puts("kontain-pack " KONTAIN_VERSION "\n"
	     "\n"
	     "usage: kontain-pack --version V --output DIR [OPTION]... TREE|RELEASE.tar.gz\n"
	     "       kontain-pack --check DIR [--strict]\n"
	     "       kontain-pack alpine-lib --help\n"
	     "       kontain-pack needs --help\n"
	     "\n"
	     "Makes a bundle, the folder that an image carries and a node lands: bin/ (with km), runtime/,\n"
	     "alpine-lib/, lib/ and shim/ of a tree or of a release tarball as published, and its self-test. The\n"
	     "same input gives the same bytes. A link that leads out of its tree is left out and named.\n"
	     "\n"
	     "  --version V            of the bundle: letters, digits and . _ -, 63 at most\n"
	     "  --output DIR           a new folder\n"
	     "  --component NAME=V     version of km, runtime, alpine-lib, lib, shim, tools (what lies in bin/ beside "
	     "km)\n"
	     "                         or extras (the self-test); default: its content's digest\n"
	     "  --self-test 'PATH ARGUMENT...' --expect LINE\n"
	     "                         what a node runs under the new km, and the first line it must print\n"
	     "                         ('tests/hello_test.km Hello World', 'Hello, world', where that file is)\n"
	     "  --no-self-test         none\n"
	     "  --make-links           of runtime/: makes what it lacks of the links to libc.so and libruntime.a, and "
	     "of\n"
	     "                         the empty libm.a, libpthread.a and libpthread.so\n"
	     "  --check DIR            reads a bundle as strictly as a node does; --strict: findings are errors\n"
	     "  -v                     name each finding\n"
	     "  -h, --help\n"
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

/* "PATH ARGUMENT..." in words; a message, or NULL. */
static const char *read_self_test(char *text, struct request *request)
{
	size_t count = 0;

	for (char *rest = NULL, *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (count == WORDS_MAX)
			return "--self-test has too many words";
		request->self_test[count++] = word;
	}
	return count > 0 ? NULL : "--self-test: a path in the bundle and its arguments are wanted";
}

static const char *read_component(const char *text, struct request *request)
{
	const char *equals = strchr(text, '=');
	size_t length = equals ? (size_t)(equals - text) : 0;
	bool is_known = false;

	for (size_t i = 0; equals && kt_component_names[i]; i++)
		is_known = is_known || (strlen(kt_component_names[i]) == length &&
					memcmp(kt_component_names[i], text, length) == 0);
	if (!is_known || !kt_version_is_valid(equals + 1))
		return "--component: expected NAME=V with NAME one of km, runtime, alpine-lib, lib, shim, tools, "
		       "extras, "
		       "V a version";
	for (size_t i = 0; i < request->component_count; i++)
		if (strncmp(request->components[i], text, length + 1) == 0)
			return "--component: a component has one version";
	request->components[request->component_count++] = text; /* no more than there are names */
	return NULL;
}

/* Takes what is said; a message, or NULL. */
static const char *read_options(int argc, char *argv[], struct request *request)
{
	const char *wrong = NULL;
	int option;

	opterr = 0;
	while (!wrong && (option = getopt_long(argc, argv, "hv", long_options, NULL)) != -1) {
		switch (option) {
		case 'V':
			request->version = optarg;
			break;
		case 'o':
			request->output = optarg;
			break;
		case 'v':
			request->verbose = true;
			break;
		case OPTION_CHECK:
			request->check = optarg;
			break;
		case OPTION_SELF_TEST:
			wrong = read_self_test(optarg, request);
			break;
		case OPTION_EXPECT:
			request->expect = optarg;
			break;
		case OPTION_NO_SELF_TEST:
			request->no_self_test = true;
			break;
		case OPTION_STRICT:
			request->strict = true;
			break;
		case OPTION_MAKE_LINKS:
			request->make_links = true;
			break;
		case 'h':
			help();
			exit(EXIT_DONE);
		case OPTION_COMPONENT:
			wrong = read_component(optarg, request);
			break;
		default:
			return "an option is unknown or has no value";
		}
	}
	if (wrong)
		return wrong;
	if (optind < argc)
		request->source = argv[optind++];
	if (optind < argc)
		return "more than one tree or tarball is named";
	if (request->check)
		return request->source || request->version || request->output || request->component_count ||
				       request->self_test[0] || request->expect || request->no_self_test ?
			       "--check takes a bundle, --strict and nothing else" :
			       NULL;
	if (!request->version || !request->output || !request->source)
		return "--version, --output and a tree or tarball are wanted";
	if (!kt_version_is_valid(request->version))
		return "--version: letters, digits, . _ - are wanted, a letter or digit first, at most 63";
	if (!request->self_test[0] != !request->expect || (request->self_test[0] && request->no_self_test))
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
	KT_OWN(fds_close) int fds[KT_COMPONENT_MAX] = {-1, -1, -1, -1, -1, -1, -1};
	for (size_t i = 0; i < manifest->component_count; i++) {
		const char *folder = kt_component_source(manifest->components[i].name);

		fds[i] = kt_fs_open_beneath(dir, folder, O_RDONLY | O_DIRECTORY, 0);
		if (fds[i] < 0)
			return kt_fail_errno(err, -fds[i], KT_REASON_IO_ERROR, "cannot open %s", folder);
	}
	return kt_elf_check(manifest, fds, strict, finding_take, findings, err);
}

/* ---- packing ---- */

static int versions_set(const struct request *request, struct kt_manifest *manifest, struct kt_error *err)
{
	for (size_t i = 0; i < request->component_count; i++) {
		const char *text = request->components[i], *equals = strchr(text, '=');
		struct kt_component *component = NULL;

		for (size_t k = 0; k < manifest->component_count; k++)
			if (strlen(manifest->components[k].name) == (size_t)(equals - text) &&
			    strncmp(manifest->components[k].name, text, (size_t)(equals - text)) == 0)
				component = &manifest->components[k];
		if (!component)
			return kt_fail(err, ENOENT, KT_REASON_BUNDLE_INVALID,
				       "--component %s: there is no such component in %.200s", text, request->source);
		(void)snprintf(component->version, sizeof(component->version), "%s", equals + 1);
	}
	return 0;
}

static int self_test_set(const struct request *request, struct kt_manifest *manifest, struct kt_error *err)
{
	static char *const hello[] = {(char *)KT_PACK_SELF_TEST, (char *)"Hello", (char *)"World", NULL};
	char *const *words = request->self_test[0] ? request->self_test : hello;

	if (request->no_self_test || (words == hello && !kt_manifest_file(manifest, KT_PACK_SELF_TEST)))
		return 0;
	manifest->self_test_argv = calloc(WORDS_MAX + 1, sizeof(char *));
	manifest->self_test_expect = strdup(request->expect ? request->expect : "Hello, world");
	if (!manifest->self_test_argv || !manifest->self_test_expect)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	for (size_t i = 0; words[i]; i++) {
		manifest->self_test_argv[i] = strdup(words[i]);
		if (!manifest->self_test_argv[i])
			return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	}
	return 0;
}

/* Writes what the reader reads back without complaint, or nothing. */
static int manifest_write(struct kt_place *place, const struct kt_manifest *manifest, struct kt_error *err)
{
	KT_OWN(kt_manifest_done) struct kt_manifest read_back = {.component_count = 0};
	KT_OWN(kt_free_mem) char *text = kt_manifest_print(manifest);
	int r;

	if (!text)
		return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "a name in it is not UTF-8, or out of memory");
	r = kt_manifest_parse(text, strlen(text), &read_back, err);
	if (r == 0)
		r = kt_manifest_check_lists(manifest, err);
	if (r < 0)
		return r;

	KT_OWN(kt_close_fd) int fd = kt_place_file(place, KT_MANIFEST_NAME, false, err);

	if (fd < 0)
		return fd;
	return kt_place_write(place, fd, KT_MANIFEST_NAME, text, strlen(text), err);
}

static void component_print(const struct kt_component *component)
{
	size_t count = component->list.count;

	printf("%-10s %s, %zu file%s, %" PRIu64 " KiB\n", component->name, component->version, count,
	       count == 1 ? "" : "s", (component->list.total_bytes + 1023) / 1024);
}

static void left_out_print(const struct kt_place *place)
{
	char shown[KT_SHOWN_MAX];

	for (size_t i = 0; i < place->left_out_count; i++)
		printf("%s%s", i ? ", " : "left out   ", kt_path_show(place->left_out[i], shown));
	if (place->left_out_count > 0)
		printf("%s: no bundle takes it\n", place->left_out_more ? " and more" : "");
}

/* Links that real trees hold and no bundle does. */
static void escapes_print(const struct kt_place *place, bool verbose)
{
	size_t count = verbose || place->escape_count < KT_PLACE_LEFT_MAX ? place->escape_count : KT_PLACE_LEFT_MAX;

	for (size_t i = 0; i < count; i++)
		printf("left out   the link %s: it %s\n", place->escapes[i].path, place->escapes[i].how);
	if (count < place->escape_count)
		printf("left out   %zu more links that lead out of their trees (-v names them)\n",
		       place->escape_count - count);
}

static void summary_print(const struct request *request, const struct kt_manifest *manifest,
			  const struct kt_place *place, size_t findings)
{
	printf("bundle     %s, version %s\n", request->output, manifest->version);
	for (size_t i = 0; i < manifest->component_count; i++)
		component_print(&manifest->components[i]);
	if (manifest->self_test_argv) {
		printf("self-test ");
		for (char **word = manifest->self_test_argv; *word; word++)
			printf(" %s", *word);
		printf(": \"%s\"\n", manifest->self_test_expect);
	}
	left_out_print(place);
	escapes_print(place, request->verbose);
	findings += place->escape_count;
	printf("findings   %zu%s\n", findings,
	       findings == 0 || request->verbose ? "" : ", none of them in the way (-v names them)");
}

static int pack(const struct request *request, struct kt_error *err)
{
	KT_OWN(kt_place_done) struct kt_place place = {.dir = -1, .parent = -1};
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	struct findings findings = {.verbose = request->verbose};
	struct stat info;
	int r;

	if (stat(request->source, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open %.300s", request->source);
	r = kt_place_open(request->output, &place, err);
	if (r < 0)
		return r;
	place.self_test = request->self_test[0];
	place.is_strict = request->strict;
	r = S_ISDIR(info.st_mode) ? kt_tree_take(request->source, &place, err) :
				    kt_archive_take(request->source, &place, err);
	if (r == 0 && request->make_links)
		r = kt_links_make(&place, err);
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
		r = kt_place_settle(&place, err);
	if (r == 0)
		r = kt_place_go_on(err);
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
		printf("%s is whole: version %s, %zu findings\n", request->check, bundle.manifest.version,
		       findings.count);
	return r;
}

static void stop(int signal)
{
	(void)signal;
	kt_place_is_stopped = 1;
}

/* Names are UTF-8 whatever the caller's language is: libarchive translates them into the locale's. */
static void process_prepare(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &(struct sigaction){.sa_handler = stop}, NULL);
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	umask(022);
}

static int alpine_main(int argc, char *argv[])
{
	struct kt_alpine_request request;
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *wrong = kt_alpine_read(argc, argv, &request);

	if (wrong)
		return usage(wrong);
	if (request.is_help)
		return puts(kt_alpine_help) < 0 ? EXIT_REFUSED : EXIT_DONE;
	return kt_alpine_pack(&request, &err) < 0 ? refused(&err) : EXIT_DONE;
}

static int needs_main(int argc, char *argv[])
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return puts(kt_needs_help) < 0 ? EXIT_REFUSED : EXIT_DONE;
	if (argc < 3)
		return usage("needs: expected a root folder and programs in it");
	return kt_needs_check(argv[1], argv + 2, (size_t)argc - 2, &err) < 0 ? refused(&err) : EXIT_DONE;
}

int main(int argc, char *argv[])
{
	struct request request = {.version = NULL};
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *wrong;

	process_prepare();
	if (argc > 1 && strcmp(argv[1], "alpine-lib") == 0)
		return alpine_main(argc - 1, argv + 1);
	if (argc > 1 && strcmp(argv[1], "needs") == 0)
		return needs_main(argc - 1, argv + 1);
	wrong = read_options(argc, argv, &request);
	if (wrong)
		return usage(wrong);
	if ((request.check ? check(&request, &err) : pack(&request, &err)) < 0)
		return refused(&err);
	return EXIT_DONE;
}
