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
#include "kontain/manifest.h"
#include "kontain/own.h"
#include "kontain/paths.h"

#define SHA    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DIGEST "a75518fdbc1cef71b5d61b06ce13cc13af2ccd70b74ee4420768626a61f5b46d" /* of km_files, by another program */
#define FILE_(name) {.path = (char *)(name), .mode = 0644, .sha256 = SHA}
#define LINK_(name, target) {.path = (char *)(name), .link = (char *)(target)}

static struct kt_bundle_file km_files[] = {
	{.path = (char *)"km", .mode = 0755, .size_bytes = 10, .sha256 = SHA},
	LINK_("sub/link", "../km"),
};
static struct kt_bundle_file lib_files[] = {FILE_("\"\\\xc3\xa4"), FILE_("a b"),
					    LINK_("z", "/opt/kontain/runtime/libc.so")};
static struct kt_bundle_file extra_files[] = {FILE_("tests/hello_test.km")};
static char *self_test[] = {(char *)"tests/hello_test.km", (char *)"Hello", NULL};

static void component_fill(struct kt_component *component, const char *name, struct kt_bundle_file *files, size_t count)
{
	*component = (struct kt_component){.version = "1.0", .file_count = count, .files = files};
	strcpy(component->name, name);
	kt_component_digest(component, component->digest);
}

/* Borrows everything: never kt_manifest_done on it. */
static void fill(struct kt_manifest *manifest)
{
	*manifest = (struct kt_manifest){.version = "0.10.3", .arch = "x86_64", .component_count = 2,
					 .self_test_argv = self_test, .self_test_expect = (char *)"Hello, world",
					 .extra_count = 1, .extras = extra_files};
	component_fill(&manifest->components[0], "km", km_files, 2);
	component_fill(&manifest->components[1], "lib", lib_files, 3);
}

static const char wanted[] =
	"{\n"
	"  \"apiVersion\": \"kontain.app/v1\",\n"
	"  \"kind\": \"Bundle\",\n"
	"  \"version\": \"0.10.3\",\n"
	"  \"arch\": \"x86_64\",\n"
	"  \"components\": [\n"
	"    {\"name\": \"km\", \"version\": \"1.0\",\n"
	"     \"digest\": \"" DIGEST "\",\n"
	"     \"files\": [\n"
	"       {\"path\": \"km\", \"mode\": \"0755\", \"size\": 10, \"sha256\": \"" SHA "\"},\n"
	"       {\"path\": \"sub/link\", \"link\": \"../km\"}]}\n"
	"  ]\n"
	"}\n";

static void test_what_is_written(void **state)
{
	struct kt_manifest manifest;

	(void)state;
	fill(&manifest);
	manifest.component_count = 1;
	manifest.extra_count = 0;
	manifest.self_test_argv = NULL;

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(&manifest);

	assert_string_equal(text, wanted);
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
	assert_string_equal(read.components[0].digest, DIGEST);
	assert_int_equal(read.components[0].files[0].mode, 0755);
	assert_int_equal(read.components[0].files[0].size_bytes, 10);
	assert_null(read.components[0].files[0].link);
	assert_string_equal(read.components[1].files[1].path, "a b");
	assert_string_equal(read.components[1].files[2].link, "/opt/kontain/runtime/libc.so");
	assert_string_equal(read.self_test_argv[1], "Hello");
	assert_null(read.self_test_argv[2]);
	assert_string_equal(read.extras[0].path, "tests/hello_test.km");
	assert_ptr_equal(kt_manifest_component(&read, "lib"), &read.components[1]);
	assert_null(kt_manifest_component(&read, "runtime"));
	assert_string_equal(kt_component_folder("km"), "bin");
	assert_string_equal(kt_component_folder("lib"), "lib");
}

/* What is no UTF-8 cannot be written down, and is not written down as something else. */
static void test_unprintable(void **state)
{
	struct kt_bundle_file files[] = {FILE_("km"), FILE_("\xff")};
	struct kt_manifest manifest;

	(void)state;
	fill(&manifest);
	manifest.components[0].files = files;
	assert_null(kt_manifest_print(&manifest));
}

/* The good document with one piece of it exchanged. */
static char *exchange(const char *from, const char *to)
{
	struct kt_manifest good;
	char *text, *at, *changed;

	fill(&good);
	text = kt_manifest_print(&good);
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
	{"{", "[{", "no JSON"},
	{"{\n", "{\n\"kind\": \"Bundle\",", "no JSON"}, /* a key twice */
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
	{"{\"name\": \"km\"", "{\"name\": \"runtime\"", "bin/km"},
	{"{\"name\": \"km\"", "{\"name\": \"shim\"", "components[1]: name \"lib\" comes twice or out of order"},
	{"\"name\": \"lib\"", "\"name\": \"km\"", "comes twice or out of order"},
	{"\"name\": \"lib\"", "\"name\": \"bin\"", "is no component's"},
	{"\"name\": \"lib\"", "\"name\": \"\"", "is no component's"},
	{"\"version\": \"1.0\"", "\"version\": \"-1\"", "components[0]: version"},
	{"\"version\": \"1.0\"", "\"verse\": \"1.0\"", "components[0]: key \"verse\""},
	{DIGEST, "a7", "digest \"a7\" is not 64"},
	{DIGEST, SHA, "digest of km is not that of its files"},
	{"a75518", "A75518", "is not 64 lower-case"},
	{"\"path\": \"km\"", "\"path\": \"../km\"", "components[0]: files[0]: path \"../km\" has a \"..\" part"},
	{"\"path\": \"km\"", "\"path\": \"k\\u0000m\"", "no JSON"},
	{"\"path\": \"km\"", "\"path\": \"k\\u001bm\"", "has a control character"},
	{"\"path\": \"km\"", "\"path\": \"k\xffm\"", "no JSON"},
	{"\"path\": \"km\"", "\"path\": 1", "path must be a string"},
	{"\"path\": \"km\"", "\"path\": \"l\"", "digest of km"},
	{"\"path\": \"km\", ", "", "path is missing"},
	{"\"0755\"", "\"0777\"", "mode \"0777\" is neither"},
	{"\"0755\"", "\"4755\"", "mode"},
	{"\"0755\"", "\"755\"", "mode"},
	{"\"0755\"", "493", "mode must be a string"},
	{"\"0755\"", "\"0644\"", "digest of km"},
	{"\"size\": 10", "\"size\": -1", "size -1 is out of range"},
	{"\"size\": 10", "\"size\": 1099511627777", "out of range"},
	{"\"size\": 10", "\"size\": 9223372036854775808", "no JSON"},
	{"\"size\": 10", "\"size\": 10.0", "size must be an integer"},
	{"\"size\": 10", "\"size\": 11", "digest of km"},
	{"\"size\": 10, ", "", "size is missing"},
	{"\"size\": 10", "\"size\": 10, \"owner\": 0", "key \"owner\""},
	{"\"sha256\": \"e3b0", "\"sha256\": \"E3b0", "sha256"},
	{"\"sha256\": \"e3b0", "\"sha256\": \"e3b00", "sha256"},
	{"\"sha256\": \"e3b0", "\"sha256\": \"e3b1", "digest of km"},
	{"\"link\": \"../km\"", "\"link\": \"../../km\"", "files[1]: link \"../../km\" leads out of its tree"},
	{"\"link\": \"../km\"", "\"link\": \"km\"", "digest of km"},
	{"\"link\": \"../km\"", "\"link\": \"../km\", \"mode\": \"0644\"", "key \"mode\""},
	{"\"link\": \"../km\"", "\"link\": null", "link must be a string"},
	{"\"extras\": [", "\"extras\": [], \"x\": [", "key \"x\""},
	{"\"tests/hello_test.km\", \"mode\"", "\"bin/extra\", \"mode\"", "extras[0]: path \"bin/extra\" lies in"},
	{"\"tests/hello_test.km\", \"mode\"", "\"SHIM/extra\", \"mode\"", "extras[0]"},
	{"\"tests/hello_test.km\", \"mode\"", "\"lib\", \"mode\"", "extras[0]"},
	{"\"tests/hello_test.km\", \"mode\"", "\"kontain-bundle.json\", \"mode\"", "extras[0]"},
	{"\"tests/hello_test.km\", \"mode\"", "\"Kontain-bundle.json/x\", \"mode\"", "extras[0]"},
	{"\"tests/hello_test.km\", \"mode\"", "\"binary\", \"mode\"", "is no file of this bundle"},
	{"\"argv\": [\"tests/hello_test.km\"", "\"argv\": [\"/bin/sh\"", "selfTest: argv \"/bin/sh\" is no file"},
	{"\"argv\": [\"tests/hello_test.km\"", "\"argv\": [\"bin/sub/link\"", "is no file of this bundle"},
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
		assert_true(kt_manifest_parse(text, strlen(text), &read, NULL) < 0);
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

static void test_km_is_wanted(void **state)
{
	struct kt_bundle_file other[] = {FILE_("krun")}, link[] = {LINK_("km", "krun"), FILE_("krun")};
	static const struct {
		size_t first, count;
	} parts[] = {{0, 0}, {1, 1}};
	struct kt_manifest manifest, read;
	struct kt_error err = {0};

	(void)state;
	for (int i = 0; i < 4; i++) {
		fill(&manifest);
		manifest.self_test_argv = NULL;
		if (i < 2) {
			memmove(manifest.components, manifest.components + parts[i].first,
				sizeof(manifest.components[0]));
			manifest.component_count = parts[i].count;
		} else {
			component_fill(&manifest.components[0], "km", i == 2 ? other : link, i == 2 ? 1 : 2);
		}

		KT_OWN(kt_free_mem) char *text = kt_manifest_print(&manifest);

		assert_true(kt_manifest_parse(text, strlen(text), &read, &err) < 0);
		assert_int_equal(err.reason, KT_REASON_BUNDLE_INVALID);
		assert_non_null(strstr(err.text, "bin/km"));
	}
}

static void test_paths(void **state)
{
	static const struct {
		const char *path;
		const char *flaw; /* NULL: none */
	} rows[] = {
		{"a", NULL},
		{"a/b/c.so.1", NULL},
		{"...", NULL},
		{"..a/.b/c..", NULL},
		{"a b", NULL},
		{"\xc3\xa4/\xf0\x9f\x98\x80", NULL},
		{"-rf", NULL},
		{"", "empty"},
		{"/", "absolute"},
		{"/a", "absolute"},
		{"a/", "empty part"},
		{"a//b", "empty part"},
		{".", "\".\""},
		{"./a", "\".\""},
		{"a/.", "\".\""},
		{"..", "\"..\""},
		{"../a", "\"..\""},
		{"a/../b", "\"..\""},
		{"a/..", "\"..\""},
		{"a\nb", "control"},
		{"a\x7f", "control"},
		{"a\xc2\x80", "control"},
		{"\xff", "UTF-8"},
		{"a/\xc3", "UTF-8"},
		{"\xed\xa0\x80", "UTF-8"},
	};
	char part[600], path[KT_MANIFEST_PATH_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *flaw = kt_path_flaw(rows[i].path);

		if (!flaw != !rows[i].flaw || (flaw && !strstr(flaw, rows[i].flaw)))
			fail_msg("%s: %s", rows[i].path, flaw ? flaw : "taken");
	}
	memset(part, 'a', sizeof(part));
	part[255] = '\0';
	assert_null(kt_path_flaw(part));
	part[255] = 'a';
	part[256] = '\0';
	assert_non_null(kt_path_flaw(part));
	for (size_t i = 0; i < sizeof(path); i++)
		path[i] = i % 2 ? '/' : 'a';
	path[KT_MANIFEST_PATH_MAX] = '\0';
	assert_non_null(kt_path_flaw(path)); /* 1024 bytes */
	path[KT_MANIFEST_PATH_MAX - 1] = '\0';
	assert_null(kt_path_flaw(path)); /* 1023, and ends in a name */
}

static void test_links(void **state)
{
	static const struct {
		const char *path;
		const char *target;
		const char *flaw;
	} rows[] = {
		{"a", "b", NULL},
		{"a", "./b", NULL},
		{"a", "b//c", NULL},
		{"a", "b/", NULL},
		{"d/a", "..", NULL},
		{"d/a", "../b", NULL},
		{"d/e/a", "../../b/c", NULL},
		{"d/a", "./../b", NULL},
		{"a", "/opt/kontain/runtime/libc.so", NULL},
		{"a", "/opt/kontain/", NULL},
		{"a", "", "empty"},
		{"a", "..", "out of its tree"},
		{"a", "../b", "out of its tree"},
		{"d/a", "../../b", "out of its tree"},
		{"d/a", "b/../c", "behind a name"}, /* b may be a link */
		{"d/a", "../b/..", "behind a name"},
		{"a", "/", "outside"},
		{"a", "/etc/passwd", "outside"},
		{"a", "/opt/kontain", "outside"},
		{"a", "/opt/kontainer/x", "outside"},
		{"a", "/opt/kontain/../../etc", "behind a name"},
		{"a", "//opt/kontain/x", "outside"},
		{"a", "b\nc", "control"},
		{"a", "\xff", "UTF-8"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *flaw = kt_link_flaw(rows[i].path, rows[i].target);

		if (!flaw != !rows[i].flaw || (flaw && !strstr(flaw, rows[i].flaw)))
			fail_msg("%s -> %s: %s", rows[i].path, rows[i].target, flaw ? flaw : "taken");

		/* one that leads out is told from one that is no target at all */
		const char *escape = kt_link_escape(rows[i].path, rows[i].target);
		bool is_out = rows[i].flaw && (strstr(rows[i].flaw, "out") || strstr(rows[i].flaw, "behind"));

		if (is_out != (escape != NULL) || (escape && strcmp(escape, flaw) != 0))
			fail_msg("%s -> %s: %s", rows[i].path, rows[i].target, escape ? escape : "stays");
	}
}

static void test_reserved_names(void **state)
{
	static const struct {
		const char *path;
		bool is_reserved;
	} rows[] = {
		{".files", true},
		{".files/a", true},
		{".kontain-component", true},
		{"kontain-bundle.json", true},
		{"km.files", true},
		{"alpine-lib.files/x", true},
		{"lib.files", true},
		{".partial-", true},
		{".partial-lib/x", true},
		{"a/.files", false}, /* the store's own lie at the top */
		{"a/kontain-bundle.json", false},
		{".file", false},
		{".files2", false},
		{"bin.files", false}, /* named after the component, km */
		{"km.filesx", false},
		{"km", false},
		{".partial", false},
		{"libx.files", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if ((kt_path_reserved(rows[i].path) != NULL) != rows[i].is_reserved)
			fail_msg("%s", rows[i].path);
}

static void test_files_together(void **state)
{
	static const struct {
		const char *paths[6];
		const char *flaw;
		size_t index;
	} rows[] = {
		{{"a"}, NULL, 0},
		{{"a", "b", "c/d", "c/e", "c0"}, NULL, 0},
		{{"a", "a-b", "a.b", "a0"}, NULL, 0},
		{{"A", "b"}, NULL, 0},
		{{"A/x", "A/y", "b"}, NULL, 0},
		{{"A/b", "AB"}, NULL, 0},
		{{"a", "a"}, "twice", 1},
		{{"a", "c", "b"}, "order", 2},
		{{"a", "b", "B"}, "order", 2},
		{{"B", "a", "b"}, NULL, 0}, /* case counts, as in header trees */
		{{"A/x", "a/x"}, NULL, 0},
		{{"A", "a/y"}, NULL, 0},
		{{"a", "a-b", "a-c", "a/b/c"}, "below", 3},
		{{".partial-x"}, "the store keeps", 0},
		{{"a", "kontain-bundle.json"}, "the store keeps", 1},
		{{"a", "a-b", "a/c"}, "below", 2},
		{{"a/b", "a/b/c"}, "below", 1},
		{{"A", "A/c"}, "below", 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_bundle_file files[6];
		size_t count = 0, index = 99;

		for (; count < 6 && rows[i].paths[count]; count++)
			files[count] = (struct kt_bundle_file){.path = (char *)rows[i].paths[count]};

		const char *flaw = kt_files_flaw(files, count, &index);

		if (!flaw != !rows[i].flaw || (flaw && (!strstr(flaw, rows[i].flaw) || index != rows[i].index)))
			fail_msg("row %zu: %s at %zu", i, flaw ? flaw : "taken", index);
	}
}

static void test_names_that_are_shown(void **state)
{
	char shown[KT_SHOWN_MAX], path[1000];

	(void)state;
	assert_string_equal(kt_path_show("a\x1b[31m\xff\n\xc2\x9b\xc3\xa4", shown),
			    "a\\x1b[31m\\xff\\x0a\\xc2\\x9b\xc3\xa4");
	memset(path, '\xff', 100);
	path[100] = '\0';
	(void)kt_path_show(path, shown);
	assert_int_equal(strlen(shown), 159); /* no half byte */
	assert_string_equal(shown + 152, "\\xff...");
	memset(path, 'a', sizeof(path));
	path[155] = '\xc3';
	path[156] = '\xa4';
	path[sizeof(path) - 1] = '\0';
	(void)kt_path_show(path, shown);
	assert_int_equal(strlen(shown), 158); /* no half character */
	assert_string_equal(shown + 155, "...");
}

static void test_caps(void **state)
{
	KT_OWN(kt_free_mem) char *large = malloc(KT_MANIFEST_BYTES_MAX + 1);
	size_t count = KT_MANIFEST_FILES_MAX;
	KT_OWN(kt_free_mem) struct kt_bundle_file *files = calloc(count, sizeof(*files));
	KT_OWN(kt_free_mem) char *names = malloc(count * 8);
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
	memset(large, '[', KT_MANIFEST_BYTES_MAX);
	assert_int_equal(kt_manifest_parse(large, KT_MANIFEST_BYTES_MAX, &read, &err), -E2BIG);
	/* in a string they are letters */
	memset(large, ',', KT_MANIFEST_BYTES_MAX);
	memcpy(large, "{\"apiVersion\": \"\\\"", 18);
	memcpy(large + KT_MANIFEST_BYTES_MAX - 2, "\"}", 2);
	assert_int_equal(kt_manifest_parse(large, KT_MANIFEST_BYTES_MAX, &read, &err), -EINVAL);
	assert_non_null(strstr(err.text, "is missing"));

	for (size_t i = 0; i < count; i++) {
		sprintf(names + i * 8, "f%06zu", i);
		files[i] = (struct kt_bundle_file)FILE_(names + i * 8);
	}
	fill(&manifest);
	/* 2 of km and 1 extra leave this many */
	component_fill(&manifest.components[1], "lib", files, count - 3);

	KT_OWN(kt_free_mem) char *most = kt_manifest_print(&manifest);

	if (kt_manifest_parse(most, strlen(most), &read, &err) < 0)
		fail_msg("%s", err.text);
	component_fill(&manifest.components[1], "lib", files, count - 2);

	KT_OWN(kt_free_mem) char *more = kt_manifest_print(&manifest);

	assert_int_equal(kt_manifest_parse(more, strlen(more), &read, &err), -E2BIG);
	assert_int_equal(err.reason, KT_REASON_BUNDLE_INVALID);
}

/* Every cut of the good one, in a block of its exact size, and every byte of it changed. */
static void test_cut_and_flipped(void **state)
{
	struct kt_manifest good;
	struct kt_error err = {0};

	(void)state;
	fill(&good);

	KT_OWN(kt_free_mem) char *text = kt_manifest_print(&good);
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
	struct kt_bundle_file runtime[] = {LINK_("libc.musl-x86_64.so.1", "./libc.so"), FILE_("libc.so"),
					   LINK_("loop", "pool"), LINK_("pool", "loop")};
	struct kt_bundle_file alpine[] = {LINK_("abs", "/opt/kontain/runtime/libc.so"), FILE_("lib/real.so"),
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
		{"..", KT_LEAD_OUTSIDE},
		{"bin/../../etc", KT_LEAD_OUTSIDE},
		{"alpine-lib/usr/up/../bin/km", KT_LEAD_OUTSIDE}, /* usr/up is alpine-lib's parent already */
		{"runtime/loop", KT_LEAD_OUTSIDE},
	};
	struct kt_manifest manifest;

	(void)state;
	fill(&manifest);
	component_fill(&manifest.components[1], "runtime", runtime, 4);
	component_fill(&manifest.components[2], "alpine-lib", alpine, 4);
	manifest.component_count = 3;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (kt_manifest_lead(&manifest, rows[i].path) != rows[i].lead)
			fail_msg("%s leads to %d", rows[i].path, (int)kt_manifest_lead(&manifest, rows[i].path));
	assert_non_null(kt_manifest_file(&manifest, "tests/hello_test.km"));
	assert_null(kt_manifest_file(&manifest, "bin/sub/link"));
	assert_null(kt_manifest_entry(&manifest, "lib/a b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_unprintable),
		cmocka_unit_test(test_bad_documents),
		cmocka_unit_test(test_other_machines),
		cmocka_unit_test(test_km_is_wanted),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_reserved_names),
		cmocka_unit_test(test_files_together),
		cmocka_unit_test(test_names_that_are_shown),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_cut_and_flipped),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_where_paths_lead),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
