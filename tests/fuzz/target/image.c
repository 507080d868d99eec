/* links: kt_contract kt_base */
/* The documents of an image archive: every path that they lead to is one of the archive's own. */
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/contract/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_image_done) struct kt_image image = {.paths = NULL};
	struct kt_error err = {.code = 0};
	int r = kt_image_parse((const char *)bytes, size, &image, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(!image.paths && image.count == 0);
		return 0;
	}
	FUZZ_REQUIRE(image.count >= 1 && image.count <= KT_IMAGE_LAYERS_MAX);
	FUZZ_REQUIRE(image.is_layers || image.count == 1);
	for (size_t i = 0; i < image.count; i++)
		FUZZ_REQUIRE(fuzz_is_good_path(image.paths[i]));
	FUZZ_REQUIRE(image.is_layers || strncmp(image.paths[0], "blobs/sha256/", 13) == 0);
	fuzz_taken++;
	return 0;
}
