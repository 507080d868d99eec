/* Finding names in a manifest, as they will lie under the root. Pure. */
#ifndef KT_BUNDLE_LOOKUP_H
#define KT_BUNDLE_LOOKUP_H

#include "kontain/contract/manifest.h"
#include "kontain/contract/paths.h"

enum kt_lead {
	KT_LEAD_FILE,    /* a file of this bundle */
	KT_LEAD_NOTHING, /* nothing that this bundle brings, but it stays under the root */
	KT_LEAD_OUTSIDE, /* it leaves the root, or goes in circles */
};
/* Where a path below the root leads once this bundle has landed, links followed as the kernel would. */
enum kt_lead kt_manifest_lead(const struct kt_manifest *manifest, const char *path);

#endif
