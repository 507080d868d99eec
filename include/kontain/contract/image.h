/* The documents of an image archive: OCI's index and manifest (image-spec, image-index.md, manifest.md), docker save's
 * manifest.json. Bytes to paths, pure. */
#ifndef KONTAIN_IMAGE_H
#define KONTAIN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "kontain/base/error.h"

#define KT_IMAGE_DOCUMENT_MAX (1024 * 1024)
#define KT_IMAGE_LAYERS_MAX   512

/* Where a document leads: to the layers, the lowest first, or to the one document that says more. */
struct kt_image {
	bool is_layers;
	size_t count;
	char **paths; /* owned: in the archive ("blobs/sha256/...") */
};

/* BundleInvalid: it is not such a document, or names several images for x86-64, or none. */
int kt_image_parse(const char *bytes, size_t size, struct kt_image *ret_image, struct kt_error *err);
void kt_image_done(struct kt_image *image); /* for KT_OWN */

#endif
