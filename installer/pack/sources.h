/* What a bundle is made from. */
#ifndef KT_PACK_SOURCES_H
#define KT_PACK_SOURCES_H

#include "kontain/contract/manifest.h"
#include "place.h"

/* A folder with bin/ and perhaps the others in it. */
int kt_tree_take(const char *path, struct kt_place *place, struct kt_error *err);
/* A release tarball; compressed by gzip, xz, zstd, bzip2 or not at all. */
int kt_archive_take(const char *path, struct kt_place *place, struct kt_error *err);
/* One layer of an image, over what is in the place. fd is borrowed. */
int kt_layer_take(int fd, struct kt_place *place, struct kt_error *err);

/* Makes what runtime/ lacks of the links and empty libraries that programs are linked against. */
int kt_links_make(struct kt_place *place, struct kt_error *err);

/* Moves km's tools out of bin/, reads what was taken, and writes each component's list. The manifest gets the
 * components, lists and all, with the digest of their content as version. */
int kt_survey(struct kt_place *place, struct kt_manifest *manifest, struct kt_error *err);

#endif
