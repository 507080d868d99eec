/* Is the agent alive? It promises in each state when it will have written the next one, by the boot clock: whatever it
 * is busy with, a landing of many minutes or a process that is stuck, the promise covers it (agent/loop.c). So who has
 * not kept it hangs. Nothing else is looked at, as nothing else is mended by a restart. */
#include <stdio.h>

#include "commands.h"
#include "kontain/base/clock.h"
#include "kontain/base/fs.h"
#include "kontain/contract/state.h"
#include "print.h"

int kt_command_alive(const struct kt_installer *installer)
{
	const struct kt_options *options = &installer->options;
	uint64_t now_s = (uint64_t)kt_clock_boot_ms() / 1000;
	struct kt_error err = {.reason = KT_REASON_NONE};
	static struct kt_state state;
	char boot_id[37];
	int r = kt_fs_boot_id(boot_id);

	if (r < 0)
		r = kt_fail_errno(&err, -r, KT_REASON_PROC_MISSING, "cannot read the kernel's boot id: mount /proc");
	if (r == 0)
		r = kt_state_read(options->state, &state, &err);
	if (r == 0)
		r = kt_state_believable(&state, boot_id, now_s, &err);
	if (r < 0)
		return kt_print_error(&err);
	if (!options->quiet)
		printf("the agent is alive: its next state is due within %llu s\n",
		       (unsigned long long)(state.next_update_boot_s > now_s ? state.next_update_boot_s - now_s : 0));
	return KT_EXIT_DONE;
}
