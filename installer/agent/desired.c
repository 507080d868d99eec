#include "desired.h"

#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kontain/bundle.h"
#include "kontain/digest.h"
#include "kontain/own.h"

static bool is_unchanged(const char *bundle, struct kt_desired_cache *cache)
{
	char path[4096];
	struct stat status;
	struct kt_desired_cache seen;

	snprintf(path, sizeof path, "%s/%s", bundle, KT_MANIFEST_NAME);
	if (stat(path, &status) != 0) {
		cache->is_filled = false;
		return false;
	}
	memset(&seen, 0, sizeof seen); /* padding too: they are compared as bytes */
	seen.is_filled = true;
	seen.device = status.st_dev;
	seen.inode = status.st_ino;
	seen.size = (unsigned long long)status.st_size;
	seen.mtime_ns = status.st_mtim.tv_sec * 1000000000LL + status.st_mtim.tv_nsec;
	if (cache->is_filled && memcmp(&seen, cache, sizeof seen) == 0)
		return true;
	*cache = seen;
	return false;
}

static void read_bundle(const char *path, struct kt_desired *desired)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();

	desired->bundle_error = (struct kt_error){.reason = KT_REASON_NONE};
	if (digest == NULL) {
		kt_fail(&desired->bundle_error, 12, KT_REASON_INTERNAL, "out of memory");
		return;
	}
	if (kt_bundle_open(path, &bundle, &desired->bundle_error) != 0)
		return;
	kt_digest_add(digest, bundle.manifest_bytes, bundle.manifest_size);
	kt_digest_take(digest, desired->manifest_sha256);
	snprintf(desired->version, sizeof desired->version, "%s", bundle.manifest.version);
}

void kt_desired_read(const struct kt_installer *installer, struct kt_desired_cache *cache,
		     struct kt_desired *desired)
{
	const char *bundle = installer->options.bundle;

	desired->absent = installer->config.desired_absent;
	desired->unfit_not_ready = installer->config.unfit_not_ready;
	desired->asked = bundle != NULL;
	if (bundle != NULL && !is_unchanged(bundle, cache)) {
		read_bundle(bundle, desired);
		malloc_trim(0); /* a manifest of thousands of files takes megabytes, once: give them back */
	}
}
