#include <stdio.h>
#include <string.h>

#include "agent/observe.h"
#include "commands.h"
#include "jobs/root.h"
#include "kontain/own.h"
#include "print.h"

static void print_set(const struct kt_store *store, const struct kt_inventory *inventory, const struct kt_pins *pins,
		      const char *version)
{
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	struct kt_error err = {.reason = KT_REASON_NONE};
	char place[KT_PIN_MAX];
	const char *role = strcmp(version, inventory->current) == 0    ? "current"
			   : strcmp(version, inventory->previous) == 0 ? "previous"
								       : "";

	snprintf(place, sizeof place, "sets/%s", version);
	printf("%-24s %-9s%s", version, role, kt_pins_have(pins, place) ? " pinned" : "");
	if (kt_store_read_set(store, version, &manifest, &err) != 0)
		printf(" %s", err.text);
	for (size_t i = 0; i < manifest.component_count; i++)
		printf(" %s=%s", manifest.components[i].name, manifest.components[i].version);
	putchar('\n');
}

int kt_command_list(const struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_inventory inventory;
	struct kt_pins pins;
	struct kt_state_kept kept = {.count = 0};
	struct kt_error err = {.reason = KT_REASON_NONE};
	struct kt_state state;

	if (kt_installer_open_store(installer, KT_STORE_READ, &store, &err) != 0 ||
	    kt_store_inventory(&store, &inventory, &err) != 0 || kt_store_read_pins(&store, &pins, &err) != 0)
		return kt_print_error(&err);
	if (kt_store_list_kept(&store, true, &kept, &err) != 0) /* who may not ask tells what there is, and nobody */
		(void)kt_store_list_kept(&store, false, &kept, &err);
	if (installer->options.json) {
		kt_state_init(&state);
		kt_state_stamp(&state);
		kt_inventory_versions(&inventory, &state.versions);
		state.store.kept = kept;
		kt_print_state(&installer->options, &state);
		return KT_EXIT_DONE;
	}
	for (size_t i = 0; i < inventory.set_count; i++)
		print_set(&store, &inventory, &pins, inventory.sets[i]);
	for (size_t i = 0; i < pins.count; i++)
		if (strchr(pins.names[i], '/') != NULL)
			printf("%-24s %-9s pinned\n", pins.names[i], "");
	kt_print_kept(&kept, "");
	if (inventory.set_count == 0)
		printf("no version is landed in %s\n", store.root);
	return KT_EXIT_DONE;
}
