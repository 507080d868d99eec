/* kontain-bundle.json: JSON bytes <-> struct. Pure: no disk. What the components hold is in their lists
 * (filelist.h). */
#ifndef KONTAIN_MANIFEST_H
#define KONTAIN_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/digest.h"
#include "kontain/base/error.h"
#include "kontain/contract/filelist.h"
#include "kontain/contract/state.h"

#define KT_MANIFEST_NAME "kontain-bundle.json"
/* Of a component's list: <component>.files in a bundle, .files in the store. */
#define KT_FILELIST_NAME ".files"

#define KT_COMPONENT_MAX    7
#define KT_COMPONENT_LINKED 5 /* so many, the first ones, have a link in the store's root */
#define KT_COMPONENT_TOOLS  "tools"
#define KT_COMPONENT_EXTRAS "extras"
/* From bin/ to the tools, in a bundle and, by a link that the store makes, in a version of km. */
#define KT_TOOLS_ABOVE "../tools/"

struct kt_component {
	char name[16];
	char version[KT_VERSION_MAX];
	char digest[KT_DIGEST_HEX]; /* SHA-256 of its list */
	struct kt_filelist list;    /* owned; empty until it is read */
};

struct kt_manifest {
	char version[KT_VERSION_MAX];
	char arch[16]; /* "x86_64" */
	size_t component_count;
	struct kt_component components[KT_COMPONENT_MAX];
	char **self_test_argv;  /* owned, NULL-terminated; NULL when there is none; argv[0] is a path in the bundle */
	char *self_test_expect; /* owned; expected first line */
};

/* Known names in their order, NULL-terminated: km runtime alpine-lib lib shim tools extras. */
extern const char *const kt_component_names[KT_COMPONENT_MAX + 1];
/* The name of a component's folder under the root, where it has one there, and of its link in a set: "km" -> "bin",
 * else the same. */
const char *kt_component_folder(const char *name);
/* The folder in a bundle that its paths begin in: likewise, but "." for the extras, which lie beside the others. */
const char *kt_component_source(const char *name);

/* Strict: unknown keys, duplicates, components out of order, or none called km are BundleInvalid; a foreign arch is
 * ArchMismatch. */
int kt_manifest_parse(const char *bytes, size_t size, struct kt_manifest *ret_manifest, struct kt_error *err);
/* What a manifest alone cannot say, once each component's list is in it: few enough files, a file bin/km, a self-test
 * that is a file of it. BundleInvalid. */
int kt_manifest_check_lists(const struct kt_manifest *manifest, struct kt_error *err);
/* An owned document without the lists; same struct, same bytes. NULL when memory is gone or a text is not UTF-8. */
char *kt_manifest_print(const struct kt_manifest *manifest);
void kt_manifest_done(struct kt_manifest *manifest); /* for KT_OWN; safe on a zeroed struct */

const struct kt_component *kt_manifest_component(const struct kt_manifest *manifest, const char *name);
/* Adds a component with this list (taken) and the version "sha-" and 12 digits of its digest. Borrowed. */
struct kt_component *kt_manifest_add(struct kt_manifest *manifest, const char *name, struct kt_filelist *list);
/* The entry at a path of the bundle ("bin/km", "tests/hello_test.km"), no link followed; borrowed or NULL. */
const struct kt_file *kt_manifest_entry(const struct kt_manifest *manifest, const char *path);
/* Likewise, and a file. */
const struct kt_file *kt_manifest_file(const struct kt_manifest *manifest, const char *path);

#endif
