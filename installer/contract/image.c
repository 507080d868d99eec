#include "kontain/contract/image.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/own.h"
#include "kontain/contract/jsonbound.h"
#include "kontain/contract/paths.h"

#define SIGNS_MAX 20000 /* a document of 512 layers and their annotations has some thousands */

static int invalid(const char *what, struct kt_error *err)
{
	return kt_fail(err, EINVAL, KT_REASON_BUNDLE_INVALID, "the image archive %s", what);
}

void kt_image_done(struct kt_image *image)
{
	for (size_t i = 0; i < image->count; i++)
		free(image->paths[i]);
	free(image->paths);
	*image = (struct kt_image){.paths = NULL};
}

static int path_add(struct kt_image *image, const char *folder, const char *name, struct kt_error *err)
{
	size_t size = strlen(folder) + strlen(name) + 1;

	if (!image->paths)
		image->paths = calloc(KT_IMAGE_LAYERS_MAX, sizeof(*image->paths));
	if (image->count == KT_IMAGE_LAYERS_MAX)
		return invalid("has more layers than an image may have", err);
	if (image->paths)
		image->paths[image->count] = malloc(size);
	if (!image->paths || !image->paths[image->count])
		return kt_fail(err, ENOMEM, KT_REASON_OUT_OF_MEMORY, "out of memory");
	(void)stpcpy(stpcpy(image->paths[image->count++], folder), name);
	return 0;
}

static int blob_add(struct kt_image *image, const json_t *descriptor, struct kt_error *err)
{
	static const char prefix[] = "sha256:";
	const char *digest = json_string_value(json_object_get(descriptor, "digest"));

	if (!digest || strncmp(digest, prefix, strlen(prefix)) != 0 ||
	    strspn(digest + strlen(prefix), "0123456789abcdef") != 64 || strlen(digest) != strlen(prefix) + 64)
		return invalid("names a blob by something else than sha256: and 64 digits", err);
	return path_add(image, "blobs/sha256/", digest + strlen(prefix), err);
}

/* Of several platforms the one that payloads are for; what is of none ("unknown") is no image. */
static bool is_for_us(const json_t *descriptor)
{
	const json_t *platform = json_object_get(descriptor, "platform");
	const char *architecture = json_string_value(json_object_get(platform, "architecture"));

	return !platform || (architecture && strcmp(architecture, "amd64") == 0);
}

static int index_take(const json_t *manifests, struct kt_image *image, struct kt_error *err)
{
	for (size_t i = 0; i < json_array_size(manifests); i++) {
		const json_t *descriptor = json_array_get(manifests, i);
		int r;

		if (!is_for_us(descriptor))
			continue;
		if (image->count > 0)
			return invalid("holds several images: save one", err);
		r = blob_add(image, descriptor, err);
		if (r < 0)
			return r;
	}
	return image->count > 0 ? 0 : invalid("holds no image for x86-64 (amd64)", err);
}

static int layers_take(const json_t *layers, struct kt_image *image, struct kt_error *err)
{
	int r = 0;

	image->is_layers = true;
	for (size_t i = 0; r == 0 && i < json_array_size(layers); i++) {
		const json_t *layer = json_array_get(layers, i);
		const char *path = json_string_value(layer);

		if (!path)
			r = blob_add(image, layer, err);
		else
			r = kt_path_flaw(path) ? invalid("names a layer by a path that leads out of it", err) :
						 path_add(image, "", path, err);
	}
	if (r == 0 && image->count == 0)
		return invalid("holds an image without layers", err);
	return r;
}

static int root_take(const json_t *root, struct kt_image *image, struct kt_error *err)
{
	if (json_is_array(root) && json_array_size(root) > 1)
		return invalid("holds several images: save one", err);
	if (json_is_array(root))
		return layers_take(json_object_get(json_array_get(root, 0), "Layers"), image, err);
	if (json_is_array(json_object_get(root, "manifests")))
		return index_take(json_object_get(root, "manifests"), image, err);
	if (json_is_array(json_object_get(root, "layers")))
		return layers_take(json_object_get(root, "layers"), image, err);
	return invalid("has a document that is neither an index nor a manifest", err);
}

int kt_image_parse(const char *bytes, size_t size, struct kt_image *ret_image, struct kt_error *err)
{
	KT_OWN(kt_image_done) struct kt_image image = {.paths = NULL};
	json_t *root = size <= KT_IMAGE_DOCUMENT_MAX && kt_json_is_within(bytes, size, SIGNS_MAX) ?
			       json_loadb(bytes, size, JSON_REJECT_DUPLICATES, NULL) :
			       NULL;
	int r = root ? root_take(root, &image, err) : invalid("has a document that is not JSON, or is too large", err);

	json_decref(root);
	if (r < 0)
		return r;
	*ret_image = image;
	image = (struct kt_image){.paths = NULL};
	return 0;
}
