#include <stdio.h>

#include "commands.h"
#include "jobs/root.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"
#include "print.h"

struct findings {
	const struct kt_options *options;
	struct kt_document *document;
	size_t count;
};

static void take_finding(void *context, const char *path, const char *text)
{
	struct findings *findings = context;

	findings->count++;
	if (!findings->options->json) {
		printf("finding   %s: %s\n", path, text);
		return;
	}
	kt_document_item(findings->document, "items");
	kt_document_text(findings->document, "name", path);
	kt_document_text(findings->document, "outcome", "finding");
	kt_document_text(findings->document, "detail", text);
}

int kt_command_verify(const struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_inventory inventory;
	struct kt_error err = {.reason = KT_REASON_NONE};
	const char *version = installer->options.to;
	KT_OWN(kt_document_done) struct kt_document document = {.root = NULL};
	struct findings findings = {.options = &installer->options, .document = &document};
	struct kt_verify how = {.version = version,
				.is_strict = installer->options.strict,
				.is_noted = true,
				.found = take_finding,
				.context = &findings};

	kt_print_result_begin(&document);
	if (kt_installer_open_store(installer, KT_STORE_READ, &store, &err) != 0 ||
	    kt_store_inventory(&store, &inventory, &err) != 0 || kt_store_verify(&store, &how, &err) != 0)
		return kt_print_error(&err);
	return kt_print_result(
		&installer->options, &document, "verify", false, "verification passed: version %s, %zu finding%s",
		version != NULL ? version : inventory.current, findings.count, kt_plural(findings.count));
}
