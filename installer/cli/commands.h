/* The one table of commands: dispatch, options, help, man page and shell completion come from it. One function and one
 * file a command; each returns the program's exit status. */
#ifndef KT_CLI_COMMANDS_H
#define KT_CLI_COMMANDS_H

#include "jobs/installer.h"

struct kt_command {
	const char *name;
	const char *argument; /* as the help names it; NULL: it takes none */
	const char *summary;  /* one line */
	int (*run)(const struct kt_installer *installer);
	bool is_resident; /* two processes, confined before anything is read */
	bool is_bare;     /* neither config nor store is looked at */
};

extern const struct kt_command kt_commands[];
extern const size_t kt_command_count;

/* NULL: there is no such command. */
const struct kt_command *kt_command_find(const char *name);

int kt_command_run(const struct kt_installer *installer);
int kt_command_install(const struct kt_installer *installer);
int kt_command_check(const struct kt_installer *installer);
int kt_command_status(const struct kt_installer *installer);
int kt_command_alive(const struct kt_installer *installer);
int kt_command_list(const struct kt_installer *installer);
int kt_command_verify(const struct kt_installer *installer);
int kt_command_rollback(const struct kt_installer *installer);
int kt_command_prune(const struct kt_installer *installer);
int kt_command_pin(const struct kt_installer *installer);
int kt_command_unpin(const struct kt_installer *installer);
int kt_command_uninstall(const struct kt_installer *installer);

#endif
