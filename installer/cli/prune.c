/* Taking old versions away, and a word on each that stays but for the two that always do. */
#include <stdio.h>

#include "commands.h"
#include "jobs/root.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"
#include "print.h"

struct teller {
	const struct kt_options *options;
	struct kt_document *document;
	size_t removed;
};

static void tell_item(struct kt_document *document, const char *version, enum kt_fate fate, const struct kt_user *user)
{
	static const char *const outcomes[] = {
		[KT_FATE_REMOVED] = "removed", [KT_FATE_CURRENT] = "current", [KT_FATE_PREVIOUS] = "previous",
		[KT_FATE_NEWEST] = "newest",   [KT_FATE_YOUNG] = "young",     [KT_FATE_IN_USE] = "in use",
		[KT_FATE_PINNED] = "pinned",   [KT_FATE_REMNANT] = "removed",
	};
	kt_document_item(document, "items");
	kt_document_text(document, "name", version);
	kt_document_text(document, "outcome", outcomes[fate]);
	if (fate == KT_FATE_REMNANT)
		kt_document_text(document, "detail", "it has no manifest that can be read");
	if (fate == KT_FATE_IN_USE && user->mount[0] != '\0') {
		kt_document_text(document, "mount", user->mount);
		kt_document_text(document, "place", user->place);
	} else if (fate == KT_FATE_IN_USE) {
		kt_document_number(document, "pid", (size_t)user->pid);
		kt_document_text(document, "program", user->program);
		kt_document_text(document, "place", user->place);
	}
}

static void tell(void *context, const char *version, enum kt_fate fate, const struct kt_user *user)
{
	struct teller *teller = context;
	const struct kt_options *options = teller->options;

	if (options->json) {
		tell_item(teller->document, version, fate, user);
		return;
	}
	if (options->quiet)
		return;
	switch (fate) {
	case KT_FATE_REMOVED:
		printf("%s version %s\n", options->dry_run ? "would remove" : "removing", version);
		break;
	case KT_FATE_REMNANT:
		printf("%s version %s: it has no manifest that can be read\n",
		       options->dry_run ? "would remove" : "removing", version);
		break;
	case KT_FATE_IN_USE:
		if (user->mount[0] != '\0') {
			printf("kept version %s: %s %s\n", version, user->how, user->mount);
			break;
		}
		printf("kept version %s: process %d %s %s %s\n", version, (int)user->pid, user->program, user->how,
		       user->place[0] != '\0' ? user->place : "any version");
		break;
	case KT_FATE_NEWEST:
		printf("kept version %s: one of the newest %u\n", version, options->keep);
		break;
	case KT_FATE_YOUNG:
		printf("kept version %s: landed within %u days\n", version, options->older_than_days);
		break;
	case KT_FATE_PINNED:
		printf("kept version %s: it is pinned\n", version);
		break;
	case KT_FATE_CURRENT:
	case KT_FATE_PREVIOUS:
		break;
	}
}

int kt_command_prune(const struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_state_kept kept = {.count = 0};
	struct kt_error err = {.reason = KT_REASON_NONE};
	KT_OWN(kt_document_done) struct kt_document document = {.root = NULL};
	struct teller teller = {.options = &installer->options, .document = &document};
	struct kt_prune prune = {.keep_count = installer->options.keep,
				 .older_than_s = installer->options.older_than_days * 86400UL,
				 .ret_kept = &kept,
				 .is_dry_run = installer->options.dry_run,
				 .tell = tell,
				 .context = &teller};

	kt_print_result_begin(&document);
	if (kt_installer_open_store(installer, KT_STORE_WRITE, &store, &err) != 0 ||
	    kt_store_lock(&store, 0, &err) != 0 || kt_store_prune(&store, &prune, &teller.removed, &err) != 0)
		return kt_print_error(&err);
	if (installer->options.json)
		kt_document_kept(&document, "kept", &kept);
	else if (!installer->options.quiet)
		kt_print_kept(&kept, "kept ");
	return kt_print_result(&installer->options, &document, "prune", teller.removed > 0, "%zu version%s %s",
			       teller.removed, kt_plural(teller.removed),
			       prune.is_dry_run ? "would be removed" : "removed");
}
