/* A bundle directory on disk, read as strictly as the node needs. */
#ifndef KONTAIN_BUNDLE_H
#define KONTAIN_BUNDLE_H

#include "kontain/contract/manifest.h"

struct kt_bundle {
	int dir; /* owned */
	char path[4096];
	struct kt_manifest manifest;
	char *manifest_bytes; /* owned: as read, for the set's copy */
	size_t manifest_size;
};

/* Opens and parses the manifest, which is some 1 KB; touches no other file. BundleMissing, BundleInvalid,
 * ArchMismatch. */
int kt_bundle_open(const char *path, struct kt_bundle *ret_bundle, struct kt_error *err);
void kt_bundle_done(struct kt_bundle *bundle);

/* Reads the components' lists into the manifest, each held against its digest; done once. BundleInvalid,
 * DigestMismatch. */
int kt_bundle_read_lists(struct kt_bundle *bundle, struct kt_error *err);

/* BundleInvalid names the first file or link in the bundle's folder that no list has. Reads no file. leaves_out[i]:
 * not in components[i]'s folder; NULL: in all. Lists are read. */
int kt_bundle_check_names(const struct kt_bundle *bundle, const bool leaves_out[], struct kt_error *err);

/* Reads the lists; every file is in one, and every entry is there with its type, mode, size and digest. */
int kt_bundle_check(struct kt_bundle *bundle, struct kt_error *err);

#endif
