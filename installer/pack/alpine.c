/* The whole of the source's lib and usr/lib is laid into the new folder, whatever it comes from; then what nobody needs
 * is taken out of it again. */
#include "alpine.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kontain/base/dir.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/elf.h"
#include "kontain/bundle/treecheck.h"
#include "kontain/contract/image.h"
#include "kontain/contract/paths.h"
#include "place.h"
#include "sources.h"

#define DOCUMENTS_MAX 4 /* an index may lead to an index */

enum { OPTION_FOR = 256, OPTION_ALSO, OPTION_ALL, OPTION_STRICT };

const char kt_alpine_help[] =
	"usage: kontain-pack alpine-lib --output DIR (--for FILE | --also GLOB)... SOURCE...\n"
	"       kontain-pack alpine-lib --output DIR --all SOURCE...\n"
	"\n"
	"Makes DIR/alpine-lib of what a SOURCE has in lib and usr/lib: a folder with an Alpine root, a tarball of "
	"one,\n"
	"an image archive (of OCI or docker save), Alpine's packages (.apk). Only what is needed is taken: libraries\n"
	"that programs and libraries name (NEEDED), links on the way, and the loader. The same input gives the same\n"
	"bytes.\n"
	"\n"
	"  --output DIR   a new folder\n"
	"  --for FILE     a payload or library whose libraries are needed\n"
	"  --also GLOB    what is opened at run time: the name of a file ('libnss_*.so'), or its path in the source\n"
	"                 ('usr/lib/engines-3/*'); with what it needs\n"
	"  --all          everything, for linking; but what only builds or boots a system (include, pkgconfig, apk "
	"...)\n"
	"  --strict       with --all: findings of the ELF contract are errors, as they always are without --all\n"
	"  -v             name all that was left out\n"
	"  -h, --help\n"
	"\n"
	"exit status: 0 done; 1 refused, one line says why; 2 usage";

static const struct option long_options[] = {
	{"output", required_argument, NULL, 'o'},
	{"for", required_argument, NULL, OPTION_FOR},
	{"also", required_argument, NULL, OPTION_ALSO},
	{"all", no_argument, NULL, OPTION_ALL},
	{"strict", no_argument, NULL, OPTION_STRICT},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char *word_add(const char **words, size_t *count, const char *word)
{
	if (*count == KT_ALPINE_WORDS_MAX)
		return "more than 64 sources, --for or --also";
	words[(*count)++] = word;
	return NULL;
}

const char *kt_alpine_read(int argc, char *argv[], struct kt_alpine_request *ret_request)
{
	struct kt_alpine_request *request = ret_request;
	const char *wrong = NULL;
	int option;

	*request = (struct kt_alpine_request){.output = NULL};
	opterr = 0;
	optind = 1;
	while (!wrong && (option = getopt_long(argc, argv, "o:hv", long_options, NULL)) != -1) {
		switch (option) {
		case 'o':
			request->output = optarg;
			break;
		case OPTION_FOR:
			wrong = word_add(request->programs, &request->needs.program_count, optarg);
			break;
		case OPTION_ALSO:
			wrong = word_add(request->also, &request->needs.also_count, optarg);
			break;
		case OPTION_ALL:
			request->needs.all = true;
			break;
		case OPTION_STRICT:
			request->strict = true;
			break;
		case 'v':
			request->verbose = true;
			break;
		case 'h':
			request->is_help = true;
			break;
		default:
			return "alpine-lib: an option is unknown or has no value";
		}
	}
	while (!wrong && optind < argc)
		wrong = word_add(request->sources, &request->source_count, argv[optind++]);
	request->needs.programs = request->programs;
	request->needs.also = request->also;
	if (wrong || request->is_help)
		return wrong;
	if (!request->output)
		return "alpine-lib: --output DIR is missing";
	if (request->source_count == 0)
		return "alpine-lib: no source given: name a root folder, an image archive or .apk files";
	if (!request->needs.all && request->needs.program_count + request->needs.also_count == 0)
		return "alpine-lib: say what is needed: --for FILE, --also GLOB or --all";
	return NULL;
}

/* ---- sources ---- */

static int layer_take(int dir, const char *path, struct kt_place *place, struct kt_error *err)
{
	static const char blobs[] = "blobs/sha256/";
	KT_OWN(kt_reader_done) struct kt_reader reader = {.digest = NULL};
	struct kt_reading reading;
	const char *name = NULL;
	KT_OWN(kt_close_fd) int parent = kt_fs_open_parent(dir, path, &name);
	KT_OWN(kt_close_fd) int fd = -1;
	struct stat info;
	int r = parent < 0 ? parent : kt_reader_init(&reader);

	if (r == 0)
		r = kt_reader_read(&reader, parent, name, &reading);
	if (r == -ENOENT)
		return kt_fail(err, ENOENT, KT_REASON_BUNDLE_INVALID, "the image archive lacks its layer %.100s", path);
	if (r < 0)
		return kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot read the layer %.100s", path);
	if (strncmp(path, blobs, strlen(blobs)) == 0 && strcmp(reading.sha256, path + strlen(blobs)) != 0)
		return kt_fail(err, EBADMSG, KT_REASON_DIGEST_MISMATCH,
			       "the layer %.100s is damaged: its digest is another", path);
	fd = kt_fs_open_file(parent, name, &info);
	if (fd < 0)
		return kt_fail_errno(err, -fd, KT_REASON_IO_ERROR, "cannot read the layer %.100s", path);
	place->is_layered = true;
	r = kt_layer_take(fd, place, err);
	place->is_layered = false;
	return r < 0 ? kt_fail_prefix(err, "layer %.80s", path) : 0;
}

/* 1: it is not an image. */
static int image_take(const char *output, const char *source, struct kt_place *place, struct kt_error *err)
{
	KT_OWN(kt_place_done) struct kt_place archive = {.dir = -1, .parent = -1};
	char document[KT_MANIFEST_PATH_MAX] = "index.json";
	int r = kt_place_open(output, &archive, err);

	if (r < 0)
		return r;
	archive.layout = KT_LAYOUT_IMAGE;
	r = kt_archive_take(source, &archive, err);
	if (r < 0)
		return r;
	if (!kt_fs_exists(archive.dir, document))
		(void)snprintf(document, sizeof(document), "manifest.json");
	if (!kt_fs_exists(archive.dir, document))
		return 1;
	for (unsigned i = 0; i < DOCUMENTS_MAX; i++) {
		KT_OWN(kt_image_done) struct kt_image image = {.paths = NULL};
		KT_OWN(kt_free_mem) char *bytes = NULL;
		size_t size = 0;

		r = kt_fs_read_all(archive.dir, document, KT_IMAGE_DOCUMENT_MAX, &bytes, &size, err);
		if (r == 0)
			r = kt_image_parse(bytes, size, &image, err);
		for (size_t k = 0; r == 0 && image.is_layers && k < image.count; k++)
			r = layer_take(archive.dir, image.paths[k], place, err);
		if (r != 0 || image.is_layers)
			return r;
		(void)snprintf(document, sizeof(document), "%s", image.paths[0]);
	}
	return kt_fail(err, ELOOP, KT_REASON_BUNDLE_INVALID, "the image archive's documents lead in a circle");
}

static int source_take(const struct kt_alpine_request *request, const char *source, struct kt_place *place,
		       struct kt_error *err)
{
	size_t length = strlen(source);
	struct stat info;
	int r = 1;

	if (stat(source, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot open %.300s", source);
	if (S_ISDIR(info.st_mode)) {
		r = kt_tree_take(source, place, err);
		return r < 0 ? kt_fail_prefix(err, "%.200s", source) : 0;
	}
	if (length <= 4 || strcmp(source + length - 4, ".apk") != 0)
		r = image_take(request->output, source, place, err);
	if (r > 0)
		r = kt_archive_take(source, place, err);
	return r < 0 ? kt_fail_prefix(err, "%.200s", source) : 0;
}

/* ---- the result ---- */

static int folder_visit(void *context, int dir, const char *name)
{
	struct stat info;
	int r = 0;

	if (fstatat(dir, name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode)) {
		r = kt_each_entry(dir, name, folder_visit, context);
		if (r == 0 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST)
			r = -errno;
	}
	return r;
}

/* Takes out what is not needed, and the folders that are empty then. */
static int rest_remove(int dir, const struct kt_filelist *list, const bool *taken, struct kt_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->count; i++)
		if (!taken[i])
			r = kt_fs_remove_tree(dir, list->files[i].path, err);
	if (r < 0)
		return r;
	r = kt_each_entry(dir, ".", folder_visit, NULL);
	return r < 0 ? kt_fail_errno(err, -r, KT_REASON_IO_ERROR, "cannot remove what is not needed") : 0;
}

static void finding_print(void *context, const char *path, const char *text)
{
	const struct kt_alpine_request *request = context;

	if (request->verbose)
		printf("finding    %s: %s\n", path, text);
}

static int result_check(const struct kt_alpine_request *request, int dir, struct kt_manifest *manifest,
			struct kt_error *err)
{
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	int r = kt_tree_scan(dir, KT_PLACE_LIBRARIES, true, NULL, NULL, &list, err);

	if (r < 0)
		return r;
	(void)kt_manifest_add(manifest, KT_PLACE_LIBRARIES, &list);

	const int fds[KT_COMPONENT_MAX] = {dir, -1, -1, -1, -1, -1, -1};

	return kt_elf_check(manifest, fds, request->strict || !request->needs.all, finding_print, (void *)request, err);
}

static uint64_t kib(uint64_t bytes)
{
	return (bytes + 1023) / 1024;
}

/* By size: what was left out is of interest where it is large. */
static int size_compare(const void *left, const void *right)
{
	const struct kt_file *one = *(const struct kt_file *const *)left, *two = *(const struct kt_file *const *)right;

	if (one->size_bytes != two->size_bytes)
		return one->size_bytes > two->size_bytes ? -1 : 1;
	return strcmp(one->path, two->path);
}

static void left_out_print(const struct kt_alpine_request *request, const struct kt_filelist *list, const bool *taken)
{
	KT_OWN(kt_free_mem) const struct kt_file **left = calloc(list->count + 1, sizeof(*left));
	size_t count = 0, shown;
	uint64_t bytes = 0;
	char text[KT_SHOWN_MAX];

	for (size_t i = 0; left && i < list->count; i++)
		if (!taken[i])
			left[count++] = &list->files[i];
	if (!left || count == 0)
		return;
	qsort(left, count, sizeof(*left), size_compare);
	shown = request->verbose || count <= KT_PLACE_LEFT_MAX ? count : KT_PLACE_LEFT_MAX;
	for (size_t i = 0; i < count; i++) {
		bytes += left[i]->size_bytes;
		if (i < shown && left[i]->link)
			printf("left out   %s, a link\n", kt_path_show(left[i]->path, text));
		else if (i < shown)
			printf("left out   %s, %" PRIu64 " KiB\n", kt_path_show(left[i]->path, text),
			       kib(left[i]->size_bytes));
	}
	printf("left out   %zu in all, %" PRIu64 " KiB%s\n", count, kib(bytes),
	       shown < count ? " (-v names them)" : "");
}

static void result_print(const struct kt_alpine_request *request, const struct kt_place *place,
			 const struct kt_manifest *manifest, const struct kt_filelist *list, const bool *taken)
{
	const struct kt_component *component = &manifest->components[0];

	printf("alpine-lib %s, %zu files, %" PRIu64 " KiB\n", component->version, component->list.count,
	       kib(component->list.total_bytes));
	for (size_t i = 0; request->verbose && i < component->list.count; i++)
		printf("taken      %s\n", component->list.files[i].path);
	left_out_print(request, list, taken);
	for (size_t i = 0; i < place->escape_count; i++)
		printf("left out   the link %s: it %s\n", place->escapes[i].path, place->escapes[i].how);
}

/* Sizes of the files, which a list of names does not have; by the order of the list. */
static int sizes_take(int dir, struct kt_filelist *list, struct kt_error *err)
{
	for (size_t i = 0; i < list->count; i++) {
		struct stat info;

		if (fstatat(dir, list->files[i].path, &info, AT_SYMLINK_NOFOLLOW) < 0)
			return kt_fail_errno(err, errno, KT_REASON_IO_ERROR, "cannot look at %s", list->files[i].path);
		list->files[i].size_bytes = list->files[i].link ? 0 : (uint64_t)info.st_size;
	}
	return 0;
}

int kt_alpine_pack(const struct kt_alpine_request *request, struct kt_error *err)
{
	KT_OWN(kt_place_done) struct kt_place place = {.dir = -1, .parent = -1};
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	KT_OWN(kt_filelist_done) struct kt_filelist list = {.text = NULL};
	KT_OWN(kt_free_mem) bool *taken = NULL;
	KT_OWN(kt_close_fd) int dir = -1;
	int r = kt_place_open(request->output, &place, err);

	if (r < 0)
		return r;
	place.layout = KT_LAYOUT_ROOT;
	for (size_t i = 0; r == 0 && i < request->source_count; i++)
		r = source_take(request, request->sources[i], &place, err);
	if (r < 0)
		return r;
	dir = kt_fs_open_beneath(place.dir, KT_PLACE_LIBRARIES, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0)
		return kt_fail(err, ENOENT, KT_REASON_BUNDLE_INVALID,
			       "%.200s: neither lib nor usr/lib is in it: name an Alpine root, image or package",
			       request->sources[0]);
	r = kt_tree_scan(dir, KT_PLACE_LIBRARIES, false, NULL, NULL, &list, err);
	if (r == 0)
		r = sizes_take(dir, &list, err);
	if (r < 0)
		return r;
	taken = calloc(list.count + 1, sizeof(*taken));
	if (!taken)
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	r = kt_closure_make(dir, &list, &request->needs, taken, err);
	if (r == 0)
		r = rest_remove(dir, &list, taken, err);
	if (r == 0)
		r = result_check(request, dir, &manifest, err);
	if (r == 0)
		r = kt_place_settle(&place, err);
	if (r == 0)
		r = kt_place_go_on(err);
	if (r == 0)
		r = kt_place_keep(&place, err);
	if (r == 0)
		result_print(request, &place, &manifest, &list, taken);
	return r;
}
