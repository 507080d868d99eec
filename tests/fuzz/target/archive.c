/* links: kt_pack kt_bundle kt_contract kt_base mutates: tar */
/* The whole of kontain-pack on an archive: what it lets pass becomes a bundle that a node reads without complaint, and
 * whatever it does stays in the folder it was told. The output lies some folders deep, with a file beside it in each:
 * a path that climbs is seen. tests/fuzz/run mounts everything else read-only, so that an absolute one is, too. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../installer/pack/layout.h"
#include "../../../installer/pack/sources.h"
#include "fuzz.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/bundle/bundle.h"
#include "kontain/bundle/elf.h"

#define DEPTH          4
#define FILE_BYTES_MAX (4 << 20) /* of one file: an archive of a few bytes may inflate to any size */
#define ENTRIES_MAX    64        /* nftw's descriptors */

static char output[512], base[256];
static size_t beside; /* entries in base when there is no output */

static size_t entries;

static int entry_count(const char *path, const struct stat *info, int type, struct FTW *where)
{
	(void)path;
	(void)info;
	(void)type;
	(void)where;
	entries++;
	return 0;
}

static size_t entries_count(void)
{
	entries = 0;
	FUZZ_REQUIRE(nftw(base, entry_count, ENTRIES_MAX, FTW_PHYS) == 0);
	return entries;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int length = snprintf(base, sizeof(base), "%s", fuzz_space());

	(void)argc;
	(void)argv;
	memcpy(output, base, (size_t)length + 1);
	for (int i = 0; i < DEPTH; i++) {
		KT_OWN(kt_close_fd) int file = -1;

		length += snprintf(output + length, sizeof(output) - (size_t)length, "/f%d", i);
		FUZZ_REQUIRE(mkdir(output, 0755) == 0);
		(void)snprintf(output + length, sizeof(output) - (size_t)length, "/beside");
		file = open(output, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		output[length] = '\0';
		FUZZ_REQUIRE(file >= 0);
	}
	(void)snprintf(output + length, sizeof(output) - (size_t)length, "/out");
	beside = entries_count();
	/* as its main does */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	(void)umask(022);
	return 0;
}

/* By the rules of the component that a path of the bundle lies in. */
static bool link_is_good(const char *path, const char *target)
{
	size_t length = strcspn(path, "/");

	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *source = kt_component_source(kt_component_names[i]);

		if (path[length] && strlen(source) == length && memcmp(source, path, length) == 0)
			return fuzz_is_good_link(kt_component_names[i], path + length + 1, target);
	}
	return fuzz_is_good_link(KT_COMPONENT_EXTRAS, path, target);
}

/* Of a bundle: plain files, links that stay inside, folders; nothing that two names share. */
static int entry_check(const char *path, const struct stat *info, int type, struct FTW *where)
{
	const char *inside = path + strlen(output);
	char target[KT_MANIFEST_PATH_MAX + 1];

	(void)where;
	FUZZ_REQUIRE(type == FTW_D || type == FTW_F || type == FTW_SL);
	if (type == FTW_F)
		FUZZ_REQUIRE(S_ISREG(info->st_mode) && info->st_nlink == 1 &&
			     ((info->st_mode & 07777) == 0644 || (info->st_mode & 07777) == 0755));
	if (*inside)
		FUZZ_REQUIRE(fuzz_is_good_path(inside + 1));
	if (type == FTW_SL) {
		ssize_t length = readlink(path, target, sizeof(target));

		FUZZ_REQUIRE(length > 0 && length < (ssize_t)sizeof(target));
		target[length] = '\0';
		FUZZ_REQUIRE(link_is_good(inside + 1, target));
	}
	return 0;
}

static int manifest_write(struct kt_place *place, struct kt_manifest *manifest, struct kt_error *err)
{
	KT_OWN(kt_manifest_done) struct kt_manifest again = {.component_count = 0};
	KT_OWN(kt_close_fd) int fd = -1;

	strcpy(manifest->version, "1");
	strcpy(manifest->arch, "x86_64");

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(manifest);

	FUZZ_REQUIRE(text != NULL); /* every name was looked at before it was made */

	int r = kt_manifest_parse(text, strlen(text), &again, err);

	if (r == 0)
		r = kt_manifest_check_lists(manifest, err);
	if (r < 0) /* what no bundle may have and a tar may: no plain bin/km */
		return r;
	fd = kt_place_file(place, KT_MANIFEST_NAME, false, err);
	return fd < 0 ? fd : kt_place_write(place, fd, KT_MANIFEST_NAME, text, strlen(text), err);
}

static void bundle_check(void)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};

	FUZZ_REQUIRE(nftw(output, entry_check, ENTRIES_MAX, FTW_PHYS) == 0);
	FUZZ_REQUIRE(kt_bundle_open(output, &bundle, KT_ERROR_IGNORED) == 0);
	FUZZ_REQUIRE(kt_bundle_check(&bundle, KT_ERROR_IGNORED) == 0);
}

static int pack(const char *path, struct kt_error *err)
{
	KT_OWN(kt_place_done) struct kt_place place = {.dir = -1, .parent = -1};
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	int r;

	FUZZ_REQUIRE(kt_place_open(output, &place, err) == 0);
	r = kt_archive_take(path, &place, err);
	FUZZ_REQUIRE(place.byte_count <= KT_PACK_BYTES_MAX + FILE_BYTES_MAX);
	FUZZ_REQUIRE(place.entry_count <= KT_PACK_ENTRIES_MAX + 1);
	if (r == 0)
		r = kt_survey(&place, &manifest, err);
	if (r == 0)
		r = manifest_write(&place, &manifest, err);
	if (r == 0)
		r = kt_place_settle(&place, err);
	return r < 0 ? r : kt_place_keep(&place, err);
}

static int output_remove(void)
{
	char parent[sizeof(output)];
	struct kt_error err;

	(void)snprintf(parent, sizeof(parent), "%s", output);
	*strrchr(parent, '/') = '\0';

	KT_OWN(kt_close_fd) int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return kt_fs_remove_tree(dir, "out", &err);
}

/* Of the target alone: the fuzzer's own files may be as long as they like. A write beyond is EFBIG: libFuzzer's handler
 * of the signal must not see it. */
static void limit_set(bool is_on)
{
	struct rlimit limit;

	FUZZ_REQUIRE(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	FUZZ_REQUIRE(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	limit.rlim_cur = is_on ? FILE_BYTES_MAX : limit.rlim_max;
	FUZZ_REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_close_fd) int fd = fuzz_file(bytes, size);
	struct kt_error err = {.code = 0};
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);

	limit_set(true);

	int r = pack(path, &err);

	limit_set(false);
	if (r == 0) {
		fuzz_taken++;
		bundle_check();
		FUZZ_REQUIRE(output_remove() == 0);
	} else {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(err.reason == KT_REASON_BUNDLE_INVALID || r == -EFBIG);
		FUZZ_REQUIRE(err.code != EROFS && err.code != EACCES && err.code != EXDEV && err.code != ELOOP);
	}
	FUZZ_REQUIRE(entries_count() == beside);
	return 0;
}
