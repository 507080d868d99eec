/* links: kt_bundle kt_contract kt_base */
/* The rules for names, of each component: a path, a NUL, and the target of a link at that path. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/contract/manifest.h"
#include "kontain/contract/paths.h"
#include "kontain/contract/state.h"

static void shown_check(const char *text)
{
	char shown[KT_SHOWN_MAX];

	FUZZ_REQUIRE(kt_path_show(text, shown) == shown);
	FUZZ_REQUIRE(memchr(shown, '\0', sizeof(shown)) && fuzz_is_visible(shown));
	if (strlen(text) < KT_SHOWN_MAX - 4 && fuzz_is_visible(text))
		FUZZ_REQUIRE(strcmp(text, shown) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t *cut = size > 0 ? memchr(bytes, '\0', size) : NULL;
	size_t length = cut ? (size_t)(cut - bytes) : size;
	KT_OWN(kt_free_mem) char *path = strndup((const char *)bytes, length);
	KT_OWN(kt_free_mem) char *target = strndup(cut ? (const char *)cut + 1 : "", cut ? size - length - 1 : 0);
	bool is_taken = false;

	FUZZ_REQUIRE(path && target);
	shown_check(path);
	shown_check(target);
	FUZZ_REQUIRE((kt_text_flaw(path) == NULL) == fuzz_is_visible(path));
	FUZZ_REQUIRE((kt_path_flaw(path) == NULL) == fuzz_is_good_path(path));
	FUZZ_REQUIRE(!kt_version_is_valid(path) || (fuzz_is_good_path(path) && strlen(path) <= 63));
	if (kt_path_flaw(path))
		return 0;
	for (size_t i = 0; kt_component_names[i]; i++) {
		const char *component = kt_component_names[i];
		const char *flaw = kt_link_flaw(component, path, target);

		FUZZ_REQUIRE(flaw || !kt_link_escape(component, path, target));
		FUZZ_REQUIRE((kt_path_reserved(component, path) != NULL) == fuzz_is_reserved(component, path));
		FUZZ_REQUIRE(flaw || fuzz_is_good_link(component, path, target));
		is_taken = is_taken || !flaw;
	}
	fuzz_taken += is_taken;
	return 0;
}
