#include <stdio.h>

#include "commands.h"
#include "jobs/root.h"
#include "kontain/own.h"
#include "print.h"

static void print_finding(void *context, const char *path, const char *text)
{
	size_t *count = context;

	(*count)++;
	printf("finding   %s: %s\n", path, text);
}

int kt_command_verify(const struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_inventory inventory;
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *version = installer->options.to;
	size_t findings = 0;
	struct kt_verify how = {.version = version,
				.is_strict = installer->options.strict,
				.is_noted = true,
				.found = print_finding,
				.context = &findings};

	if (kt_installer_open_store(installer, KT_STORE_READ, &store, &err) != 0 ||
	    kt_store_inventory(&store, &inventory, &err) != 0 ||
	    kt_store_verify(&store, &how, &err) != 0)
		return kt_print_error(&err);
	if (!installer->options.quiet)
		printf("version %s is whole: every file is what its digest says (%zu findings)\n",
		       version != NULL ? version : inventory.current, findings);
	return KT_EXIT_DONE;
}
