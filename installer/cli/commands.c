#include "commands.h"

#include <string.h>

const struct kt_command kt_commands[] = {
	{"run", NULL, "keep this node as the bundle and the config say, and publish its state", .run = kt_command_run,
	 .is_resident = true},
	{"install", NULL, "install the bundle, verify that it runs, print the node's status",
	 .run = kt_command_install},
	{"check", NULL, "check whether this host can run Kontain payloads; needs no installation, changes nothing",
	 .run = kt_command_check},
	{"status", NULL, "print the node's status", .run = kt_command_status},
	{"alive", NULL, "exit 0 while the agent writes its state in time: a liveness probe", .run = kt_command_alive,
	 .is_bare = true},
	{"list", NULL, "list the installed versions", .run = kt_command_list},
	{"verify", NULL, "compare every file of the current version with its digest", .run = kt_command_verify},
	{"rollback", NULL, "make the previous version current again", .run = kt_command_rollback},
	{"prune", NULL, "remove versions that are neither current, previous, in use nor pinned",
	 .run = kt_command_prune},
	{"pin", "VERSION|COMPONENT/VERSION", "keep a version, or one of a component, from being pruned",
	 .run = kt_command_pin},
	{"unpin", "VERSION|COMPONENT/VERSION", "remove a pin, so that prune may remove the version",
	 .run = kt_command_unpin},
	{"uninstall", NULL, "remove what was installed, unless it is in use", .run = kt_command_uninstall},
};

const size_t kt_command_count = sizeof kt_commands / sizeof *kt_commands;

const struct kt_command *kt_command_find(const char *name)
{
	for (size_t i = 0; i < kt_command_count; i++)
		if (strcmp(kt_commands[i].name, name) == 0)
			return &kt_commands[i];
	return NULL;
}
