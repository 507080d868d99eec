/* .failed-<digest of the manifest>: what a bundle died of here, so that a bad version is not landed again and again.
 *
 *   kontain-failure 1
 *   <reason> / <kernel release> / <boot id> / <text>, one a line
 * Believed only under the same kernel and boot: another may do better. What is no fault of the bundle is never written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "kontain/fs.h"
#include "kontain/own.h"
#include "layout.h"

#define FAILURE_HEAD  "kontain-failure 1\n"
#define FAILURE_BYTES 4096

static bool name_set(const char *manifest_sha256, char ret_name[128])
{
	if (strlen(manifest_sha256) != KT_DIGEST_HEX - 1 ||
	    strspn(manifest_sha256, "0123456789abcdef") != KT_DIGEST_HEX - 1)
		return false;
	(void)snprintf(ret_name, 128, KT_STORE_FAILED "%s", manifest_sha256);
	return true;
}

int kt_store_remember_failure(struct kt_store *store, const char *manifest_sha256, const struct kt_error *failure,
			      struct kt_error *err)
{
	char name[128], text[FAILURE_BYTES], boot_id[37];
	struct utsname kernel;
	int length;

	if (kt_reason_get(failure->reason)->transient)
		return 0;
	if (!name_set(manifest_sha256, name) || uname(&kernel) < 0 || kt_fs_boot_id(boot_id) < 0)
		return kt_fail(err, EINVAL, KT_REASON_INTERNAL, "cannot tell which bundle, kernel or boot failed");
	length = snprintf(text, sizeof(text), FAILURE_HEAD "%s\n%s\n%s\n%s", kt_reason_name(failure->reason),
			  kernel.release, boot_id, failure->text);
	/* one line of text: what km said may have more */
	for (char *c = text + length - strlen(failure->text); *c; c++)
		*c = (unsigned char)*c < 0x20 ? ' ' : *c;
	text[length] = '\n';
	return kt_fs_replace_file(store->dir, name, text, (size_t)length + 1, 0644, err);
}

/* The next line of *rest, cut; NULL at the end. */
static char *line_next(char **rest)
{
	char *line = *rest, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*rest = end + 1;
	return line;
}

int kt_store_recall_failure(const struct kt_store *store, const char *manifest_sha256, struct kt_error *ret_failure)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	char name[128], boot_id[37];
	struct utsname kernel;
	size_t size = 0;

	if (!name_set(manifest_sha256, name) ||
	    kt_fs_read_all(store->dir, name, FAILURE_BYTES, &bytes, &size, NULL) < 0 || uname(&kernel) < 0 ||
	    kt_fs_boot_id(boot_id) < 0 || strncmp(bytes, FAILURE_HEAD, strlen(FAILURE_HEAD)) != 0)
		return 0;

	char *rest = bytes + strlen(FAILURE_HEAD);
	const char *reason_name = line_next(&rest);
	const char *release = reason_name ? line_next(&rest) : NULL;
	const char *boot = release ? line_next(&rest) : NULL;
	const char *text = boot ? line_next(&rest) : NULL;

	if (!text || strcmp(release, kernel.release) != 0 || strcmp(boot, boot_id) != 0)
		return 0;

	enum kt_reason reason = kt_reason_find(reason_name);

	if (reason == KT_REASON_COUNT || kt_reason_get(reason)->transient)
		return 0;
	(void)kt_fail(ret_failure, EPROTO, reason, "%s", text);
	return 1;
}

static int forget_visit(void *context, int dir, const char *name)
{
	(void)context;
	if (strncmp(name, KT_STORE_FAILED, strlen(KT_STORE_FAILED)) != 0)
		return 0;
	return unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
}

int kt_store_forget_failures(struct kt_store *store)
{
	int r = kt_each_entry(store->dir, ".", forget_visit, NULL);

	if (r < 0)
		return r;
	return fsync(store->dir) < 0 ? -errno : 0;
}
