#include <errno.h>
#include <stdio.h>

#include "commands.h"
#include "jobs/land.h"
#include "jobs/root.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"
#include "print.h"

int kt_command_uninstall(const struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	KT_OWN(kt_document_done) struct kt_document document = {.root = NULL};
	struct kt_error err = {.reason = KT_REASON_NONE};
	bool is_root_kept;
	int failed = kt_installer_open_store(installer, KT_STORE_READ, &store, &err);

	kt_print_result_begin(&document);
	if (failed == -ENOENT) {
		return kt_print_result(&installer->options, &document, "uninstall", false,
				       "nothing to do: there is no installation");
	}
	if (failed)
		return kt_print_error(&err);
	if (installer->options.dry_run) {
		if (!installer->options.force && kt_store_refuse_used(&store, &err) != 0)
			return kt_print_error(&err);
		return kt_print_result(&installer->options, &document, "uninstall", true,
				       "would remove what kontain-installer made in %s", store.root);
	}
	if (kt_remove(installer, &is_root_kept, &err) != 0)
		return kt_print_error(&err);
	return kt_print_result(&installer->options, &document, "uninstall", true,
			       "removed what kontain-installer made in %s%s", store.root,
			       is_root_kept ? "; the empty folder stays, as it is mounted somewhere" : "");
}
