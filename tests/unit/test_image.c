/* links: kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kontain/base/own.h"
#include "kontain/contract/image.h"

#define HEX    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "\"sha256:" HEX "\""
#define ARM    "{\"digest\":" DIGEST ",\"platform\":{\"architecture\":\"arm64\"}}"
#define AMD    "{\"digest\":" DIGEST ",\"platform\":{\"architecture\":\"amd64\"}}"

static void test_documents(void **state)
{
	static const struct {
		const char *text;
		bool is_layers;
		size_t count;
		const char *last;
	} rows[] = {
		{"{\"manifests\":[{\"digest\":" DIGEST "}]}", false, 1, "blobs/sha256/" HEX},
		{"{\"manifests\":[" ARM "," AMD "," ARM "]}", false, 1, "blobs/sha256/" HEX},
		{"{\"config\":{},\"layers\":[{\"digest\":" DIGEST "},{\"digest\":" DIGEST "}]}", true, 2,
		 "blobs/sha256/" HEX},
		{"[{\"Config\":\"c\",\"Layers\":[\"1/layer.tar\",\"blobs/sha256/2\"]}]", true, 2, "blobs/sha256/2"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		KT_OWN(kt_image_done) struct kt_image image = {.paths = NULL};
		struct kt_error err = {.code = 0};

		assert_int_equal(kt_image_parse(rows[i].text, strlen(rows[i].text), &image, &err), 0);
		assert_int_equal(image.is_layers, rows[i].is_layers);
		assert_int_equal(image.count, rows[i].count);
		assert_string_equal(image.paths[image.count - 1], rows[i].last);
	}
}

static void test_refusals(void **state)
{
	static const struct {
		const char *text, *words;
	} rows[] = {
		{"", "not JSON"},
		{"{", "not JSON"},
		{"{}", "neither an index nor a manifest"},
		{"[]", "without layers"},
		{"[{\"Layers\":[]}]", "without layers"},
		{"[{\"Layers\":[\"x\"]},{\"Layers\":[\"x\"]}]", "several images"},
		{"[{\"Layers\":[\"../x\"]}]", "leads out"},
		{"[{\"Layers\":[\"/x\"]}]", "leads out"},
		{"{\"manifests\":[]}", "no image for x86-64"},
		{"{\"manifests\":[" ARM "]}", "no image for x86-64"},
		{"{\"manifests\":[" AMD "," AMD "]}", "several images"},
		{"{\"manifests\":[{}]}", "64 digits"},
		{"{\"manifests\":[{\"digest\":\"sha256:../../x\"}]}", "64 digits"},
		{"{\"layers\":[{\"digest\":\"sha256:" HEX "0\"}]}", "64 digits"},
		{"{\"layers\":[1]}", "64 digits"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_image image;
		struct kt_error err = {.code = 0};

		assert_true(kt_image_parse(rows[i].text, strlen(rows[i].text), &image, &err) < 0);
		assert_int_equal(err.reason, KT_REASON_BUNDLE_INVALID);
		assert_non_null(strstr(err.text, rows[i].words));
	}
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(test_documents), cmocka_unit_test(test_refusals)};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
