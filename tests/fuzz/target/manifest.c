/* links: kt_bundle kt_contract kt_base */
/* A bundle's manifest, and what follows on one that is taken: printed, read again, held against the least list. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/contract/manifest.h"

static bool is_hex_digest(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

static void components_check(const struct kt_manifest *manifest)
{
	size_t name = 0;

	FUZZ_REQUIRE(manifest->component_count >= 1 && manifest->component_count <= KT_COMPONENT_MAX);
	for (size_t i = 0; i < manifest->component_count; i++) {
		const struct kt_component *component = &manifest->components[i];

		while (kt_component_names[name] && strcmp(kt_component_names[name], component->name) != 0)
			name++;
		FUZZ_REQUIRE(kt_component_names[name++] != NULL); /* known, in order, once */
		FUZZ_REQUIRE(kt_version_is_valid(component->version) && fuzz_is_good_path(component->version));
		FUZZ_REQUIRE(is_hex_digest(component->digest));
		FUZZ_REQUIRE(!component->list.text && !component->list.files && component->list.count == 0);
		FUZZ_REQUIRE(kt_manifest_component(manifest, component->name) == component);
	}
}

static void self_test_check(const struct kt_manifest *manifest)
{
	size_t words = 0;

	FUZZ_REQUIRE(!manifest->self_test_argv == !manifest->self_test_expect);
	if (!manifest->self_test_argv)
		return;
	for (; manifest->self_test_argv[words]; words++)
		FUZZ_REQUIRE(manifest->self_test_argv[words][0] && fuzz_is_visible(manifest->self_test_argv[words]));
	FUZZ_REQUIRE(words >= 1 && words <= KT_SELF_TEST_ARGS_MAX);
	FUZZ_REQUIRE(manifest->self_test_expect[0] && fuzz_is_visible(manifest->self_test_expect));
}

/* The least list that is well: with it a bundle is whole when it asks for no self-test, or for km itself. */
static void lists_check(struct kt_manifest *manifest)
{
	static struct kt_file km[] = {{.path = "km", .mode = 0755}};
	struct kt_error err = {.code = 0};
	int r = kt_manifest_check_lists(manifest, &err);

	FUZZ_REQUIRE(r < 0); /* nothing is there, not even km */
	fuzz_check_refusal(r, &err);
	manifest->components[0].list = (struct kt_filelist){.files = km, .count = 1};
	r = kt_manifest_check_lists(manifest, &err);
	if (r < 0)
		fuzz_check_refusal(r, &err);
	FUZZ_REQUIRE((r == 0) == (!manifest->self_test_argv || strcmp(manifest->self_test_argv[0], "bin/km") == 0));
	manifest->components[0].list = (struct kt_filelist){.files = NULL};
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	KT_OWN(kt_manifest_done) struct kt_manifest again = {.component_count = 0};
	struct kt_error err = {.code = 0};
	int r = kt_manifest_parse((const char *)bytes, size, &manifest, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(manifest.component_count == 0 && !manifest.self_test_argv);
		return 0;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(size <= KT_MANIFEST_BYTES_MAX);
	FUZZ_REQUIRE(kt_version_is_valid(manifest.version) && strcmp(manifest.arch, "x86_64") == 0);
	components_check(&manifest);
	FUZZ_REQUIRE(kt_manifest_component(&manifest, "km") == &manifest.components[0]);
	self_test_check(&manifest);
	lists_check(&manifest);

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(&manifest);

	FUZZ_REQUIRE(text != NULL);
	FUZZ_REQUIRE(kt_manifest_parse(text, strlen(text), &again, KT_ERROR_IGNORED) == 0);

	KT_OWN(kt_free_mem) char *text_again = kt_manifest_print(&again);

	FUZZ_REQUIRE(fuzz_is_same(text, text_again));
	return 0;
}
