/* links: kt_contract kt_base */
/* The config file: what is taken is within its bounds, and can be written down and read again as the same. */
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/contract/config.h"

#define UNTOUCHED 0xa5

static bool is_between(unsigned value, unsigned least, unsigned most)
{
	return value >= least && value <= most;
}

static void roots_check(const struct kt_config *config)
{
	FUZZ_REQUIRE(config->root_count >= 1 && config->root_count <= KT_CONFIG_ROOTS_MAX);
	for (size_t i = 0; i < config->root_count; i++) {
		const char *root = config->roots[i];

		FUZZ_REQUIRE(memchr(root, '\0', KT_CONFIG_PATH_MAX) != NULL);
		FUZZ_REQUIRE(root[0] == '/' && root[1] && root[strlen(root) - 1] != '/');
		FUZZ_REQUIRE(!strstr(root, "//") && !strstr(root, "/./") && !strstr(root, "/../"));
		FUZZ_REQUIRE(fuzz_is_one_line(root));
		for (size_t k = 0; k < i; k++)
			FUZZ_REQUIRE(strcmp(config->roots[k], root) != 0);
	}
}

static const char *yes_no(bool value)
{
	return value ? "true" : "false";
}

/* As it stands between double quotes: what may mean something there, as a number. */
static void text_print(FILE *file, const char *text)
{
	for (size_t size; *text; text += size) {
		long point = fuzz_code_point(text, &size);

		FUZZ_REQUIRE(point >= 0);
		if (point > 0x7e || point == '"' || point == '\\')
			fprintf(file, "\\U%08lX", point);
		else
			fputc((int)point, file);
	}
}

static char *config_print(const struct kt_config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	FUZZ_REQUIRE(file != NULL);
	fprintf(file, "apiVersion: kontain.app/v1\nkind: Config\ndesired: %s\nunfitNodes: %s\nstore:\n  roots:\n",
		config->desired_absent ? "absent" : "present", config->unfit_not_ready ? "notReady" : "settled");
	for (size_t i = 0; i < config->root_count; i++) {
		fputs("  - \"", file);
		text_print(file, config->roots[i]);
		fputs("\"\n", file);
	}
	fprintf(file, "proof:\n  allowEmulated: %s\n  intervalSeconds: %u\n  timeoutSeconds: %u\n",
		yes_no(config->allow_emulated), config->proof_interval_s, config->proof_timeout_s);
	fprintf(file, "node:\n  loadModules: %s\n", yes_no(config->load_modules));
	fprintf(file, "report:\n  heartbeatSeconds: %u\n  startDelaySeconds: %u\n  legacyLabel: %s\n",
		config->heartbeat_s, config->start_delay_s, yes_no(config->legacy_label));
	fclose(file);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct kt_error err = {.code = 0};
	struct kt_config config, again;
	int r;

	memset(&config, UNTOUCHED, sizeof(config));
	r = kt_config_parse((const char *)bytes, size, "config.yaml", &config, &err);
	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(err.reason == KT_REASON_CONFIG_INVALID);
		FUZZ_REQUIRE(strstr(err.text, "config.yaml") != NULL);
		for (size_t i = 0; i < sizeof(config); i++)
			FUZZ_REQUIRE(((unsigned char *)&config)[i] == UNTOUCHED);
		return 0;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(size <= KT_CONFIG_BYTES_MAX);
	roots_check(&config);
	FUZZ_REQUIRE(is_between(config.proof_interval_s, 5, 3600) && is_between(config.proof_timeout_s, 1, 60));
	FUZZ_REQUIRE(is_between(config.heartbeat_s, 30, 3600) && is_between(config.start_delay_s, 0, 300));

	KT_OWN(kt_free_mem) char *text = config_print(&config);

	FUZZ_REQUIRE(kt_config_parse(text, strlen(text), "again", &again, KT_ERROR_IGNORED) == 0);

	KT_OWN(kt_free_mem) char *text_again = config_print(&again);

	FUZZ_REQUIRE(fuzz_is_same(text, text_again));
	return 0;
}
