#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "jobs/root.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"
#include "print.h"

static const char earlier_layout[] =
	"is in the layout of an earlier kontain-installer: the next install, verify or rollback takes it over";

static const char *role_of(const struct kt_inventory *inventory, const char *version)
{
	if (strcmp(version, inventory->current) == 0)
		return "current";
	return strcmp(version, inventory->previous) == 0 ? "previous" : "";
}

static bool is_pinned(const struct kt_pins *pins, const char *version)
{
	char place[KT_PIN_MAX];

	snprintf(place, sizeof place, "sets/%s", version);
	return kt_pins_have(pins, place);
}

static void print_set(const struct kt_store *store, const struct kt_inventory *inventory, const struct kt_pins *pins,
		      const char *version)
{
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_look look;

	printf("%-24s %-9s%s", version, role_of(inventory, version), is_pinned(pins, version) ? " pinned" : "");
	kt_store_look(store, version, &look);
	(void)kt_store_read_set(store, version, &manifest, &err);
	for (size_t i = 0; i < manifest.component_count; i++)
		printf(" %s=%s", manifest.components[i].name, manifest.components[i].version);
	if (look.is_old)
		printf(" %s", earlier_layout);
	if (!look.is_whole)
		printf(" %s: %s", kt_reason_name(look.damage_reason), look.damage);
	putchar('\n');
}

static void print_text(const struct kt_store *store, const struct kt_inventory *inventory, const struct kt_pins *pins,
		       const struct kt_state_kept *kept)
{
	for (size_t i = 0; i < inventory->set_count; i++)
		print_set(store, inventory, pins, inventory->sets[i]);
	for (size_t i = 0; i < pins->count; i++)
		if (strchr(pins->names[i], '/') != NULL)
			printf("%-24s %-9s pinned\n", pins->names[i], "");
	kt_print_kept(kept, "");
	if (inventory->set_count == 0)
		printf("no version is installed in %s\n", store->root);
}

static void add_set(struct kt_document *document, const struct kt_store *store, const struct kt_inventory *inventory,
		    const struct kt_pins *pins, const char *version)
{
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_look look;

	kt_document_item(document, "items");
	kt_document_text(document, "version", version);
	kt_document_text(document, "role", role_of(inventory, version));
	kt_document_bool(document, "pinned", is_pinned(pins, version));
	kt_store_look(store, version, &look);
	if (kt_store_read_set(store, version, &manifest, &err) != 0)
		kt_document_text(document, "error", look.is_old ? earlier_layout : err.text);
	kt_document_bool(document, "earlierLayout", look.is_old);
	if (!look.is_whole) {
		kt_document_text(document, "reason", kt_reason_name(look.damage_reason));
		kt_document_text(document, "damage", look.damage);
	}
	for (size_t i = 0; i < manifest.component_count; i++)
		kt_document_pair(document, "components", manifest.components[i].name, manifest.components[i].version);
}

static int print_document(const struct kt_store *store, const struct kt_inventory *inventory,
			  const struct kt_pins *pins, const struct kt_state_kept *kept)
{
	KT_OWN(kt_document_done) struct kt_document document = {.root = NULL};
	KT_OWN(kt_free_mem) char *text = NULL;

	kt_document_begin(&document, "VersionList");
	kt_document_text(&document, "root", store->root);
	kt_document_list(&document, "items");
	kt_document_list(&document, "pinnedComponents");
	for (size_t i = 0; i < inventory->set_count; i++)
		add_set(&document, store, inventory, pins, inventory->sets[i]);
	for (size_t i = 0; i < pins->count; i++)
		if (strchr(pins->names[i], '/') != NULL) {
			kt_document_item(&document, "pinnedComponents");
			kt_document_text(&document, "name", pins->names[i]);
		}
	kt_document_kept(&document, "kept", kept);
	text = kt_document_print(&document);
	if (text == NULL)
		return KT_EXIT_FAILED;
	fputs(text, stdout);
	return KT_EXIT_DONE;
}

int kt_command_list(const struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_inventory inventory;
	struct kt_pins pins;
	struct kt_state_kept kept = {.count = 0};
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (kt_installer_open_store(installer, KT_STORE_READ, &store, &err) != 0 ||
	    kt_store_inventory(&store, &inventory, &err) != 0 || kt_store_read_pins(&store, &pins, &err) != 0)
		return kt_print_error(&err);
	if (kt_store_list_kept(&store, true, &kept, &err) != 0) /* who may not ask tells what there is, and nobody */
		(void)kt_store_list_kept(&store, false, &kept, &err);
	if (installer->options.json)
		return print_document(&store, &inventory, &pins, &kept);
	print_text(&store, &inventory, &pins, &kept);
	return KT_EXIT_DONE;
}
