#include "commands.h"

#include <string.h>

const struct kt_command kt_commands[] = {
	{"run", NULL, "keep this node as the bundle and the config say, and publish its state", kt_command_run, true},
	{"install", NULL, "install the bundle, verify that it runs, print the node's status", kt_command_install,
	 false},
	{"check", NULL, "check whether this host can run Kontain payloads; needs no installation, changes nothing",
	 kt_command_check, false},
	{"status", NULL, "print the node's status", kt_command_status, false},
	{"list", NULL, "list the installed versions", kt_command_list, false},
	{"verify", NULL, "compare every file of the current version with its digest", kt_command_verify, false},
	{"rollback", NULL, "make the previous version current again", kt_command_rollback, false},
	{"prune", NULL, "remove versions that are neither current, previous, in use nor pinned", kt_command_prune,
	 false},
	{"pin", "VERSION|COMPONENT/VERSION", "keep a version, or one of a component, from being pruned", kt_command_pin,
	 false},
	{"unpin", "VERSION|COMPONENT/VERSION", "let it be pruned again", kt_command_unpin, false},
	{"uninstall", NULL, "remove what was installed, unless it is in use", kt_command_uninstall, false},
};

const size_t kt_command_count = sizeof kt_commands / sizeof *kt_commands;

const struct kt_command *kt_command_find(const char *name)
{
	for (size_t i = 0; i < kt_command_count; i++)
		if (strcmp(kt_commands[i].name, name) == 0)
			return &kt_commands[i];
	return NULL;
}
