/* kontain-bundle.json: JSON bytes <-> struct. Pure: no disk. */
#ifndef KONTAIN_MANIFEST_H
#define KONTAIN_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/digest.h"
#include "kontain/error.h"
#include "kontain/state.h"

#define KT_MANIFEST_NAME      "kontain-bundle.json"
#define KT_MANIFEST_BYTES_MAX (32 * 1024 * 1024)
#define KT_MANIFEST_FILES_MAX 100000
#define KT_MANIFEST_PATH_MAX  1024 /* bytes of a path, NUL included */
#define KT_COMPONENT_MAX      5

/* One file or link. Directories are implied by paths. */
struct kt_bundle_file {
	char *path;    /* owned; relative to the component, normalised, no "..", no "." */
	char *link;    /* owned; target of a symbolic link, NULL for a file; never leaves the tree unless under /opt/kontain */
	uint32_t mode; /* 0644 or 0755 */
	uint64_t size_bytes;
	char sha256[KT_DIGEST_HEX];
};

/* A component: km (folder bin), runtime, alpine-lib, lib, shim. */
struct kt_component {
	char name[16];
	char version[KT_VERSION_MAX];
	char digest[KT_DIGEST_HEX]; /* over its files in order: kt_component_digest */
	size_t file_count;
	struct kt_bundle_file *files; /* owned, sorted by path */
};

struct kt_manifest {
	char version[KT_VERSION_MAX];
	char arch[16]; /* "x86_64" */
	size_t component_count;
	struct kt_component components[KT_COMPONENT_MAX];
	char **self_test_argv;    /* owned, NULL-terminated; NULL when there is none; argv[0] is a path in the bundle */
	char *self_test_expect;   /* owned; expected first line */
	size_t extra_count;       /* files beside components (tests/hello_test.km), landed with km's set */
	struct kt_bundle_file *extras;
};

/* The folder in a bundle and under the root that a component's files live in: "km" -> "bin", else the same. */
const char *kt_component_folder(const char *name);
/* Known names in their order, NULL-terminated: km runtime alpine-lib lib shim. */
extern const char *const kt_component_names[KT_COMPONENT_MAX + 1];

/* Strict: unknown keys, duplicates, bad paths, unsorted or too many files are
 * BundleInvalid; a foreign arch is ArchMismatch. Checks that each component's digest is that of its files. */
int kt_manifest_parse(const char *bytes, size_t size, struct kt_manifest *ret_manifest, struct kt_error *err);
/* An owned document; same struct, same bytes. */
char *kt_manifest_print(const struct kt_manifest *manifest);
void kt_manifest_done(struct kt_manifest *manifest); /* for KT_OWN; safe on a zeroed struct */

const struct kt_component *kt_manifest_component(const struct kt_manifest *manifest, const char *name);

/* Fills component->digest's value: SHA-256 over "path\0mode\0size\0sha256\n" / "path\0->link\n" lines. */
void kt_component_digest(const struct kt_component *component, char ret_hex[KT_DIGEST_HEX]);

#endif
