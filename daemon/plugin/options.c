#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kontain/base/arguments.h"

#define DEFAULT_RESOURCE "kontain.app/kvm"
#define DEFAULT_STATE    "/run/kontain/state.json"
#define DEFAULT_KUBELET  "/var/lib/kubelet/device-plugins"
#define DEFAULT_DEVICES  "/run/kontain/device"
#define DEFAULT_COUNT    1000

static const struct option long_options[] = {
	{"resource", required_argument, NULL, 'r'},
	{"count", required_argument, NULL, 'n'},
	{"mount", required_argument, NULL, 'm'},
	{"legacy-resource", no_argument, NULL, 'l'},
	{"state", required_argument, NULL, 's'},
	{"kubelet-folder", required_argument, NULL, 'k'},
	{"device-folder", required_argument, NULL, 'd'},
	{"quiet", no_argument, NULL, 'q'},
	{"verbose", no_argument, NULL, 'v'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

void kt_plugin_options_help(void)
{
	puts("usage: kontain-device-plugin [OPTION]...\n"
	     "\n"
	     "Offers the kubelet a device that lets a pod run Kontain payloads, for as long as the node is proven.\n"
	     "\n"
	     "  --resource NAME       what pods ask for (default " DEFAULT_RESOURCE ")\n"
	     "  --count N             how many pods may have it at a time, 1 to 10000 (default 1000)\n"
	     "  --mount km|store|none what a pod gets beside the device: /opt/kontain/bin/km, all of\n"
	     "                        /opt/kontain, nothing (default km); read-only\n"
	     "  --legacy-resource     offer devices.kubevirt.io/kvm too, unless another plugin does\n"
	     "  --state FILE          what kontain-installer says of the node (default " DEFAULT_STATE ")\n"
	     "  --kubelet-folder DIR  where the kubelet has its plugins' sockets\n"
	     "                        (default " DEFAULT_KUBELET ")\n"
	     "  --device-folder DIR   where the device node is made; the host has it at the same path\n"
	     "                        (default " DEFAULT_DEVICES ")\n"
	     "  -q, --quiet           quiet\n"
	     "  -v, --verbose         verbose\n"
	     "  -h, --help            print help and exit\n"
	     "  --version             print the version and exit\n"
	     "\n"
	     "exit status: 0 ended by SIGTERM or SIGINT; 1 failed; 2 usage");
}

/* DOMAIN/NAME, each of letters, digits, '-', '_' and '.' (an extended resource's name). */
static bool is_resource(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t domain = strspn(name, letters), rest;

	if (domain == 0 || domain > 200 || name[domain] != '/')
		return false;
	rest = strspn(name + domain + 1, letters);
	return rest > 0 && rest <= 63 && !name[domain + 1 + rest];
}

static bool parse_count(const char *text, unsigned *ret_count)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long count = digits > 0 && digits < 8 && !text[digits] ? strtoul(text, NULL, 10) : 0;

	if (count < 1 || count > KT_PLUGIN_COUNT_MAX)
		return false;
	*ret_count = (unsigned)count;
	return true;
}

static bool parse_mount(const char *text, enum kt_offer_mount *ret_mount)
{
	static const char *const names[] = {[KT_OFFER_KM] = "km", [KT_OFFER_STORE] = "store", [KT_OFFER_NONE] = "none"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], text) == 0) {
			*ret_mount = (enum kt_offer_mount)i;
			return true;
		}
	return false;
}

static int check(const struct kt_plugin_options *options, struct kt_error *err)
{
	const struct {
		const char *option, *path;
	} paths[] = {
		{"--kubelet-folder", options->kubelet_folder},
		{"--device-folder", options->device_folder},
		{"--state", options->state},
	};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (paths[i].path[0] != '/')
			return kt_fail(err, EINVAL, KT_REASON_CONFIG_INVALID,
				       "%s: expected an absolute path, got \"%.200s\"", paths[i].option, paths[i].path);
	return 0;
}

static int take(int option, const char *word, struct kt_plugin_options *options, struct kt_error *err)
{
	switch (option) {
	case 'r':
		options->resource = optarg;
		return is_resource(optarg) ?
			       0 :
			       kt_arguments_refuse("--resource: expected DOMAIN/NAME, got", optarg, "", err);
	case 'n':
		return parse_count(optarg, &options->count) ?
			       0 :
			       kt_arguments_refuse("--count: expected a number from 1 to 10000, got", optarg, "", err);
	case 'm':
		return parse_mount(optarg, &options->mount) ?
			       0 :
			       kt_arguments_refuse("--mount: expected km, store or none, got", optarg, "", err);
	case 'l':
		options->has_legacy = true;
		return 0;
	case 's':
		options->state = optarg;
		return 0;
	case 'k':
		options->kubelet_folder = optarg;
		return 0;
	case 'd':
		options->device_folder = optarg;
		return 0;
	case 'q':
		options->is_quiet = true;
		return 0;
	case 'v':
		options->is_verbose = true;
		return 0;
	case 'h':
		options->action = KT_PLUGIN_HELP;
		return 0;
	case 'V':
		options->action = KT_PLUGIN_VERSION;
		return 0;
	default:
		return kt_arguments_explain(option, word, err);
	}
}

int kt_plugin_options_parse(int argc, char *const argv[], struct kt_plugin_options *ret_options, struct kt_error *err)
{
	struct kt_plugin_options options = {
		.resource = DEFAULT_RESOURCE,
		.state = DEFAULT_STATE,
		.kubelet_folder = DEFAULT_KUBELET,
		.device_folder = DEFAULT_DEVICES,
		.count = DEFAULT_COUNT,
	};
	int option, r = 0;

	optind = 1;
	opterr = 0;
	while (r == 0 && (option = getopt_long(argc, argv, ":hqv", long_options, NULL)) != -1)
		r = take(option, argv[optind - 1], &options, err);
	if (r == 0 && optind < argc)
		r = kt_arguments_refuse("unexpected argument", argv[optind], "", err);
	if (r == 0)
		r = check(&options, err);
	if (r == 0)
		*ret_options = options;
	return r;
}
