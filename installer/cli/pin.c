/* What prune is to leave: a version, or one of a component that some payload names as its interpreter. */
#include <stdio.h>

#include "commands.h"
#include "jobs/root.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"
#include "print.h"

static int pin(const struct kt_installer *installer, bool is_pinned)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	KT_OWN(kt_document_done) struct kt_document document = {.root = NULL};
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *name = installer->options.to;

	kt_print_result_begin(&document);
	if (kt_installer_open_store(installer, KT_STORE_WRITE, &store, &err) != 0 ||
	    kt_store_lock(&store, 0, &err) != 0 || kt_store_pin(&store, name, is_pinned, &err) != 0)
		return kt_print_error(&err);
	return kt_print_result(&installer->options, &document, is_pinned ? "pin" : "unpin", true, "%s is %s", name,
			       is_pinned ? "pinned: prune keeps it" : "not pinned");
}

int kt_command_pin(const struct kt_installer *installer)
{
	return pin(installer, true);
}

int kt_command_unpin(const struct kt_installer *installer)
{
	return pin(installer, false);
}
