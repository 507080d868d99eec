/* kontaind: the networked half. It has no privileges and parses what remote peers send; it never acts on the node. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "confine.h"
#include "kontain/base/descriptors.h"
#include "kontain/base/log.h"
#include "kube/credentials.h"
#include "kube/reporter.h"
#include "options.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

/* What is taken from the environment; nothing else of it reaches a library. */
struct surroundings {
	char node_name[256];
	char host[256];
	char port[8];
};

static int fail(int status, const struct kt_error *err)
{
	kt_log(KT_LOG_ERROR, "cannot start", "reason", kt_reason_name(err->reason), "err", err->text, NULL);
	return status;
}

static void copy_variable(const char *name, char *to, size_t size)
{
	const char *value = getenv(name);

	/* One that does not fit is as good as none: a part of a name is another name. */
	if (value && strlen(value) < size)
		memcpy(to, value, strlen(value) + 1);
}

/* curl and OpenSSL would take proxies, CAs, configuration and modules from it, the resolver its servers. */
static void take_environment(struct surroundings *around)
{
	copy_variable("NODE_NAME", around->node_name, sizeof(around->node_name));
	copy_variable("KUBERNETES_SERVICE_HOST", around->host, sizeof(around->host));
	copy_variable("KUBERNETES_SERVICE_PORT", around->port, sizeof(around->port));
	clearenv();
}

static int check_surroundings(const struct surroundings *around, struct kt_error *err)
{
	static const char hint[] = "run in a pod, or with --standalone";
	size_t digits = strspn(around->port, "0123456789");

	if (!around->node_name[0])
		return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "NODE_NAME is not set: %s", hint);
	if (!kt_node_name_is_valid(around->node_name))
		return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID, "NODE_NAME is not a valid node name: %.100s",
			       around->node_name);
	if (!around->host[0] || !around->port[0])
		return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID,
			       "KUBERNETES_SERVICE_HOST and _PORT are not set: %s", hint);
	/* They become part of a URL. */
	if (strspn(around->host, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.:-") !=
		    strlen(around->host) ||
	    around->port[digits] || digits > 5)
		return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID,
			       "KUBERNETES_SERVICE_HOST and _PORT are not a valid address: %.100s %s", around->host,
			       around->port);
	return 0;
}

static int confine_files(struct kt_agent_settings *settings, struct kt_error *err)
{
	const struct kt_http_address *listen = &settings->listen;
	const bool is_pod = settings->node_name;
	struct kt_daemon_needs needs = {
		.state = settings->state,
		.credentials = is_pod ? settings->credentials : NULL,
		.api_host = is_pod ? settings->api_host : NULL,
		.api_port = is_pod ? (uint16_t)strtoul(settings->api_port, NULL, 10) : 0,
		.listen_port = ntohs(listen->any.sa_family == AF_INET6 ? listen->v6.sin6_port : listen->v4.sin_port),
	};

	return kt_daemon_confine_files(&needs, settings->landlock, err);
}

int main(int argc, char *argv[])
{
	struct surroundings around = {.node_name = ""};
	struct kt_daemon_options options;
	struct kt_agent_settings settings = {.node_name = NULL};
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (kt_descriptors_settle() < 0)
		return EXIT_FAILED; /* and nowhere to say so */
	take_environment(&around);
	kt_log_init("kontaind", KT_LOG_INFO);
	if (kt_daemon_options_parse(argc, argv, &options, &err) < 0)
		return fail(EXIT_USAGE, &err);
	if (options.action == KT_DAEMON_HELP) {
		kt_daemon_options_help();
		return EXIT_DONE;
	}
	if (options.action == KT_DAEMON_VERSION) {
		puts("kontaind " KONTAIN_VERSION);
		return EXIT_DONE;
	}
	kt_log_init("kontaind", options.is_quiet ? KT_LOG_ERROR : options.is_verbose ? KT_LOG_DEBUG : KT_LOG_INFO);
	if (!options.is_standalone && check_surroundings(&around, &err) < 0)
		return fail(EXIT_USAGE, &err);
	if (kt_daemon_confine(&err) < 0)
		return fail(EXIT_FAILED, &err);
	kt_config_init(&settings.config);
	if (options.config && kt_config_load(options.config, &settings.config, &err) < 0)
		return fail(EXIT_FAILED, &err);
	settings.state = options.state;
	settings.listen = options.listen;
	settings.node_name = options.is_standalone ? NULL : around.node_name;
	settings.api_host = around.host;
	settings.api_port = around.port;
	settings.credentials = KT_CREDENTIALS_FOLDER;
	if (confine_files(&settings, &err) < 0 || kt_agent_run(&settings, &err) < 0)
		return fail(EXIT_FAILED, &err);
	return EXIT_DONE;
}
