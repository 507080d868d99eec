#include <stdio.h>
#include <string.h>

#include "kontain/own.h"
#include "observe.h"
#include "print.h"
#include "verbs.h"

static void print_kept(const struct kt_inventory *inventory)
{
	size_t others = 0;

	for (size_t i = 0; i < inventory->set_count; i++)
		if (strcmp(inventory->sets[i], inventory->current) != 0 &&
		    strcmp(inventory->sets[i], inventory->previous) != 0) {
			printf("would remove version %s\n", inventory->sets[i]);
			others++;
		}
	if (others == 0)
		puts("nothing to do: only the current and the previous version are here");
}

int kt_verb_prune(struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_inventory inventory;
	size_t removed = 0;

	if (kt_installer_open_store(installer, KT_STORE_WRITE, &store, &err) != 0 ||
	    kt_store_lock(&store, 0, &err) != 0 || kt_store_inventory(&store, &inventory, &err) != 0)
		return kt_print_error(&err);
	if (installer->options.dry_run) {
		print_kept(&inventory);
		return KT_EXIT_DONE;
	}
	if (kt_store_prune(&store, 0, &removed, &err) != 0)
		return kt_print_error(&err);
	printf("%zu versions removed\n", removed);
	return KT_EXIT_DONE;
}
