/* kontain-device-plugin: root on the node with CAP_MKNOD alone, without a network and a token. It speaks with the
 * kubelet, which is root, and with nobody else. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "kontain/base/descriptors.h"
#include "kontain/base/log.h"
#include "plugin/confine.h"
#include "plugin/options.h"
#include "plugin/plugin.h"

#define PROGRAM "kontain-device-plugin"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

static int fail(int status, const struct kt_error *err)
{
	kt_log(KT_LOG_ERROR, "cannot go on", "reason", kt_reason_name(err->reason), "err", err->text, NULL);
	return status;
}

int main(int argc, char *argv[])
{
	struct kt_plugin_options options;
	struct kt_error err = {.reason = KT_REASON_NONE};
	char landlock[KT_LANDLOCK_TEXT_MAX];

	if (kt_descriptors_settle() < 0)
		return EXIT_FAILED; /* and nowhere to say so */
	clearenv();
	umask(077); /* for the sockets; what others may open says so */
	kt_log_init(PROGRAM, KT_LOG_INFO);
	if (kt_plugin_options_parse(argc, argv, &options, &err) < 0)
		return fail(EXIT_USAGE, &err);
	if (options.action == KT_PLUGIN_HELP) {
		kt_plugin_options_help();
		return EXIT_DONE;
	}
	if (options.action == KT_PLUGIN_VERSION) {
		puts(PROGRAM " " KONTAIN_VERSION);
		return EXIT_DONE;
	}
	kt_log_init(PROGRAM, options.is_quiet ? KT_LOG_ERROR : options.is_verbose ? KT_LOG_DEBUG : KT_LOG_INFO);

	struct kt_plugin_needs needs = {
		.state = options.state,
		.kubelet_folder = options.kubelet_folder,
		.device_folder = options.device_folder,
	};

	if (kt_plugin_confine(&needs, landlock, &err) < 0 || kt_plugin_run(&options, landlock, &err) < 0)
		return fail(EXIT_FAILED, &err);
	return EXIT_DONE;
}
