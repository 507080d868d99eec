/* The config file: YAML bytes -> kt_config. Unknown keys are errors; all problems are reported. */
#ifndef KONTAIN_CONFIG_H
#define KONTAIN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "kontain/error.h"

#define KT_CONFIG_ROOTS_MAX 8
#define KT_CONFIG_PATH_MAX  256
#define KT_CONFIG_BYTES_MAX (64 * 1024) /* of a file */
#define KT_CONFIG_FILES_MAX 16

struct kt_config {
	bool desired_absent;      /* desired: present | absent */
	bool unfit_not_ready;     /* unfitNodes: settled | notReady */
	size_t root_count;
	char roots[KT_CONFIG_ROOTS_MAX][KT_CONFIG_PATH_MAX]; /* absolute, normalised */
	unsigned verify_interval_s; /* 60..604800 */
	bool allow_emulated;
	unsigned proof_interval_s; /* 5..3600 */
	unsigned proof_timeout_s;  /* 1..60 */
	bool load_modules;
	unsigned heartbeat_s;      /* 30..3600 */
	unsigned start_delay_s;    /* 0..300 */
	bool legacy_label;
	bool unguarded;           /* no admission policy is expected */
};

/* The values of an empty file. */
void kt_config_init(struct kt_config *config);

/* source names the bytes in messages ("config.yaml:3: unknown key ..."). On failure the text holds
 * the first problems, one a line; *ret_config is left alone. */
int kt_config_parse(const char *bytes, size_t size, const char *source, struct kt_config *ret_config,
		    struct kt_error *err);
/* A file, or a folder: then its files *.yaml by name, each on top of those before it, so that a change of one key is a file
 * of one key. */
int kt_config_load(const char *path, struct kt_config *ret_config, struct kt_error *err);

#endif
