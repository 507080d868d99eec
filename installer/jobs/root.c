#include "root.h"

#include <stdio.h>

void kt_root_choose(struct kt_installer *installer)
{
	const struct kt_config *config = &installer->config;
	const char *roots[KT_CONFIG_ROOTS_MAX];
	size_t count = 0;

	if (installer->options.root != NULL)
		roots[count++] = installer->options.root;
	else
		for (; count < config->root_count; count++)
			roots[count] = config->roots[count];
	snprintf(installer->root, sizeof installer->root, "%s",
		 roots[kt_store_choose(installer->options.host, roots, count)]);
}

int kt_installer_open_store(const struct kt_installer *installer, enum kt_store_mode mode, struct kt_store *ret_store,
			    struct kt_error *err)
{
	return kt_store_open(installer->options.host, installer->root, mode, ret_store, err);
}
