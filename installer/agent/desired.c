#include "desired.h"

#include <errno.h>
#include <stdio.h>

#include "kontain/base/digest.h"
#include "kontain/base/own.h"
#include "kontain/bundle/bundle.h"

static void read_bundle(const char *path, struct kt_desired *desired)
{
	KT_OWN(kt_bundle_done) struct kt_bundle bundle = {.dir = -1};
	KT_OWN(kt_digest_free) struct kt_digest *digest = kt_digest_new();

	desired->bundle_error = (struct kt_error){.reason = KT_REASON_NONE};
	if (digest == NULL) {
		kt_fail(&desired->bundle_error, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
		return;
	}
	if (kt_bundle_open(path, &bundle, &desired->bundle_error) != 0)
		return;
	kt_digest_add(digest, bundle.manifest_bytes, bundle.manifest_size);
	kt_digest_take(digest, desired->manifest_sha256);
	snprintf(desired->version, sizeof desired->version, "%s", bundle.manifest.version);
}

void kt_desired_read(const struct kt_installer *installer, struct kt_desired *desired)
{
	const char *bundle = installer->options.bundle;

	desired->absent = installer->config.desired_absent;
	desired->unfit_not_ready = installer->config.unfit_not_ready;
	desired->asked = bundle != NULL;
	if (bundle != NULL)
		read_bundle(bundle, desired);
}
