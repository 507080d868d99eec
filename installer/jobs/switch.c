#include "switch.h"

#include <errno.h>

#include "call.h"

/* version NULL: through the live links; label names it in the message. */
static int prove(const struct kt_installer *installer, const char *version, const char *label, struct kt_error *err)
{
	struct kt_state_proof proof = {.ran = false};

	kt_proof_ask(installer, version, &proof);
	if (proof.verdict.ok)
		return 0;
	return kt_fail(err, EPROTO, proof.verdict.reason, "version %s: %s", label, proof.verdict.message);
}

int kt_switch_to(const struct kt_installer *installer, struct kt_store *store, const struct kt_inventory *before,
		 const char *version, struct kt_error *err)
{
	struct kt_error restore;
	int failed = prove(installer, version, version, err);

	if (failed)
		return failed;
	failed = kt_store_activate(store, version, err);
	if (failed == 0)
		failed = prove(installer, NULL, version, err);
	if (failed && kt_store_restore(store, before->current, before->previous, &restore) != 0)
		kt_fail_prefix(err, "restoring version %s failed too (%s)", before->current, restore.text);
	return failed;
}
