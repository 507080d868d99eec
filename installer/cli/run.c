#include "agent/agent.h"
#include "commands.h"
#include "print.h"

int kt_command_run(const struct kt_installer *installer)
{
	struct kt_installer own = *installer; /* a reconcile chooses its root */
	struct kt_error err = {.reason = KT_REASON_NONE};
	bool is_fine = false;

	if (kt_agent_run(&own, &is_fine, &err) != 0)
		return kt_print_error(&err);
	return is_fine ? KT_EXIT_DONE : KT_EXIT_FAILED;
}
