/* A person's landing: one reconcile, acted here where its progress is seen, and its outcome in words. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/reconcile.h"
#include "commands.h"
#include "jobs/root.h"
#include "kontain/base/own.h"
#include "kontain/contract/document.h"
#include "print.h"

/* What another installed is moved away before the reconcile looks. */
static int set_aside(const struct kt_installer *installer, struct kt_error *err)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct kt_inventory inventory;
	char place[KT_CONFIG_PATH_MAX + 32];
	int failed = kt_installer_open_store(installer, KT_STORE_WRITE, &store, err);

	if (failed)
		return failed == -ENOENT ? 0 : failed;
	failed = kt_store_inventory(&store, &inventory, err);
	if (failed || !inventory.is_foreign || inventory.is_adoptable)
		return failed;
	failed = kt_store_set_aside(&store, place, sizeof place, err);
	if (failed == 0 && !installer->options.quiet)
		fprintf(stderr, "kontain-installer: moved the existing installation from %s to %s\n", store.root,
			place);
	return failed;
}

static int print_obstacle(const struct kt_verdict *verdict)
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	kt_fail(&err, EPERM, verdict->reason, "%s", verdict->message);
	return kt_print_error(&err);
}

static int print_dry_run(const struct kt_options *options, const struct kt_plan *plan, const struct kt_state *state)
{
	KT_OWN(kt_document_done) struct kt_document document = {.root = NULL};
	bool is_first = state->versions.current[0] == '\0';

	if (plan->obstacle.reason != KT_REASON_NONE)
		return print_obstacle(&plan->obstacle);
	kt_print_result_begin(&document);
	if (plan->step == KT_STEP_NOTHING)
		return kt_print_result(options, &document, "install", false, "nothing to do: version %s is current",
				       state->versions.current);
	return kt_print_result(options, &document, "install", true, "would install version %s%s%s",
			       state->versions.desired, is_first ? "" : " in place of ", state->versions.current);
}

int kt_command_install(const struct kt_installer *installer)
{
	struct kt_installer asked = *installer;
	struct kt_reconciler reconciler = {.installer = &asked, .is_attended = true};
	struct kt_error err = {.reason = KT_REASON_NONE};
	enum kt_step step = KT_STEP_NOTHING;
	struct kt_state state;
	struct kt_plan plan;

	asked.config.desired_absent = false; /* the command asks, whatever the config is for */
	if (installer->options.bundle == NULL) {
		kt_fail(&err, EINVAL, KT_REASON_BUNDLE_MISSING, "no bundle given: use --bundle DIR");
		return kt_print_error(&err);
	}
	if (installer->options.dry_run) {
		kt_reconcile_look(&reconciler, &state, &plan);
		return print_dry_run(&installer->options, &plan, &state);
	}
	if (installer->options.force && set_aside(installer, &err) != 0)
		return kt_print_error(&err);
	kt_reconcile(&reconciler, &state, &step);
	if (reconciler.attempts.failure.reason != KT_REASON_NONE)
		return kt_print_error(&reconciler.attempts.failure);
	if (strcmp(state.versions.current, state.versions.desired) != 0 || state.versions.desired[0] == '\0')
		return print_obstacle(&state.rollout);
	if (step == KT_STEP_NOTHING && !installer->options.quiet && !installer->options.json)
		printf("nothing to do: version %s is current\n", state.versions.current);
	return kt_print_state(&installer->options, &state);
}
