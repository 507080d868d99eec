/* Taking old versions away, and a word on each that stays but for the two that always do. */
#include <stdio.h>

#include "commands.h"
#include "jobs/root.h"
#include "kontain/own.h"
#include "print.h"

struct teller {
	const struct kt_options *options;
	size_t removed;
};

static void tell(void *context, const char *version, enum kt_fate fate, const struct kt_user *user)
{
	struct teller *teller = context;
	const struct kt_options *options = teller->options;

	if (options->quiet)
		return;
	switch (fate) {
	case KT_FATE_REMOVED: printf("%s version %s\n", options->dry_run ? "would remove" : "removing", version); break;
	case KT_FATE_IN_USE:
		printf("kept version %s: process %d %s %s %s\n", version, (int)user->pid, user->program, user->how,
		       user->place[0] != '\0' ? user->place : "any version");
		break;
	case KT_FATE_NEWEST: printf("kept version %s: one of the newest %u\n", version, options->keep); break;
	case KT_FATE_YOUNG: printf("kept version %s: landed within %u days\n", version, options->older_than_days); break;
	case KT_FATE_PINNED: printf("kept version %s: it is pinned\n", version); break;
	case KT_FATE_CURRENT:
	case KT_FATE_PREVIOUS: break;
	}
}

int kt_command_prune(const struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_state_kept kept = {.count = 0};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct teller teller = {.options = &installer->options};
	struct kt_prune prune = {.keep_count = installer->options.keep,
				 .older_than_s = installer->options.older_than_days * 86400UL,
				 .ret_kept = &kept,
				 .is_dry_run = installer->options.dry_run,
				 .tell = tell,
				 .context = &teller};

	if (kt_installer_open_store(installer, KT_STORE_WRITE, &store, &err) != 0 ||
	    kt_store_lock(&store, 0, &err) != 0 ||
	    kt_store_prune(&store, &prune, &teller.removed, &err) != 0)
		return kt_print_error(&err);
	if (installer->options.quiet)
		return KT_EXIT_DONE;
	kt_print_kept(&kept, "kept ");
	if (!prune.is_dry_run)
		printf("%zu versions removed\n", teller.removed);
	else if (teller.removed == 0)
		puts("nothing to remove");
	return KT_EXIT_DONE;
}
