/* links: kt_bundle kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "../../installer/bundle/lookup.h"
#include "kontain/base/own.h"
#include "kontain/contract/manifest.h"

#define SHA "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define FILE_(name)                                       \
	{                                                 \
		.path = name, .mode = 0644, .sha256 = SHA \
	}
#define LINK_(name, target)                  \
	{                                    \
		.path = name, .link = target \
	}

static char *self_test[] = {(char *)"tests/hello_test.km", (char *)"Hello", NULL};

static void component_fill(struct kt_component *component, const char *name, const struct kt_file *files, size_t count)
{
	*component = (struct kt_component){.version = "1.0", .digest = SHA};
	strcpy(component->name, name);
	component->list = (struct kt_filelist){.files = calloc(count, sizeof(*files)), .count = count};
	memcpy(component->list.files, files, count * sizeof(*files));
}

static const struct kt_file km_files[] = {
	{.path = "km", .mode = 0755, .size_bytes = 10, .sha256 = SHA},
	{.path = "sub/link", .link = "../km"},
};
static const struct kt_file extra_files[] = {{.path = "tests/hello_test.km", .mode = 0644, .sha256 = SHA}};

/* Its lists are its own, its self-test is borrowed: drop() it. */
static void fill(struct kt_manifest *manifest)
{
	*manifest = (struct kt_manifest){.version = "0.10.3",
					 .arch = "x86_64",
					 .component_count = 2,
					 .self_test_argv = self_test,
					 .self_test_expect = (char *)"Hello, world"};
	component_fill(&manifest->components[0], "km", km_files, 2);
	component_fill(&manifest->components[1], "extras", extra_files, 1);
}

static void drop(struct kt_manifest *manifest)
{
	for (size_t i = 0; i < KT_COMPONENT_MAX; i++)
		kt_filelist_done(&manifest->components[i].list);
}

static const char wanted[] = "{\n"
			     "  \"apiVersion\": \"kontain.app/v1\",\n"
			     "  \"kind\": \"Bundle\",\n"
			     "  \"version\": \"0.10.3\",\n"
			     "  \"arch\": \"x86_64\",\n"
			     "  \"components\": [\n"
			     "    {\"name\": \"km\", \"version\": \"1.0\",\n"
			     "     \"digest\": \"" SHA "\"}\n"
			     "  ]\n"
			     "}\n";

static void test_what_is_written(void **state)
{
	struct kt_manifest manifest;

	(void)state;
	fill(&manifest);
	manifest.component_count = 1;
	manifest.self_test_argv = NULL;

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(&manifest);

	assert_string_equal(text, wanted);
	drop(&manifest);
}

static void test_round_trip(void **state)
{
	KT_OWN(kt_manifest_done) struct kt_manifest read = {.component_count = 0};
	struct kt_manifest manifest;
	struct kt_error err = {0};

	(void)state;
	fill(&manifest);

	KT_OWN(kt_free_mem) char *first = kt_manifest_print(&manifest);

	if (kt_manifest_parse(first, strlen(first), &read, &err) < 0)
		fail_msg("%s", err.text);

	KT_OWN(kt_free_mem) char *second = kt_manifest_print(&read);

	assert_string_equal(first, second);
	assert_string_equal(read.version, "0.10.3");
	assert_int_equal(read.component_count, 2);
	assert_string_equal(read.components[0].digest, SHA);
	assert_int_equal(read.components[0].list.count, 0);
	assert_string_equal(read.self_test_argv[1], "Hello");
	assert_null(read.self_test_argv[2]);
	assert_ptr_equal(kt_manifest_component(&read, "extras"), &read.components[1]);
	assert_null(kt_manifest_component(&read, "runtime"));
	assert_string_equal(kt_component_folder("km"), "bin");
	assert_string_equal(kt_component_folder("lib"), "lib");
	assert_string_equal(kt_component_source("km"), "bin");
	assert_string_equal(kt_component_source("extras"), ".");
	drop(&manifest);
}

/* What is no UTF-8 cannot be written down, and is not written down as something else. */
static void test_unprintable(void **state)
{
	struct kt_manifest manifest;

	(void)state;
	fill(&manifest);
	strcpy(manifest.components[0].version, "\xff");
	assert_null(kt_manifest_print(&manifest));
	drop(&manifest);
}

/* The good document with one piece of it exchanged. */
static char *exchange(const char *from, const char *to)
{
	struct kt_manifest good;
	char *text, *at, *changed;

	fill(&good);
	text = kt_manifest_print(&good);
	drop(&good);
	at = strstr(text, from);
	if (!at)
		fail_msg("not in the document: %s", from);
	changed = malloc(strlen(text) + strlen(to) + 1);
	sprintf(changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
	free(text);
	return changed;
}

static const struct {
	const char *from;
	const char *to;
	const char *said;
} bad_rows[] = {
	{"{", "[{", "not valid JSON"},
	{"{\n", "{\n\"kind\": \"Bundle\",", "not valid JSON"}, /* a key twice */
	{"\"kontain.app/v1\"", "\"kontain.app/v2\"", "apiVersion \"kontain.app/v2\" is not"},
	{"\"kontain.app/v1\"", "1", "apiVersion must be a string"},
	{"\"Bundle\"", "\"NodeState\"", "kind"},
	{"\"kind\"", "\"news\": 1, \"kind\"", "key \"news\" is not known"},
	{"\"kind\"", "\"Kind\"", "key \"Kind\""},
	{"  \"kind\": \"Bundle\",\n", "", "kind is missing"},
	{"\"0.10.3\"", "\"\"", "version"},
	{"\"0.10.3\"", "\"../../etc\"", "version \"../../etc\" is none"},
	{"\"0.10.3\"", "10.3", "version must be a string"},
	{"\"components\": [", "\"components\": {}, \"x\": [", "components"},
	{"{\"name\": \"km\"", "3, {\"name\": \"km\"", "components[0]: must be an object"},
	{"{\"name\": \"km\"", "{\"name\": \"runtime\"", "component km is missing"},
	{"{\"name\": \"km\"", "{\"name\": \"extras\"", "components[1]: name \"extras\" comes twice or out of order"},
	{"\"name\": \"extras\"", "\"name\": \"km\"", "comes twice or out of order"},
	{"\"name\": \"extras\"", "\"name\": \"bin\"", "is not a component"},
	{"\"name\": \"extras\"", "\"name\": \"\"", "is not a component"},
	{"\"version\": \"1.0\"", "\"version\": \"-1\"", "components[0]: version"},
	{"\"version\": \"1.0\"", "\"verse\": \"1.0\"", "components[0]: key \"verse\""},
	{"\"digest\": \"e3b0", "\"digest\": \"E3b0", "is not 64 lower-case"},
	{"\"digest\": \"" SHA "\"}", "\"digest\": \"" SHA "\", \"files\": []}",
	 "components[0]: key \"files\" is not known"},
	{"\"selfTest\"", "\"extras\": [], \"selfTest\"", "key \"extras\" is not known"},
	{SHA, "a7", "digest \"a7\" is not 64"},
	{"\"argv\": [\"tests/hello_test.km\"", "\"argv\": [1", "argv must be strings"},
	{"\"argv\": [\"tests/hello_test.km\", \"Hello\"]", "\"argv\": []", "1 to 32"},
	{"\"Hello\"]", "\"\"]", "is empty"},
	{"\"Hello, world\"", "\"Hello\\nworld\"", "expect \"Hello\\x0aworld\" has a control"},
	{"\"Hello, world\"", "\"Hello\", \"timeout\": 1", "selfTest: key \"timeout\""},
	{", \"expect\": \"Hello, world\"", "", "selfTest: expect is missing"},
};

static void test_bad_documents(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		KT_OWN(kt_free_mem) char *text = exchange(bad_rows[i].from, bad_rows[i].to);
		struct kt_manifest read, before;
		struct kt_error err = {0};

		memset(&read, 0x55, sizeof(read));
		before = read;
		if (kt_manifest_parse(text, strlen(text), &read, &err) == 0)
			fail_msg("taken: %s -> %s", bad_rows[i].from, bad_rows[i].to);
		assert_int_equal(err.reason, KT_REASON_BUNDLE_INVALID);
		if (!strstr(err.text, bad_rows[i].said))
			fail_msg("%s -> %s said: %s", bad_rows[i].from, bad_rows[i].to, err.text);
		for (const char *c = err.text; *c; c++)
			assert_true((unsigned char)*c >= 0x20 || *c == '\n'); /* what is told is fit for a terminal */
		assert_memory_equal(&read, &before, sizeof(read));            /* left alone */
		assert_true(kt_manifest_parse(text, strlen(text), &read, KT_ERROR_IGNORED) < 0);
	}
}

static void test_other_machines(void **state)
{
	KT_OWN(kt_free_mem) char *text = exchange("x86_64", "aarch64");
	struct kt_manifest read;
	struct kt_error err = {0};

	(void)state;
	assert_true(kt_manifest_parse(text, strlen(text), &read, &err) < 0);
	assert_int_equal(err.reason, KT_REASON_ARCH_MISMATCH);
	assert_non_null(strstr(err.text, "aarch64"));
}

/* What a manifest alone cannot say. */
static void test_with_its_lists(void **state)
{
	/* km is a link, or (its second alone) is not there */
	static const struct kt_file no_km[] = {{.path = "km", .link = "krun"},
					       {.path = "krun", .mode = 0755, .sha256 = SHA}};
	static char *other_test[] = {(char *)"bin/sub/link", NULL};
	struct kt_manifest manifest;
	struct kt_error err = {0};

	(void)state;
	fill(&manifest);
	assert_int_equal(kt_manifest_check_lists(&manifest, &err), 0);
	manifest.self_test_argv = other_test;
	assert_int_equal(kt_manifest_check_lists(&manifest, &err), -EINVAL);
	assert_non_null(strstr(err.text, "argv \"bin/sub/link\" is not a file of this bundle"));
	drop(&manifest);
	for (int i = 0; i < 2; i++) {
		fill(&manifest);
		kt_filelist_done(&manifest.components[0].list);
		component_fill(&manifest.components[0], "km", no_km + i, i ? 1 : 2);
		assert_int_equal(kt_manifest_check_lists(&manifest, &err), -EINVAL);
		assert_non_null(strstr(err.text, "bin/km"));
		drop(&manifest);
	}
	fill(&manifest);
	manifest.components[1].list.count = KT_MANIFEST_FILES_MAX - 1; /* and two of km */
	assert_int_equal(kt_manifest_check_lists(&manifest, &err), -E2BIG);
	drop(&manifest);
}

static void test_caps(void **state)
{
	KT_OWN(kt_free_mem) char *large = malloc(KT_MANIFEST_BYTES_MAX + 1);
	KT_OWN(kt_manifest_done) struct kt_manifest read = {.component_count = 0};
	struct kt_manifest manifest;
	struct kt_error err = {0};

	(void)state;
	fill(&manifest);

	KT_OWN(kt_free_mem) char *good = kt_manifest_print(&manifest);

	memset(large, ' ', KT_MANIFEST_BYTES_MAX + 1);
	memcpy(large, good, strlen(good));
	assert_int_equal(kt_manifest_parse(large, KT_MANIFEST_BYTES_MAX, &read, &err), 0);
	kt_manifest_done(&read);
	assert_int_equal(kt_manifest_parse(large, KT_MANIFEST_BYTES_MAX + 1, &read, &err), -EFBIG);
	drop(&manifest);
}

/* Every cut of the good one, in a block of its exact size, and every byte of it changed. */
static void test_cut_and_flipped(void **state)
{
	struct kt_manifest good;
	struct kt_error err = {0};

	(void)state;
	fill(&good);

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(&good);

	drop(&good);
	size_t size = strlen(text);

	for (size_t cut = 0; cut + 2 < size; cut++) {
		struct kt_manifest read;
		char *part = malloc(cut ? cut : 1);

		memcpy(part, text, cut);
		assert_true(kt_manifest_parse(part, cut, &read, &err) < 0);
		free(part);
	}
	for (size_t i = 0; i < size; i++) {
		static const char bytes[] = {'\0', '"', '/', '}', 'x', '\xff'};

		for (size_t k = 0; k < sizeof(bytes); k++) {
			KT_OWN(kt_manifest_done) struct kt_manifest read = {.component_count = 0};
			char was = text[i];

			text[i] = bytes[k];
			(void)kt_manifest_parse(text, size, &read, &err);
			text[i] = was;
		}
	}
}

/* Memory that ends at the first, second, ... request of the JSON reader: an error each time, and nothing is lost. */
static unsigned allocations_left;

static void *scarce_malloc(size_t size)
{
	return allocations_left > 0 && allocations_left-- ? malloc(size) : NULL;
}

static void test_out_of_memory(void **state)
{
	KT_OWN(kt_manifest_done) struct kt_manifest read = {.component_count = 0};
	struct kt_manifest good;
	struct kt_error err = {0};
	int r = -1;

	(void)state;
	fill(&good);

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(&good);

	drop(&good);

	json_set_alloc_funcs(scarce_malloc, free);
	for (unsigned n = 0; n < 10000 && r < 0; n++) {
		allocations_left = n;
		r = kt_manifest_parse(text, strlen(text), &read, &err);
		/* jansson may take a missing string for a wrong one */
		assert_true(r == 0 || err.code == ENOMEM || err.reason == KT_REASON_BUNDLE_INVALID);
	}
	json_set_alloc_funcs(malloc, free);
	assert_int_equal(r, 0);
}

static void test_where_paths_lead(void **state)
{
	static const struct kt_file runtime[] = {LINK_("libc.musl-x86_64.so.1", "./libc.so"), FILE_("libc.so"),
						 LINK_("loop", "pool"), LINK_("pool", "loop")};
	static const struct kt_file alpine[] = {LINK_("abs", "/opt/kontain/runtime/libc.so"), FILE_("lib/real.so"),
						LINK_("usr/lib", "../lib"), LINK_("usr/up", "../..")};
	static const struct {
		const char *path;
		enum kt_lead lead;
	} rows[] = {
		{"bin/km", KT_LEAD_FILE},
		{"/bin//./km", KT_LEAD_FILE},
		{"bin/sub/link", KT_LEAD_FILE},
		{"bin", KT_LEAD_NOTHING},
		{"", KT_LEAD_NOTHING},
		{"etc/passwd", KT_LEAD_NOTHING},
		{"runtime/libc.musl-x86_64.so.1", KT_LEAD_FILE},
		{"current/runtime/libc.so", KT_LEAD_FILE},
		{"versions/runtime/1.0/libc.so", KT_LEAD_FILE},
		{"versions/runtime/2.0/libc.so", KT_LEAD_NOTHING},
		{"versions/km/1.0/bin/km", KT_LEAD_FILE},
		{"alpine-lib/abs", KT_LEAD_FILE},
		{"alpine-lib/usr/lib/real.so", KT_LEAD_FILE},
		{"alpine-lib/usr/lib/../lib/real.so", KT_LEAD_FILE},
		{"alpine-lib/usr/lib/../usr", KT_LEAD_NOTHING},
		{"alpine-lib/../bin/km", KT_LEAD_FILE},
		{"tests/hello_test.km", KT_LEAD_FILE},
		{"..", KT_LEAD_OUTSIDE},
		{"bin/../../etc", KT_LEAD_OUTSIDE},
		{"alpine-lib/usr/up/../bin/km", KT_LEAD_OUTSIDE}, /* usr/up is alpine-lib's parent already */
		{"runtime/loop", KT_LEAD_OUTSIDE},
	};
	struct kt_manifest manifest;

	(void)state;
	fill(&manifest);
	manifest.components[3] = manifest.components[1];
	component_fill(&manifest.components[1], "runtime", runtime, 4);
	component_fill(&manifest.components[2], "alpine-lib", alpine, 4);
	manifest.component_count = 4;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (kt_manifest_lead(&manifest, rows[i].path) != rows[i].lead)
			fail_msg("%s leads to %d", rows[i].path, (int)kt_manifest_lead(&manifest, rows[i].path));
	assert_non_null(kt_manifest_file(&manifest, "tests/hello_test.km"));
	assert_null(kt_manifest_file(&manifest, "bin/sub/link"));
	assert_null(kt_manifest_entry(&manifest, "lib/a b"));
	drop(&manifest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_unprintable),
		cmocka_unit_test(test_bad_documents),
		cmocka_unit_test(test_other_machines),
		cmocka_unit_test(test_with_its_lists),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_cut_and_flipped),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_where_paths_lead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
