/* links: kt_store kt_bundle kt_contract kt_base */
/* Lines of a mount table, in which pods name what they like: what is said of a line is of that line, names come out as
 * they went in, and only what lies in a version of the store is taken for one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../installer/store/inuse.h"
#include "fuzz.h"
#include "kontain/base/own.h"

#define DEVICE  "8:1"
#define FS_ROOT "/opt/kontain"

static char names[][KT_PLACE_MAX] = {"versions/km/0.10.3", "versions/runtime/sha-5f2c81d04a1e", "sets/0.10.3"};
static const struct kt_places places = {.names = names,
					.name_count = sizeof(names) / sizeof(names[0]),
					.device = DEVICE,
					.fs_root = FS_ROOT,
					.path = "/host" FS_ROOT,
					.named = FS_ROOT};

static bool is_in(const char *text, const char *line, size_t size)
{
	return text >= line && text + strlen(text) < line + size;
}

/* As the kernel writes a name (seq_path): blanks and backslashes as three octal digits. */
static void name_print(FILE *out, const char *name)
{
	for (; *name; name++) {
		if (strchr(" \t\n\\", *name))
			fprintf(out, "\\%03o", (unsigned)*name);
		else
			fputc(*name, out);
	}
}

static void line_print(const struct kt_mount_line *mount, char **ret_line)
{
	size_t size = 0;
	FILE *out = open_memstream(ret_line, &size);

	FUZZ_REQUIRE(out != NULL);
	fprintf(out, "%llu 1 %s ", mount->id, mount->device);
	name_print(out, mount->root);
	fputc(' ', out);
	name_print(out, mount->point);
	fputs(" rw - ext4 /dev/sda1 rw\n", out);
	fclose(out);
}

static void round_trip(const struct kt_mount_line *mount)
{
	KT_OWN(kt_free_mem) char *line = NULL;
	struct kt_mount_line again;

	line_print(mount, &line);
	FUZZ_REQUIRE(kt_mount_line_parse(line, &again));
	FUZZ_REQUIRE(again.id == mount->id && strcmp(again.device, mount->device) == 0);
	FUZZ_REQUIRE(strcmp(again.root, mount->root) == 0 && strcmp(again.point, mount->point) == 0);
}

static void place_check(const struct kt_mount_line *mount)
{
	struct kt_mount_line line = *mount;
	struct kt_mounts mounts = {.lines = &line, .count = 1};
	const char *place = kt_places_of_mount(&places, &mounts, 0);
	size_t length = strlen(mount->root), removed = strlen("//deleted");
	bool is_below = strcmp(mount->device, DEVICE) == 0 && strncmp(mount->root, FS_ROOT, strlen(FS_ROOT)) == 0 &&
			strchr("/", mount->root[strlen(FS_ROOT)]) &&
			!(length >= removed && strcmp(mount->root + length - removed, "//deleted") == 0);
	char whole[512];
	bool is_one = false;

	for (size_t i = 0; i < places.name_count; i++) {
		size_t size = (size_t)snprintf(whole, sizeof(whole), FS_ROOT "/%s", names[i]);
		bool is_this = strncmp(mount->root, whole, size) == 0 && strchr("/", mount->root[size]);

		is_one = is_one || is_this;
		if (place == names[i])
			FUZZ_REQUIRE(is_this && is_below);
	}
	FUZZ_REQUIRE(!place == !is_below);
	/* of no version: the root, or a folder of it */
	FUZZ_REQUIRE(!place || is_one || strcmp(place, ".") == 0 || is_in(place, mount->root, length + 1));
}

static int layer_visit(void *context, const char *place)
{
	(void)context;
	FUZZ_REQUIRE(strlen(place) < KT_PLACE_MAX);
	return 0;
}

/* One line, in a buffer that ends with it. */
static void line_take(const char *text, size_t size)
{
	KT_OWN(kt_free_mem) char *line = strndup(text, size);
	size_t room = line ? strlen(line) + 1 : 0;
	struct kt_mount_line mount;

	FUZZ_REQUIRE(line != NULL);
	if (!kt_mount_line_parse(line, &mount))
		return;
	fuzz_taken++;
	FUZZ_REQUIRE(is_in(mount.device, line, room) && is_in(mount.root, line, room) &&
		     is_in(mount.point, line, room));
	FUZZ_REQUIRE(mount.device < mount.root && mount.root < mount.point);
	round_trip(&mount);
	place_check(&mount);

	struct kt_mounts mounts = {.lines = &mount, .count = 1};

	FUZZ_REQUIRE(!mount.overlay || is_in(mount.overlay, line, room));
	FUZZ_REQUIRE(kt_places_each_layer(&places, &mounts, 0, layer_visit, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		const uint8_t *end = memchr(bytes, '\n', size);
		size_t length = end ? (size_t)(end - bytes) + 1 : size;

		line_take((const char *)bytes, length);
		bytes += length;
		size -= length;
	}
	return 0;
}
