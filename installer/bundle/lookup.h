/* Finding names in a manifest, as they will lie under the root. Pure. */
#ifndef KT_BUNDLE_LOOKUP_H
#define KT_BUNDLE_LOOKUP_H

#include "kontain/manifest.h"

#define KT_ROOT "/opt/kontain"

/* By exact path in a sorted list; borrowed, NULL when it is not there. */
const struct kt_bundle_file *kt_files_find(const struct kt_bundle_file *files, size_t count, const char *path);

/* The entry at a path of the bundle ("bin/km", "tests/hello_test.km"), no link followed; borrowed or NULL. */
const struct kt_bundle_file *kt_manifest_entry(const struct kt_manifest *manifest, const char *path);
/* Likewise, and a file. */
const struct kt_bundle_file *kt_manifest_file(const struct kt_manifest *manifest, const char *path);

enum kt_lead {
	KT_LEAD_FILE,    /* a file of this bundle */
	KT_LEAD_NOTHING, /* nothing that this bundle brings, but it stays under the root */
	KT_LEAD_OUTSIDE, /* it leaves the root, or goes in circles */
};
/* Where a path below the root leads once this bundle has landed, links followed as the kernel would. */
enum kt_lead kt_manifest_lead(const struct kt_manifest *manifest, const char *path);

#endif
