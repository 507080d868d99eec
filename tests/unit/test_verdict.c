/* links: kt_serve kt_kube kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* From a reason and from what serves to what the world sees: /readyz, the node's condition, the rollout, the remedy.
 * Each reason once for each of: nothing serves, an older version serves, the version asked for serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/agent/plan.h"
#include "kube/report.h"
#include "serve/health.h"

#define SHA_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define SHA_2 "2222222222222222222222222222222222222222222222222222222222222222"

/* Said here once more, by name, so that the table of reasons is not held against itself. */
static const char node_faults[] =
	" DeviceMissing ModuleMissing ModuleBlocked VirtualizationDisabled NotOfferedByHypervisor NotCharDevice "
	"PermissionDenied ApiVersionMismatch CapabilityMissing GuestFailed GuestHung GuestEmulated StuckInKernel "
	"Unsteady "
	"KkmFailed XsaveMissing MmapMinAddr FileLimit ProcMissing KernelTooOld ExecDenied MknodDenied StoreReadOnly "
	"StoreNoexec StoreNotDirectory StoreUnsafe StoreUnsupported ForeignInstallation DiskFull IoError "
	"AccessDenied ProcessLimit ";
static const char wanted_so[] = " Ready Absent RolledBack ";

static bool is_among(const char *names, enum kt_reason reason)
{
	char word[64];

	(void)snprintf(word, sizeof(word), " %s ", kt_reason_name(reason));
	return strstr(names, word) != NULL;
}

/* A node whose attempt at version 2 ended with that reason a moment ago. */
static void seen_make(enum kt_reason reason, enum kt_serves serves, struct kt_desired *desired,
		      struct kt_observed *observed)
{
	*desired = (struct kt_desired){.asked = true, .version = "2", .manifest_sha256 = SHA_2};
	*observed = (struct kt_observed){.store_open = true, .inventory.is_ours = true, .is_too_soon = true};
	kt_verdict_set(&observed->probe.kvm.verdict, true, KT_REASON_READY, "a guest runs");
	kt_verdict_set(&observed->probe.host.verdict, true, KT_REASON_READY, "as km needs it");
	(void)kt_fail(&observed->failure, 5, reason, "what happened");
	if (serves == KT_SERVES_NOTHING)
		return;
	observed->inventory.is_whole = true;
	strcpy(observed->inventory.current, serves == KT_SERVES_ASKED ? "2" : "1");
	strcpy(observed->inventory.manifest_sha256, serves == KT_SERVES_ASKED ? SHA_2 : SHA_1);
	observed->proof.ran = true;
	kt_verdict_set(&observed->proof.verdict, true, KT_REASON_READY, "payloads run");
}

struct shown {
	struct kt_state state;
	struct kt_report report;
	unsigned readyz;
	char body[128]; /* its first line */
};

static void show(enum kt_reason reason, enum kt_serves serves, struct shown *ret_shown)
{
	static const struct kt_http_request request = {.path = "/readyz"};
	struct kt_http_reply reply = {.code = 0};
	struct kt_desired desired;
	struct kt_observed observed;
	struct kt_health health;

	seen_make(reason, serves, &desired, &observed);
	kt_state_init(&ret_shown->state);
	kt_judge(&desired, &observed, &ret_shown->state.node, &ret_shown->state.rollout);
	kt_judge_upgrade(&desired, &observed, &ret_shown->state.store.upgrade);
	kt_health_judge(
		&(struct kt_health_input){.state = &ret_shown->state, .is_reported = true, .report_problem = ""},
		&health);
	kt_health_answer(&health, &request, &reply);
	ret_shown->readyz = reply.code;
	(void)snprintf(ret_shown->body, sizeof(ret_shown->body), "%.*s", (int)strcspn(reply.body, "\n"), reply.body);
	free(reply.body);
	kt_report_decide(&(struct kt_report_input){.state = &ret_shown->state, .boot_id = "b"}, &ret_shown->report);
}

static void fail_if(bool is_wrong, const char *what, enum kt_reason reason, const struct shown *shown)
{
	if (is_wrong)
		fail_msg("%s, %s: /readyz %u %s; condition %d %s; rollout %d %s", what, kt_reason_name(reason),
			 shown->readyz, shown->body, shown->report.status, shown->report.reason,
			 shown->state.rollout.ok, kt_reason_name(shown->state.rollout.reason));
}

/* One node that cannot have km must not hold up all others; everything else is waited for. */
static void test_nothing_serves(void **state)
{
	(void)state;
	for (enum kt_reason reason = KT_REASON_STARTING; reason < KT_REASON_COUNT; reason++) {
		bool is_settled = is_among(node_faults, reason) || is_among(wanted_so, reason);
		struct shown shown;
		char unfit[64];

		show(reason, KT_SERVES_NOTHING, &shown);
		(void)snprintf(unfit, sizeof(unfit), "%s: %s", reason == KT_REASON_ABSENT ? "removed" : "unfit",
			       kt_reason_name(reason));
		fail_if(shown.state.rollout.ok != is_settled || shown.state.rollout.reason != reason, "settled", reason,
			&shown);
		fail_if(shown.readyz != (is_settled ? 200 : 503), "readyz", reason, &shown);
		fail_if(is_settled && strcmp(shown.body, unfit) != 0, "never a plain ok", reason, &shown);
		fail_if(shown.report.status !=
				(reason == KT_REASON_STARTING ? KT_CONDITION_UNKNOWN : KT_CONDITION_FALSE),
			"condition", reason, &shown);
		fail_if(strcmp(shown.report.reason, kt_reason_name(reason)) != 0, "its reason", reason, &shown);
		/* its km is there and does not run: the same, whichever version is asked for */
		shown.state.store.upgrade.state = KT_UPGRADE_FAILED;
		fail_if(kt_state_is_refused(&shown.state) == is_settled, "refused", reason, &shown);
	}
}

/* Where another version works, whatever keeps the one asked for away holds the rollout, and is told. */
static void test_an_older_version_serves(void **state)
{
	(void)state;
	for (enum kt_reason reason = KT_REASON_STARTING; reason < KT_REASON_COUNT; reason++) {
		bool is_settled = is_among(wanted_so, reason);
		struct shown shown;
		char held[64];

		show(reason, KT_SERVES_OTHER, &shown);
		(void)snprintf(held, sizeof(held), "held: %s", kt_reason_name(reason));
		fail_if(shown.report.status != KT_CONDITION_TRUE, "condition", reason, &shown);
		fail_if(strcmp(shown.report.value[KT_KEY_KM], "true") != 0, "label", reason, &shown);
		fail_if(shown.state.rollout.ok != is_settled || shown.readyz != (is_settled ? 200 : 503), "settled",
			reason, &shown);
		fail_if(strcmp(shown.body, "ok") == 0 && reason != KT_REASON_READY, "never a plain ok", reason, &shown);
		fail_if(reason == KT_REASON_ROLLED_BACK && strcmp(shown.body, held) != 0, "held", reason, &shown);
		/* what is settled refused nothing: a person's choice, a node that takes no version */
		fail_if(strcmp(shown.report.value[KT_KEY_KM_REFUSED], is_settled ? "" : "2") != 0 ||
				strcmp(shown.report.value[KT_KEY_KM_REFUSED_REASON],
				       is_settled ? "" : kt_reason_name(reason)) != 0,
			"which was refused and why", reason, &shown);
	}
}

/* The rollout has what it asked for: what went wrong beside it is no matter of the rollout. */
static void test_the_version_asked_for_serves(void **state)
{
	(void)state;
	for (enum kt_reason reason = KT_REASON_STARTING; reason < KT_REASON_COUNT; reason++) {
		struct shown shown;

		show(reason, KT_SERVES_ASKED, &shown);
		fail_if(shown.readyz != 200 || strcmp(shown.body, "ok") != 0, "readyz", reason, &shown);
		fail_if(shown.state.rollout.reason != KT_REASON_READY || !shown.state.rollout.ok, "rollout", reason,
			&shown);
		fail_if(shown.report.status != KT_CONDITION_TRUE || shown.report.value[KT_KEY_KM_REFUSED][0],
			"condition", reason, &shown);
		assert_true(kt_reason_is_settled(reason, KT_SERVES_ASKED));
	}
}

/* A disk is to be replaced where a disk is at fault, and a bundle where the bundle is. */
static void test_remedies_fit(void **state)
{
	(void)state;
	for (enum kt_reason reason = KT_REASON_STARTING; reason < KT_REASON_COUNT; reason++) {
		const struct kt_reason_info *info = kt_reason_get(reason);
		bool is_of_the_bundle =
			strstr(info->remedy, "nother bundle") || strstr(info->remedy, "ack the bundle") ||
			strstr(info->remedy, "orrect the bundle") || strstr(info->remedy, "eplace the bundle");

		if (strstr(info->remedy, "replace the disk"))
			assert_int_equal(reason, KT_REASON_IO_ERROR);
		if (is_of_the_bundle && reason != KT_REASON_ROLLED_BACK && info->fault != KT_FAULT_VERSION &&
		    info->fault != KT_FAULT_SOURCE)
			fail_msg("%s blames the bundle: %s", info->name, info->remedy);
		if (strstr(info->remedy, "as a bug"))
			assert_int_equal(reason, KT_REASON_INTERNAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_serves),
		cmocka_unit_test(test_an_older_version_serves),
		cmocka_unit_test(test_the_version_asked_for_serves),
		cmocka_unit_test(test_remedies_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
