/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* The upgrade policy, row by row: what is wanted and seen -> the step, how the node stands, whether it is settled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/agent/plan.h"

#define SHA_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define SHA_2 "2222222222222222222222222222222222222222222222222222222222222222"

/* What a row changes of a node on which version 1 is current, proven and asked for. */
enum twist {
	AS_IS = 0,
	ASK_2 = 1 << 0,     /* a bundle of version 2 is asked for */
	EMPTY = 1 << 1,     /* nothing is landed */
	NO_STORE = 1 << 2,  /* there is no root yet */
	READ_ONLY = 1 << 3, /* the store cannot be written */
	FOREIGN = 1 << 4,
	NO_KVM = 1 << 5,
	OLD_KERNEL = 1 << 6,
	BROKEN_BUNDLE = 1 << 7,
	FAILED_BEFORE = 1 << 8, /* version 2 failed here and is remembered */
	JUST_FAILED = 1 << 9,   /* the last attempt failed of a full disk */
	DAMAGED = 1 << 10,
	KM_ABORTS = 1 << 11, /* the proof of the current set fails */
	ABSENT = 1 << 12,
	NOT_ASKED = 1 << 13,
	STRICT = 1 << 14,        /* unfitNodes: notReady */
	OTHER_CONTENT = 1 << 15, /* version 1 is asked for with another manifest */
	NOT_OURS = 1 << 16,
	ADOPTABLE = 1 << 18, /* with FOREIGN: an earlier installer's folders */
	HELD = 1 << 19,      /* a person rolled back from what is asked for */
	LOST = 1 << 20,      /* with DAMAGED: a file of it */
	CONTENDED = 1 << 21, /* another agent undid what we did */
	EMULATED = 1 << 17,  /* the last attempt met a KVM that emulates */
};

static void base_make(struct kt_desired *desired, struct kt_observed *observed)
{
	*desired = (struct kt_desired){.asked = true, .version = "1", .manifest_sha256 = SHA_1};
	*observed = (struct kt_observed){
		.store_open = true,
		.inventory = {.current = "1", .manifest_sha256 = SHA_1, .is_ours = true, .is_whole = true},
		.proof.ran = true};
	kt_verdict_set(&observed->probe.kvm.verdict, true, KT_REASON_READY, "a guest runs");
	kt_verdict_set(&observed->probe.host.verdict, true, KT_REASON_READY, "as km needs it");
	kt_verdict_set(&observed->proof.verdict, true, KT_REASON_READY, "payloads run");
}

static void store_twist(unsigned twists, struct kt_observed *observed)
{
	if (twists & (EMPTY | NO_STORE)) {
		memset(&observed->inventory, 0, sizeof(observed->inventory));
		observed->inventory.is_ours = !(twists & NO_STORE);
		memset(&observed->proof, 0, sizeof(observed->proof));
	}
	if (twists & (NO_STORE | READ_ONLY)) {
		observed->store_open = false;
		kt_fail(&observed->store_error, 2, twists & NO_STORE ? KT_REASON_NO_VERSION : KT_REASON_STORE_READ_ONLY,
			"the store");
	}
	if (twists & FOREIGN) {
		observed->inventory.is_foreign = true;
		observed->inventory.is_adoptable = (twists & ADOPTABLE) != 0;
		observed->inventory.is_ours = false;
		strcpy(observed->inventory.damage, "bin is another's");
	}
	if (twists & NOT_OURS)
		observed->inventory.is_ours = false;
	if (twists & DAMAGED) {
		observed->inventory.is_whole = false;
		observed->inventory.damage_reason = twists & LOST ? KT_REASON_STORE_FILE_LOST : KT_REASON_STORE_DAMAGED;
		strcpy(observed->inventory.damage, "bin/km is missing");
		memset(&observed->proof, 0, sizeof(observed->proof));
	}
}

static void node_twist(unsigned twists, struct kt_observed *observed)
{
	if (twists & NO_KVM) {
		kt_verdict_set(&observed->probe.kvm.verdict, false, KT_REASON_DEVICE_MISSING, "no device");
		memset(&observed->proof, 0, sizeof(observed->proof));
	}
	if (twists & OLD_KERNEL)
		kt_verdict_set(&observed->probe.host.verdict, false, KT_REASON_KERNEL_TOO_OLD, "an old kernel");
	if (twists & KM_ABORTS)
		kt_verdict_set(&observed->proof.verdict, false, KT_REASON_KM_ABORTED, "km aborted");
	if (twists & FAILED_BEFORE)
		observed->failed_before = true;
	if (twists & FAILED_BEFORE)
		kt_fail(&observed->failure, 71, KT_REASON_KM_ABORTED, "version 2: km aborted");
	if (twists & JUST_FAILED)
		kt_fail(&observed->failure, 28, KT_REASON_DISK_FULL, "no room");
	if (twists & CONTENDED)
		strcpy(observed->contender, "another agent activated 1");
	observed->is_held = (twists & HELD) != 0;
	if (twists & EMULATED)
		kt_fail(&observed->failure, 71, KT_REASON_GUEST_EMULATED, "version 2: integer code only");
}

static void twist(unsigned twists, struct kt_desired *desired, struct kt_observed *observed)
{
	base_make(desired, observed);
	if (twists & ASK_2) {
		strcpy(desired->version, "2");
		strcpy(desired->manifest_sha256, SHA_2);
	}
	if (twists & OTHER_CONTENT)
		strcpy(desired->manifest_sha256, SHA_2);
	if (twists & BROKEN_BUNDLE)
		kt_fail(&desired->bundle_error, 22, KT_REASON_BUNDLE_INVALID, "no manifest");
	desired->asked = !(twists & NOT_ASKED);
	desired->absent = twists & ABSENT;
	desired->unfit_not_ready = twists & STRICT;
	store_twist(twists, observed);
	node_twist(twists, observed);
}

#define LAND    KT_STEP_LAND
#define NOTHING KT_STEP_NOTHING
#define REMOVE  KT_STEP_REMOVE

static const struct {
	const char *name;
	unsigned twists;
	enum kt_step step;
	bool node_ok;
	enum kt_reason node;
	bool settled;
	enum kt_reason rollout;
} rows[] = {
	{"all is as asked", AS_IS, NOTHING, true, KT_REASON_READY, true, KT_REASON_READY},
	{"first landing", NO_STORE, LAND, false, KT_REASON_NO_VERSION, false, KT_REASON_STARTING},
	{"an emptied root", EMPTY, LAND, false, KT_REASON_NO_VERSION, false, KT_REASON_STARTING},
	{"an upgrade", ASK_2, LAND, true, KT_REASON_READY, false, KT_REASON_STARTING},
	{"same version, other content", OTHER_CONTENT, LAND, true, KT_REASON_READY, false, KT_REASON_STARTING},
	{"nothing asked, something there", NOT_ASKED, NOTHING, true, KT_REASON_READY, true, KT_REASON_READY},
	{"nothing asked, nothing there", NOT_ASKED | NO_STORE, NOTHING, false, KT_REASON_NO_VERSION, false,
	 KT_REASON_NO_VERSION},

	/* a fault of the version asked for holds the rollout; the old one serves */
	{"it failed here before", ASK_2 | FAILED_BEFORE, NOTHING, true, KT_REASON_READY, false, KT_REASON_KM_ABORTED},
	{"the bundle is broken", ASK_2 | BROKEN_BUNDLE, NOTHING, true, KT_REASON_READY, false,
	 KT_REASON_BUNDLE_INVALID},
	{"broken, and nothing there", BROKEN_BUNDLE | NO_STORE, NOTHING, false, KT_REASON_BUNDLE_INVALID, false,
	 KT_REASON_BUNDLE_INVALID},
	{"first version fails", EMPTY | ASK_2 | FAILED_BEFORE, NOTHING, false, KT_REASON_KM_ABORTED, false,
	 KT_REASON_KM_ABORTED},
	{"the version that served aborts", KM_ABORTS, NOTHING, false, KT_REASON_KM_ABORTED, false,
	 KT_REASON_KM_ABORTED},

	/* causes of the node's own are settled */
	{"no KVM, nothing there", NO_KVM | NO_STORE, NOTHING, false, KT_REASON_DEVICE_MISSING, true,
	 KT_REASON_DEVICE_MISSING},
	{"KVM went", NO_KVM, NOTHING, false, KT_REASON_DEVICE_MISSING, true, KT_REASON_DEVICE_MISSING},
	{"KVM went, an upgrade waits", NO_KVM | ASK_2, NOTHING, false, KT_REASON_DEVICE_MISSING, true,
	 KT_REASON_DEVICE_MISSING},
	{"no KVM, and that matters", NO_KVM | NO_STORE | STRICT, NOTHING, false, KT_REASON_DEVICE_MISSING, false,
	 KT_REASON_DEVICE_MISSING},
	{"kernel too old", OLD_KERNEL | NO_STORE, NOTHING, false, KT_REASON_KERNEL_TOO_OLD, true,
	 KT_REASON_KERNEL_TOO_OLD},
	{"read-only, nothing there", READ_ONLY | EMPTY, NOTHING, false, KT_REASON_STORE_READ_ONLY, true,
	 KT_REASON_STORE_READ_ONLY},
	{"read-only, an upgrade waits", READ_ONLY | ASK_2, NOTHING, true, KT_REASON_READY, false,
	 KT_REASON_STORE_READ_ONLY},
	{"foreign files", FOREIGN | EMPTY, NOTHING, false, KT_REASON_FOREIGN_INSTALLATION, true,
	 KT_REASON_FOREIGN_INSTALLATION},
	{"an earlier installer's folders", FOREIGN | EMPTY | ADOPTABLE, LAND, false, KT_REASON_NO_VERSION, false,
	 KT_REASON_STARTING},
	{"the disk was full", ASK_2 | JUST_FAILED, LAND, true, KT_REASON_READY, false, KT_REASON_DISK_FULL},
	{"the disk was full, nothing there", EMPTY | ASK_2 | JUST_FAILED, LAND, false, KT_REASON_DISK_FULL, true,
	 KT_REASON_DISK_FULL},
	{"KVM emulates, nothing there", EMPTY | ASK_2 | EMULATED, LAND, false, KT_REASON_GUEST_EMULATED, true,
	 KT_REASON_GUEST_EMULATED},
	/* two causes: the store's comes first, as nothing can be landed whatever KVM does */
	{"read-only and no KVM", READ_ONLY | EMPTY | NO_KVM, NOTHING, false, KT_REASON_STORE_READ_ONLY, true,
	 KT_REASON_STORE_READ_ONLY},

	/* a person's choice is kept, and holds up no rollout */
	{"rolled back by hand", ASK_2 | HELD, NOTHING, true, KT_REASON_READY, true, KT_REASON_ROLLED_BACK},
	{"rolled back, and unfit nodes are not ready", ASK_2 | HELD | STRICT, NOTHING, true, KT_REASON_READY, true,
	 KT_REASON_ROLLED_BACK},
	{"rolled back, then KVM went", ASK_2 | HELD | NO_KVM, NOTHING, false, KT_REASON_DEVICE_MISSING, true,
	 KT_REASON_ROLLED_BACK},
	{"held, and current all the same", HELD, NOTHING, true, KT_REASON_READY, true, KT_REASON_READY},
	{"held, and nothing to keep", ASK_2 | HELD | EMPTY, LAND, false, KT_REASON_NO_VERSION, false,
	 KT_REASON_STARTING},

	/* two agents: who was undone leaves it so, and its rollout waits */
	{"contested", ASK_2 | CONTENDED, NOTHING, true, KT_REASON_READY, false, KT_REASON_CONTESTED},
	{"contested, without KVM", ASK_2 | CONTENDED | NO_KVM, NOTHING, false, KT_REASON_DEVICE_MISSING, false,
	 KT_REASON_CONTESTED},
	{"contested, and gone again", CONTENDED, NOTHING, true, KT_REASON_READY, true, KT_REASON_READY},

	{"damaged", DAMAGED, LAND, false, KT_REASON_STORE_DAMAGED, false, KT_REASON_STARTING},
	{"a file of it is lost", DAMAGED | LOST, LAND, false, KT_REASON_STORE_FILE_LOST, false, KT_REASON_STARTING},
	{"a file of it is lost, nothing asked", DAMAGED | LOST | NOT_ASKED, NOTHING, false, KT_REASON_STORE_FILE_LOST,
	 false, KT_REASON_STORE_FILE_LOST},
	{"a file of it is lost, and the repair meets a full disk", DAMAGED | LOST | JUST_FAILED, LAND, false,
	 KT_REASON_STORE_FILE_LOST, true, KT_REASON_DISK_FULL},
	{"a file of it is lost, an upgrade waits for KVM", DAMAGED | LOST | ASK_2 | NO_KVM, NOTHING, false,
	 KT_REASON_DEVICE_MISSING, true, KT_REASON_DEVICE_MISSING},
	{"damaged, nothing asked", DAMAGED | NOT_ASKED, NOTHING, false, KT_REASON_STORE_DAMAGED, false,
	 KT_REASON_STORE_DAMAGED},

	{"wanted gone", ABSENT, REMOVE, true, KT_REASON_READY, false, KT_REASON_STARTING},
	{"wanted gone, still in use", ABSENT | JUST_FAILED, REMOVE, true, KT_REASON_READY, false, KT_REASON_DISK_FULL},
	{"gone", ABSENT | NO_STORE, NOTHING, false, KT_REASON_ABSENT, true, KT_REASON_ABSENT},
	{"gone, without KVM", ABSENT | NO_STORE | NO_KVM, NOTHING, false, KT_REASON_ABSENT, true, KT_REASON_ABSENT},
	{"another's is not taken away", ABSENT | EMPTY | NOT_OURS, NOTHING, false, KT_REASON_ABSENT, true,
	 KT_REASON_ABSENT},
	{"wanted gone, and installed again by another", ABSENT | CONTENDED, NOTHING, true, KT_REASON_READY, false,
	 KT_REASON_CONTESTED},
	{"wanted gone, read-only", ABSENT | READ_ONLY, NOTHING, true, KT_REASON_READY, false,
	 KT_REASON_STORE_READ_ONLY},
};

static void test_policy(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_desired desired;
		struct kt_observed observed;
		struct kt_plan plan;
		struct kt_verdict node, rollout;

		twist(rows[i].twists, &desired, &observed);
		kt_plan(&desired, &observed, &plan);
		kt_judge(&desired, &observed, &node, &rollout);
		if (plan.step != rows[i].step || node.ok != rows[i].node_ok || node.reason != rows[i].node ||
		    rollout.ok != rows[i].settled || rollout.reason != rows[i].rollout)
			fail_msg("%s: %s; node %d %s: %s; rollout %d %s: %s", rows[i].name, kt_step_name(plan.step),
				 node.ok, kt_reason_name(node.reason), node.message, rollout.ok,
				 kt_reason_name(rollout.reason), rollout.message);
	}
}

/* Whatever is seen, a node is never called ready without a guest, a host and a proof that say so. */
static void test_ready_is_never_false(void **state)
{
	(void)state;
	for (unsigned twists = 0; twists < 1U << 18; twists++) {
		struct kt_desired desired;
		struct kt_observed observed;
		struct kt_verdict node, rollout;

		twist(twists, &desired, &observed);
		kt_judge(&desired, &observed, &node, &rollout);
		if (node.ok)
			assert_true(observed.proof.ran && observed.proof.verdict.ok && observed.probe.kvm.verdict.ok &&
				    observed.probe.host.verdict.ok && observed.inventory.current[0] &&
				    observed.inventory.is_whole);
		if (node.ok)
			assert_int_equal(node.reason, KT_REASON_READY);
		if (rollout.ok && rollout.reason == KT_REASON_READY)
			assert_true(node.ok);
	}
}

/* And nothing is landed over a version that serves while something stands in the way. */
static void test_no_landing_without_ground(void **state)
{
	(void)state;
	for (unsigned twists = 0; twists < 1U << 18; twists++) {
		struct kt_desired desired;
		struct kt_observed observed;
		struct kt_plan plan;

		if ((twists & NO_STORE) && (twists & (READ_ONLY | FOREIGN)))
			continue; /* no such node */
		twist(twists, &desired, &observed);
		kt_plan(&desired, &observed, &plan);
		if (plan.step == KT_STEP_LAND)
			assert_false(twists & (READ_ONLY | FOREIGN | NO_KVM | OLD_KERNEL | BROKEN_BUNDLE |
					       FAILED_BEFORE | ABSENT | NOT_ASKED));
		if (plan.step == KT_STEP_REMOVE)
			assert_true((twists & ABSENT) && observed.inventory.is_ours);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy),
		cmocka_unit_test(test_ready_is_never_false),
		cmocka_unit_test(test_no_landing_without_ground),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
