/* links: kt_store kt_bundle kt_contract kt_base */
/* The store's small notes: what is pinned, and what a bundle failed of. A person may have edited the one, and anything
 * may have happened to the other. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "fuzz.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/store/store.h"

#define PINNED ".pinned"
#define DIGEST "abababababababababababababababababababababababababababababababab"

static struct kt_store store = {.dir = -1, .lock = -1, .root = "/opt/kontain"};
static char head[256]; /* of a failure under this kernel, boot and installer, behind its reason */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct utsname kernel;
	char boot_id[37];

	(void)argc;
	(void)argv;
	FUZZ_REQUIRE(uname(&kernel) == 0 && kt_fs_boot_id(boot_id) == 0);
	(void)snprintf(head, sizeof(head), "\n%s\n%s\n" KONTAIN_VERSION "\n", kernel.release, boot_id);
	store.dir = open(fuzz_space(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_REQUIRE(store.dir >= 0);
	return 0;
}

static void note_put(const char *name, const char *const parts[], const size_t sizes[], size_t count)
{
	KT_OWN(kt_close_fd) int fd = openat(store.dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	FUZZ_REQUIRE(fd >= 0);
	for (size_t i = 0; i < count; i++)
		FUZZ_REQUIRE(kt_fs_write_full(fd, parts[i], sizes[i]) == 0);
}

static void pins_check(const char *bytes, size_t size)
{
	struct kt_error err = {.code = 0};
	struct kt_pins pins;

	note_put(PINNED, &bytes, &size, 1);

	int r = kt_store_read_pins(&store, &pins, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		return;
	}
	fuzz_taken += pins.count;
	FUZZ_REQUIRE(pins.count <= KT_PINS_MAX);
	for (size_t i = 0; i < pins.count; i++) {
		const char *slash = strchr(pins.names[i], '/');
		char place[KT_PIN_MAX + 16];

		FUZZ_REQUIRE(memchr(pins.names[i], '\0', KT_PIN_MAX) != NULL);
		FUZZ_REQUIRE(kt_version_is_valid(slash ? slash + 1 : pins.names[i]));
		(void)snprintf(place, sizeof(place), "%s/%s", slash ? "versions" : "sets", pins.names[i]);
		FUZZ_REQUIRE(kt_pins_have(&pins, place));
	}
	FUZZ_REQUIRE(!kt_pins_have(&pins, "sets/..") && !kt_pins_have(&pins, ""));
}

/* The first line of the bytes is the reason's name, the rest the figures and the text. */
static void failure_check(const char *bytes, size_t size)
{
	static const char first[] = "kontain-failure 2\n";
	const char *end = memchr(bytes, '\n', size);
	size_t line = end ? (size_t)(end - bytes) : size;
	const char *const parts[] = {first, bytes, head, end ? end + 1 : ""};
	const size_t sizes[] = {sizeof(first) - 1, line, strlen(head), end ? size - line - 1 : 0};
	struct kt_error failure = {.code = 0};

	note_put(".failed-" DIGEST, parts, sizes, 4);
	if (kt_store_recall_failure(&store, DIGEST, &failure) == 0)
		return;
	fuzz_taken++;
	FUZZ_REQUIRE(failure.code > 0 && failure.reason > KT_REASON_NONE && failure.reason < KT_REASON_COUNT);
	FUZZ_REQUIRE(!kt_reason_get(failure.reason)->transient);
	FUZZ_REQUIRE(memchr(failure.text, '\0', sizeof(failure.text)) && !strchr(failure.text, '\n'));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	pins_check((const char *)bytes, size);
	if (size > 0)
		failure_check((const char *)bytes, size);
	return 0;
}
