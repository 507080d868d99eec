#include <stdio.h>

#include "kontain/own.h"
#include "kontain/statejson.h"
#include "observe.h"
#include "print.h"
#include "verbs.h"

int kt_verb_selftest(struct kt_installer *installer)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	KT_OWN(kt_free_mem) char *answer = NULL;
	struct kt_state_proof proof = {.ran = true};
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (kt_installer_open_store(installer, KT_STORE_READ, &store, &err) != 0) {
		kt_verdict_fail(&proof.verdict, &err);
	} else {
		struct kt_selftest test = {
			.store_path = store.path,
			.version = installer->options.to,
			.dev = installer->options.dev,
			.timeout_ms = installer->config.proof_timeout_s * 1000,
			.allow_emulated = installer->config.allow_emulated,
		};

		kt_selftest_run(&test, &proof);
	}
	answer = kt_proof_print(&proof);
	if (answer == NULL)
		return KT_EXIT_FAILED;
	fputs(answer, stdout);
	return KT_EXIT_DONE;
}
