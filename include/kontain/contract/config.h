/* The config file: YAML bytes -> kt_config. Unknown keys are errors; all problems are reported. */
#ifndef KONTAIN_CONFIG_H
#define KONTAIN_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

#include "kontain/base/error.h"

#define KT_CONFIG_ROOTS_MAX 8
#define KT_CONFIG_PATH_MAX  256
#define KT_CONFIG_BYTES_MAX (64 * 1024) /* of a file */
#define KT_CONFIG_FILES_MAX 16

struct kt_config {
	bool desired_absent;  /* desired: present | absent */
	bool unfit_not_ready; /* unfitNodes: settled | notReady */
	size_t root_count;
	char roots[KT_CONFIG_ROOTS_MAX][KT_CONFIG_PATH_MAX]; /* absolute, normalised */
	unsigned store_keep;                                 /* versions beside current and previous, 0..1000 */
	unsigned verify_interval_s;                          /* 60..604800 */
	bool allow_emulated;
	unsigned proof_interval_s; /* 5..3600 */
	unsigned proof_timeout_s;  /* 1..60 */
	bool load_modules;
	unsigned heartbeat_s;   /* 30..3600 */
	unsigned start_delay_s; /* 0..300 */
	bool legacy_label;
	bool unguarded; /* no admission policy is expected */
};

/* The values of an empty file. */
void kt_config_init(struct kt_config *config);

/* source names the bytes in messages ("config.yaml:3: unknown key ..."). On failure the text holds
 * the first problems, one a line; *ret_config is left alone. */
int kt_config_parse(const char *bytes, size_t size, const char *source, struct kt_config *ret_config,
		    struct kt_error *err);
/* Owned: a document of one line that kt_config_parse reads as this config; NULL when memory is gone. */
char *kt_config_print(const struct kt_config *config);

/* What a config is read from: a file, or a folder: then its files *.yaml by name, each on top of those before it, so
 * that a change of one key is a file of one key. */
struct kt_config_source {
	char *path;  /* owned */
	char *bytes; /* owned */
	size_t size;
};
struct kt_config_sources {
	size_t count;
	struct kt_config_source list[KT_CONFIG_FILES_MAX];
};
/* The bytes alone, at most KT_CONFIG_BYTES_MAX of each file. */
int kt_config_read(const char *path, struct kt_config_sources *ret_sources, struct kt_error *err);
void kt_config_sources_done(struct kt_config_sources *sources); /* for KT_OWN */
/* As kt_config_parse, of all of them; the defaults where there are none. */
int kt_config_take(const struct kt_config_sources *sources, struct kt_config *ret_config, struct kt_error *err);
/* Both at once. */
int kt_config_load(const char *path, struct kt_config *ret_config, struct kt_error *err);

/* A store's root as the config and --root take it: writes the absolute path without "//", "." and a slash at its end.
 * NULL, or what is wrong with it. */
const char *kt_config_root(const char *text, char path[KT_CONFIG_PATH_MAX]);

#endif
