/* The command line of kontain-device-plugin. */
#ifndef KONTAIN_PLUGIN_OPTIONS_H
#define KONTAIN_PLUGIN_OPTIONS_H

#include <stdbool.h>

#include "kontain/base/error.h"
#include "plugin/offer.h"

#define KT_PLUGIN_COUNT_MAX 10000

enum kt_plugin_action { KT_PLUGIN_RUN, KT_PLUGIN_HELP, KT_PLUGIN_VERSION };

struct kt_plugin_options {
	enum kt_plugin_action action;
	bool is_quiet;
	bool is_verbose;
	bool has_legacy;      /* devices.kubevirt.io/kvm too */
	const char *resource; /* borrowed from argv, as all here */
	const char *state;
	const char *kubelet_folder;
	const char *device_folder;
	unsigned count;
	enum kt_offer_mount mount;
};

int kt_plugin_options_parse(int argc, char *const argv[], struct kt_plugin_options *ret_options, struct kt_error *err);
void kt_plugin_options_help(void);

#endif
