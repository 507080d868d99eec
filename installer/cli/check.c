/* Can this host run Kontain payloads? Needs no installation and changes nothing: no module is loaded either. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "agent/observe.h"
#include "commands.h"
#include "doctor.h"
#include "jobs/root.h"
#include "kontain/base/own.h"
#include "print.h"

/* The folders on the way to a km, which other users run too. */
static int store_is_entered(const struct kt_installer *installer, struct kt_error *err)
{
	static const char *const folders[] = {"", "/versions", "/sets"};
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	struct stat info;

	if (kt_installer_open_store(installer, KT_STORE_READ, &store, err) != 0)
		return 0; /* what is wrong with it was reported before */
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		if (fstatat(store.dir, i == 0 ? "." : folders[i] + 1, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (info.st_mode & S_IXOTH) == 0)
			return kt_fail(err, EACCES, KT_REASON_EXEC_DENIED,
				       "other users may not enter %s%s (mode %04o), and so may not execute km",
				       store.root, folders[i], info.st_mode & 07777);
	return 0;
}

/* The store where there is one: what is not there yet is no fault. */
static void check_store(const struct kt_installer *installer, struct kt_observed *observed, struct kt_state *state)
{
	static const struct kt_desired nothing = {.asked = false};
	struct kt_check *check = kt_checks_add(&state->checks, "store");
	struct kt_verdict *verdict = &state->store.verdict;
	struct kt_error err = {.code = 0};

	kt_observe_store(installer, &nothing, observed, &state->store);
	if (verdict->ok && store_is_entered(installer, &err) != 0) {
		kt_check_fail(check, &err);
		snprintf(check->value, sizeof check->value, "cannot be entered");
	} else if (verdict->ok) {
		kt_check_pass(check);
		snprintf(check->value, sizeof check->value, "%.60s on %s", state->store.root, state->store.filesystem);
	} else if (verdict->reason == KT_REASON_NO_VERSION) {
		check->result = KT_CHECK_NOTE;
		snprintf(check->value, sizeof check->value, "none yet");
	} else {
		struct kt_error err = {.reason = verdict->reason};

		snprintf(err.text, sizeof err.text, "%s", verdict->message);
		kt_check_fail(check, &err);
		snprintf(check->value, sizeof check->value, "not usable");
	}
}

int kt_command_check(const struct kt_installer *installer)
{
	const struct kt_options *options = &installer->options;
	bool allow_emulated = installer->config.allow_emulated;
	struct kt_installer looking = *installer;
	struct kt_observed observed = {.store_open = false};
	struct kt_state state;

	looking.config.load_modules = false; /* to check is not to act */
	kt_state_init(&state);
	kt_observe_node(&looking, &observed);
	kt_state_set_probe(&state, &observed.probe);
	check_store(installer, &observed, &state);
	kt_state_stamp(&state);
	kt_verdict_set(&state.node, false, KT_REASON_STARTING,
		       "not verified with a payload yet: run install, then status");
	if (options->json)
		kt_print_document(&state);
	else if (!options->quiet)
		kt_doctor_print(&state, allow_emulated, stdout);
	return kt_doctor_is_fit(&state, allow_emulated) ? KT_EXIT_DONE : KT_EXIT_FAILED;
}
