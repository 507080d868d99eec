/* The proof, in a process of its own. A set that is named, as before it is made current, is proven by the two built-in
 * payloads and by its own selfTest; the live links, at every tick, by the built-in ones alone: they cost milliseconds,
 * while the selfTest may take what it likes and stands in a manifest that is costly to parse. */
#include <stdio.h>

#include "jobs.h"
#include "kontain/base/own.h"
#include "kontain/contract/statejson.h"
#include "root.h"

static int prove(const struct kt_installer *installer, const char *version, struct kt_state_proof *ret_proof,
		 struct kt_error *err)
{
	KT_OWN(kt_store_done) struct kt_store store = {.dir = -1, .lock = -1};
	KT_OWN(kt_manifest_done) struct kt_manifest manifest = {.component_count = 0};
	struct kt_selftest test = {
		.version = version,
		.dev = installer->options.dev,
		.timeout_ms = installer->config.proof_timeout_s * 1000,
		.allow_emulated = installer->config.allow_emulated,
	};
	int failed = kt_installer_open_store(installer, KT_STORE_READ, &store, err);

	if (failed == 0 && version != NULL)
		failed = kt_store_read_set(&store, version, &manifest, err);
	if (failed)
		return failed;
	test.store_path = store.path;
	test.own_argv = (const char *const *)manifest.self_test_argv;
	test.own_expect = manifest.self_test_expect;
	kt_selftest_run(&test, ret_proof);
	return 0;
}

int kt_job_selftest(const struct kt_installer *installer, const char *version)
{
	KT_OWN(kt_free_mem) char *answer = NULL;
	struct kt_state_proof proof = {.ran = true};
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (prove(installer, version[0] != '\0' ? version : NULL, &proof, &err) != 0)
		kt_verdict_fail(&proof.verdict, &err);
	answer = kt_proof_print(&proof);
	if (answer == NULL)
		return KT_EXIT_FAILED;
	puts(answer);
	return KT_EXIT_DONE;
}
