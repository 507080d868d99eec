/* Written apart from the sources that it judges: a rule that is wrong there must not be wrong here in the same way. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/contract/manifest.h"

size_t fuzz_taken;

void fuzz_require(bool held, const char *file, int line, const char *words)
{
	if (held)
		return;
	fprintf(stderr, "%s:%d: a promise is broken: %s\n", file, line, words);
	abort();
}

void fuzz_check_refusal(int r, const struct kt_error *err)
{
	FUZZ_REQUIRE(r < 0 && err->code == -r);
	FUZZ_REQUIRE(err->reason > KT_REASON_NONE && err->reason < KT_REASON_COUNT);
	FUZZ_REQUIRE(memchr(err->text, '\0', sizeof(err->text)) && err->text[0]);
}

bool fuzz_is_same(const char *one, const char *two)
{
	return one && two && strcmp(one, two) == 0;
}

long fuzz_code_point(const char *text, size_t *ret_size)
{
	static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *byte = (const unsigned char *)text;
	size_t size = byte[0] < 0x80 ? 1 : (byte[0] & 0xe0) == 0xc0 ? 2 : (byte[0] & 0xf0) == 0xe0 ? 3 : 4;
	long point = size == 1 ? byte[0] : byte[0] & (0xff >> (size + 1));

	*ret_size = size;
	if ((byte[0] & 0xc0) == 0x80 || byte[0] >= 0xf8)
		return -1;
	for (size_t i = 1; i < size; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return -1;
		point = point << 6 | (byte[i] & 0x3f);
	}
	return point < least[size] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? -1 : point;
}

/* Every character at or above the space, and outside of 0x7f..last. */
static bool is_clear(const char *text, long last)
{
	for (size_t size; *text; text += size) {
		long point = fuzz_code_point(text, &size);

		if (point < 0x20 || (point >= 0x7f && point <= last))
			return false;
	}
	return true;
}

bool fuzz_is_one_line(const char *text)
{
	return is_clear(text, 0x7f);
}

bool fuzz_is_visible(const char *text)
{
	return is_clear(text, 0x9f);
}

bool fuzz_is_good_path(const char *path)
{
	size_t size = strlen(path), start = 0;

	if (size == 0 || size >= KT_MANIFEST_PATH_MAX || !fuzz_is_visible(path))
		return false;
	for (size_t i = 0; i <= size; i++) {
		if (path[i] && path[i] != '/')
			continue;

		size_t length = i - start;

		if (length == 0 || length > 255 || strncmp(path + start, "..", length > 2 ? 3 : length) == 0)
			return false;
		start = i + 1;
	}
	return true;
}

bool fuzz_is_leaving(const char *path, const char *target)
{
	long depth = 0;

	for (; *path; path++)
		depth += *path == '/';
	while (*target) {
		size_t length = strcspn(target, "/");

		if (length == 2 && strncmp(target, "..", 2) == 0)
			depth--;
		else if (length > 1 || (length == 1 && *target != '.'))
			depth++;
		if (depth < 0)
			return true;
		target += length + strspn(target + length, "/");
	}
	return false;
}

/* A link of bin/ to the tool of the same path: as many steps up as it is deep, and one more. */
static bool is_to_own_tool(const char *path, const char *target)
{
	char wanted[3 * KT_MANIFEST_PATH_MAX], *end = wanted;

	for (const char *at = path; *at; at++)
		if (*at == '/')
			end = stpcpy(end, "../");
	(void)snprintf(end, sizeof(wanted) - (size_t)(end - wanted), "../tools/%s", path);
	return strcmp(wanted, target) == 0;
}

bool fuzz_is_good_link(const char *component, const char *path, const char *target)
{
	if (!*target || strlen(target) >= KT_MANIFEST_PATH_MAX || !fuzz_is_visible(target))
		return false;
	if (*target == '/')
		return strncmp(target, "/opt/kontain/", 13) == 0 && !fuzz_is_leaving("", target + 13);
	return !fuzz_is_leaving(path, target) || (strcmp(component, "km") == 0 && is_to_own_tool(path, target));
}

bool fuzz_is_reserved(const char *component, const char *path)
{
	static const char *const kept[] = {"kontain-bundle.json", ".kontain-component", ".files",    "km.files",
					   "runtime.files",       "alpine-lib.files",   "lib.files", "shim.files",
					   "tools.files",         "extras.files",       NULL};
	static const char *const folders[] = {"bin", "runtime", "alpine-lib", "lib", "shim", "tools", "extras", NULL};
	bool is_extra = strcmp(component, "extras") == 0;
	char first[256];

	(void)snprintf(first, sizeof(first), "%s", path);
	first[strcspn(first, "/")] = '\0';
	for (char *at = first; *at; at++)
		*at = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
	for (size_t i = 0; kept[i]; i++)
		if (strcmp(first, kept[i]) == 0)
			return true;
	for (size_t i = 0; folders[i] && is_extra; i++)
		if (strcmp(first, folders[i]) == 0)
			return true;
	return !is_extra && strncmp(path, ".partial-", 9) == 0;
}

static char space[256];

static void space_remove(void)
{
	struct kt_error ignored;
	const char *slash = strrchr(space, '/');

	*(char *)slash = '\0';

	KT_OWN(kt_close_fd) int parent = open(space, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent >= 0)
		(void)kt_fs_remove_tree(parent, slash + 1, &ignored);
}

const char *fuzz_space(void)
{
	const char *above = getenv("FUZZ_SPACE");

	if (space[0])
		return space;
	if (!above)
		above = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	(void)snprintf(space, sizeof(space), "%.200s/kontain-fuzz-XXXXXX", above);
	FUZZ_REQUIRE(mkdtemp(space) != NULL);
	FUZZ_REQUIRE(atexit(space_remove) == 0);
	return space;
}

int fuzz_file(const void *bytes, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_REQUIRE(fd >= 0 && kt_fs_write_full(fd, bytes, size) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}
