/* links: kt_contract kt_base */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/contract/config.h"

static int parse(const char *text, struct kt_config *ret_config, struct kt_error *err)
{
	return kt_config_parse(text, strlen(text), "c.yaml", ret_config, err);
}

static void test_empty_is_the_defaults(void **state)
{
	static const char *const rows[] = {"",
					   "# nothing\n",
					   "---\n",
					   "{}\n",
					   "\n\n",
					   "store:\n",
					   "proof: ~\nnode: null\n",
					   "\xef\xbb\xbf# with a byte order mark\n"};
	struct kt_config wanted;

	(void)state;
	kt_config_init(&wanted);
	assert_false(wanted.desired_absent);
	assert_int_equal(wanted.root_count, 1);
	assert_string_equal(wanted.roots[0], "/opt/kontain");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_config config;
		struct kt_error err = {0};

		memset(&config, 0x55, sizeof(config));
		if (parse(rows[i], &config, &err) < 0)
			fail_msg("row %zu: %s", i, err.text);
		assert_int_equal(config.root_count, 1);
		assert_string_equal(config.roots[0], "/opt/kontain");
		assert_int_equal(config.verify_interval_s, 21600);
		assert_int_equal(config.store_keep, 0);
		assert_int_equal(config.proof_interval_s, 60);
		assert_int_equal(config.proof_timeout_s, 10);
		assert_int_equal(config.heartbeat_s, 300);
		assert_int_equal(config.start_delay_s, 1);
		assert_true(config.load_modules);
		assert_false(config.allow_emulated);
		assert_false(config.legacy_label);
		assert_false(config.unguarded);
		assert_false(config.unfit_not_ready);
	}
}

static void test_every_key(void **state)
{
	static const char text[] = "apiVersion: kontain.app/v1\n"
				   "kind: Config\n"
				   "desired: absent\n"
				   "unfitNodes: notReady\n"
				   "store:\n"
				   "  roots:\n"
				   "    - /srv//kontain/./\n"
				   "    - \"/opt/kontain\"\n"
				   "proof: {allowEmulated: true, intervalSeconds: 5, timeoutSeconds: 60}\n"
				   "node: {loadModules: false}\n"
				   "report:\n"
				   "  heartbeatSeconds: 3600\n"
				   "  startDelaySeconds: 0\n"
				   "  legacyLabel: true\n"
				   "  unguarded: true\n";
	struct kt_config config;
	struct kt_error err = {0};

	(void)state;
	if (parse(text, &config, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(config.desired_absent);
	assert_true(config.unfit_not_ready);
	assert_int_equal(config.root_count, 2);
	assert_string_equal(config.roots[0], "/srv/kontain");
	assert_string_equal(config.roots[1], "/opt/kontain");
	assert_true(config.allow_emulated);
	assert_int_equal(config.proof_interval_s, 5);
	assert_int_equal(config.proof_timeout_s, 60);
	assert_false(config.load_modules);
	assert_int_equal(config.heartbeat_s, 3600);
	assert_int_equal(config.start_delay_s, 0);
	assert_true(config.legacy_label);
	assert_true(config.unguarded);
}

/* Each is refused with its line and a word that says why. */
static const struct {
	const char *text;
	const char *said;
} bad_rows[] = {
	{"desire: present\n", "c.yaml:1: unknown key desire"},
	{"\n# x\nstore:\n  root: /x\n", "c.yaml:4: unknown key store.root"},
	{"roots: [/x]\n", "c.yaml:1: unknown key roots"},
	{"apiVersion: kontain.app/v2\n", "c.yaml:1: apiVersion: expected kontain.app/v1"},
	{"kind: NodeState\n", "c.yaml:1: kind: expected Config"},
	{"desired: Present\n", "present or absent"},
	{"desired: [present]\n", "present or absent"},
	{"desired:\n", "present or absent"},
	{"unfitNodes: ready\n", "settled or notReady"},
	{"proof:\n  allowEmulated: yes\n", "c.yaml:2: allowEmulated: expected true or false"},
	{"proof:\n  allowEmulated: \"true\"\n", "true or false"},
	{"proof:\n  allowEmulated: !!bool true\n", "true or false"},
	{"store: {keep: 1001}\n", "from 0 to 1000"},
	{"store: {keep: -1}\n", "from 0 to 1000"},
	{"store: {verifyIntervalSeconds: 59}\n", "from 60 to 604800"},
	{"store: {verifyIntervalSeconds: 604801}\n", "from 60 to 604800"},
	{"store: {verifyIntervalSeconds: 0}\n", "from 60 to 604800"},
	{"proof: {intervalSeconds: 4}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: 3601}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: -60}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: 060}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: 0x40}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: 60s}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: 60.0}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: \"60\"}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: 4294967356}\n", "from 5 to 3600"},
	{"proof: {intervalSeconds: 99999999999999999999999}\n", "from 5 to 3600"},
	{"proof: {timeoutSeconds: 0}\n", "from 1 to 60"},
	{"report: {heartbeatSeconds: 29}\n", "from 30 to 3600"},
	{"report: {startDelaySeconds: 301}\n", "from 0 to 300"},
	{"store: {roots: /opt/kontain}\n", "a list of paths"},
	{"store: {roots: []}\n", "1 to 8 paths"},
	{"store: {roots: [/1,/2,/3,/4,/5,/6,/7,/8,/9]}\n", "1 to 8 paths"},
	{"store: {roots: [opt]}\n", "an absolute path"},
	{"store: {roots: [\"\"]}\n", "an absolute path"},
	{"store: {roots: [{a: b}]}\n", "an absolute path"},
	{"store: {roots: [/]}\n", "root of the filesystem"},
	{"store: {roots: [/./]}\n", "root of the filesystem"},
	{"store: {roots: [/a/../b]}\n", "without .."},
	{"store: {roots: [\"/a\\tb\"]}\n", "control characters"},
	{"store: {roots: [\"/a\\0b\"]}\n", "an absolute path"},
	{"store:\n  roots:\n    - /a\n    - /b/\n    - /a/\n", "c.yaml:5: roots: this path is named twice"},
	{"store: [a]\n", "store: keys and values"},
	{"- a\n", "the file: keys and values"},
	{"text\n", "the file: keys and values"},
	{"desired: present\nnode: {}\ndesired: absent\n", "c.yaml:3: key desired is in line 1 already"},
	{"proof:\n  timeoutSeconds: 5\n  timeoutSeconds: 6\n", "c.yaml:3: key timeoutSeconds is in line 2"},
	{"[a]: b\n", "expected a plain word as key"},
	{"<<: {desired: absent}\n", "unknown key <<"},
	{"a: b: c\n", "c.yaml:1: invalid YAML"},
	{"desired: \"present\n", "invalid YAML"},
	{"\tdesired: present\n", "invalid YAML"},
	{"desired: *unknown\n", "invalid YAML"},
	{"desired: present\n---\ndesired: absent\n", "c.yaml:3: expected one document"},
	{"desired: present\n...\n%BAD\n", "invalid YAML"},
	{"a: \xff\n", "no text in UTF-8"},
	{"%YAML 9.9\n---\n{}\n", "invalid YAML"},
};

static void test_bad_input_has_line_and_cause(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		struct kt_config config, before;
		struct kt_error err = {0};

		memset(&config, 0x55, sizeof(config));
		before = config;
		if (parse(bad_rows[i].text, &config, &err) == 0)
			fail_msg("taken: %s", bad_rows[i].text);
		assert_int_equal(err.reason, KT_REASON_CONFIG_INVALID);
		assert_int_equal(err.code, EINVAL);
		if (!strstr(err.text, bad_rows[i].said))
			fail_msg("\"%s\" said: %s", bad_rows[i].text, err.text);
		assert_memory_equal(&config, &before, sizeof(config)); /* left alone */
	}
}

static void test_all_problems_are_told(void **state)
{
	struct kt_config config;
	struct kt_error err = {0};
	char many[4096] = "";

	(void)state;
	assert_int_equal(parse("a: 1\nproof:\n  timeoutSeconds: x\ndesired: maybe\n", &config, &err), -EINVAL);
	assert_string_equal(err.text, "c.yaml:1: unknown key a\n"
				      "c.yaml:3: timeoutSeconds: expected an integer from 1 to 60\n"
				      "c.yaml:4: desired: expected present or absent");
	for (int i = 0; i < 100; i++)
		sprintf(many + strlen(many), "key%d: 1\n", i);
	assert_int_equal(parse(many, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "c.yaml:1: unknown key key0\n"));
	assert_non_null(strstr(err.text, "\nand "));
	assert_string_equal(err.text + strlen(err.text) - 5, " more");
}

static void test_hostile_shapes(void **state)
{
	static char large[KT_CONFIG_BYTES_MAX + 1];
	struct kt_config config;
	struct kt_error err = {0};
	static const char cyclic[] = "store: &a\n  roots: *a\nproof: *a\n";
	static const char name_bomb[] = "a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n";

	(void)state;
	assert_true(parse(cyclic, &config, &err) < 0);
	assert_true(parse(name_bomb, &config, &err) < 0);
	memset(large, '#', sizeof(large));
	assert_int_equal(kt_config_parse(large, sizeof(large), "c", &config, &err), -EFBIG);
	assert_int_equal(kt_config_parse(large, sizeof(large) - 1, "c", &config, &err), 0);
	memset(large, '[', sizeof(large));
	assert_int_equal(kt_config_parse(large, 60000, "c", &config, &err), -EINVAL); /* and takes no seconds */
	assert_non_null(strstr(err.text, "brackets"));
	assert_int_equal(kt_config_parse(large, 1000, "c", &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "invalid YAML"));
	memset(large, '\0', sizeof(large));
	assert_true(kt_config_parse(large, 100, "c", &config, &err) < 0);
	/* a key, a source and a path of any length find their room */
	memset(large, 'k', sizeof(large));
	memcpy(large + 900, ": 1", 4);
	assert_true(parse(large, &config, &err) < 0);
	assert_int_equal(kt_config_parse("a: 1", 4, large, &config, &err), -EINVAL);
	memcpy(large, "store: {roots: [/", 17);
	memcpy(large + 900, "]}", 3);
	assert_int_equal(parse(large, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too long"));
}

/* Every cut of a good file ends in an answer, never in a crash. */
static void test_every_prefix(void **state)
{
	static const char text[] = "desired: absent\nstore: {roots: [\"/a\", /b]}\nproof:\n  timeoutSeconds: 6\n";

	(void)state;
	for (size_t size = 0; size < sizeof(text); size++) {
		char *copy = malloc(size + 1); /* exact, so that a sanitizer sees a read beyond */
		struct kt_config config;
		struct kt_error err = {0};

		memcpy(copy, text, size);
		if (kt_config_parse(copy, size, "c", &config, &err) < 0)
			assert_true(*err.text);
		free(copy);
	}
}

static void test_load(void **state)
{
	char path[] = "/tmp/kt-config-XXXXXX";
	int fd = mkstemp(path);
	struct kt_config config;
	struct kt_error err = {0};

	(void)state;
	assert_int_equal(write(fd, "desired: absent\nx: y\n", 16), 16);
	close(fd);
	assert_int_equal(kt_config_load(path, &config, &err), 0);
	assert_true(config.desired_absent);
	unlink(path);
	assert_int_equal(kt_config_load(path, &config, &err), -ENOENT);
	assert_int_equal(err.reason, KT_REASON_CONFIG_INVALID);
	assert_non_null(strstr(err.text, path));
}

static void put_file(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* Each file is on top of those before it, by name; what is hidden or of another kind is not read. */
static void test_folder(void **state)
{
	char folder[] = "/tmp/kt-config-XXXXXX", command[64];
	struct kt_config config;
	struct kt_error err = {0};

	(void)state;
	assert_non_null(mkdtemp(folder));
	memset(&config, 0x55, sizeof(config));
	assert_int_equal(kt_config_load(folder, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "0 files *.yaml"));
	put_file(folder, "config.yaml", "store: {roots: [/a, /b]}\nproof: {intervalSeconds: 30, timeoutSeconds: 5}\n");
	put_file(folder, "uninstall.yaml", "desired: absent\n");
	put_file(folder, "emulated.yaml", "proof: {allowEmulated: true, intervalSeconds: 20}\nstore: {roots: [/c]}\n");
	put_file(folder, ".hidden.yaml", "nonsense: yes\n");
	put_file(folder, "README", "nonsense: yes\n");
	if (kt_config_load(folder, &config, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(config.desired_absent);
	assert_true(config.allow_emulated);
	assert_int_equal(config.proof_interval_s, 20);
	assert_int_equal(config.proof_timeout_s, 5);
	assert_int_equal(config.heartbeat_s, 300);
	assert_int_equal(config.root_count, 1);
	assert_string_equal(config.roots[0], "/c");
	/* A problem names its file. */
	put_file(folder, "emulated.yaml", "proof: {alowEmulated: true}\n");
	assert_int_equal(kt_config_load(folder, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "/emulated.yaml:1: unknown key proof.alowEmulated"));
	for (char name[] = "a.yaml"; name[0] <= 'p'; name[0]++)
		put_file(folder, name, "");
	assert_int_equal(kt_config_load(folder, &config, &err), -EINVAL);
	assert_non_null(strstr(err.text, "19 files *.yaml, expected 1 to 16"));
	snprintf(command, sizeof(command), "rm -r %s", folder);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_is_the_defaults),
		cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_bad_input_has_line_and_cause),
		cmocka_unit_test(test_all_problems_are_told),
		cmocka_unit_test(test_hostile_shapes),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
