/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* The upgrade policy over time: plan.c, attempts.c and the store's memory of failures together, reconcile by
 * reconcile, on a clock that the test turns. Landings are the only thing played here: each bundle has an outcome. A
 * boot is played by editing the note's boot id, as it would read after one. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/agent/attempts.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"

/* ---- the pure part ---- */

static const char *sha_of(unsigned bundle)
{
	static char text[10][KT_DIGEST_HEX];

	memset(text[bundle], '0' + (int)bundle, KT_DIGEST_HEX - 1);
	return text[bundle];
}

static void test_waits_grow_and_end(void **state)
{
	static const unsigned waits[] = {5, 10, 20, 40, 80, 160, 300, 300, 300};
	struct kt_error failure = {ENOSPC, KT_REASON_DISK_FULL, "full"};
	struct kt_attempts attempts = {.failed_count = 0};
	int64_t now_ms = 1000;

	(void)state;
	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		kt_attempts_note(&attempts, sha_of(1), &failure, now_ms);
		assert_int_equal(kt_attempts_wait_s(&attempts, now_ms), waits[i]);
		assert_int_equal(kt_attempts_wait_s(&attempts, now_ms + 1), waits[i]); /* rounded up */
		now_ms += (int64_t)waits[i] * 1000;
		assert_int_equal(kt_attempts_wait_s(&attempts, now_ms), 0);
	}
	for (unsigned i = 0; i < 100000; i++) /* and no number of failures turns it round */
		kt_attempts_note(&attempts, sha_of(1), &failure, now_ms);
	assert_int_equal(kt_attempts_wait_s(&attempts, now_ms), KT_ATTEMPT_MOST_S);
	kt_attempts_note(&attempts, sha_of(2), &failure, now_ms);
	assert_int_equal(kt_attempts_wait_s(&attempts, now_ms), KT_ATTEMPT_FIRST_S);
	kt_attempts_note(&attempts, sha_of(2), NULL, now_ms);
	assert_int_equal(kt_attempts_wait_s(&attempts, now_ms), 0);
	assert_int_equal(attempts.failure.reason, KT_REASON_NONE);
}

/* ---- histories ---- */

enum event {
	END = 0,
	ASK,     /* bundle `number` is asked for */
	FAILS,   /* from now on landings of bundle `number` fail of `reason` */
	WORKS,   /* from now on they succeed */
	PASS,    /* `number` seconds pass */
	RESTART, /* the agent starts anew */
	BOOT,    /* the machine does */
	KERNEL,  /* with another kernel */
	UPDATE,  /* another installer takes the agent's place */
	SPOIL,   /* the store's note of the bundle is overwritten with garbage */
	BLOCK,   /* a directory lies in the note's place: nothing can be remembered */
	DAMAGE,  /* a file of the current set is lost */
};

struct step {
	enum event event;
	unsigned number;
	enum kt_reason reason;
	bool lands;             /* the reconcile that follows makes an attempt */
	enum kt_reason rollout; /* and the rollout's reason after it */
};

struct world {
	char path[32];
	struct kt_store store;
	struct kt_attempts attempts;
	int64_t now_ms;
	unsigned asked, current;
	bool is_damaged;
	enum kt_reason outcome[10]; /* by bundle; NONE: it lands */
};

static int setup(void **state)
{
	static struct world world;
	struct kt_error err = {.code = 0};

	if (geteuid() != 0) /* a store belongs to root */
		return 0;
	world = (struct world){.path = "/tmp/kt-policy-XXXXXX",
			       .store = {.dir = -1, .lock = -1},
			       .now_ms = 1,
			       .asked = 1,
			       .current = 1};
	if (!mkdtemp(world.path) || chmod(world.path, 0755) < 0 ||
	    kt_store_open("", world.path, KT_STORE_CREATE, &world.store, &err) < 0)
		return -1;
	*state = &world;
	return 0;
}

static int teardown(void **state)
{
	KT_OWN(kt_close_fd) int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct world *world = *state;

	if (!world)
		return 0;
	kt_store_done(&world->store);
	return kt_fs_remove_tree(tmp, world->path + strlen("/tmp/"), KT_ERROR_IGNORED);
}

static void note_name(const struct world *world, char name[128])
{
	(void)snprintf(name, 128, ".failed-%s", sha_of(world->asked));
}

/* Another word in the note's line `number`, counted from 0. A note that is not there needs none. */
static void note_edit(struct world *world, unsigned number)
{
	KT_OWN(kt_free_mem) char *bytes = NULL;
	char name[128];
	size_t size = 0;

	note_name(world, name);
	if (kt_fs_read_all(world->store.dir, name, 4096, &bytes, &size, KT_ERROR_IGNORED) < 0)
		return;

	char *line = bytes;

	for (; number > 0; number--)
		line = strchr(line, '\n') + 1;
	*line = *line == '0' ? '1' : '0';
	assert_int_equal(kt_fs_replace_file(world->store.dir, name, bytes, size, 0644, KT_ERROR_IGNORED), 0);
}

static void happen(struct world *world, const struct step *step)
{
	char name[128];

	note_name(world, name);
	switch (step->event) {
	case ASK:
		world->asked = step->number;
		break;
	case FAILS:
	case WORKS:
		world->outcome[step->number] = step->reason;
		break;
	case PASS:
		world->now_ms += (int64_t)step->number * 1000;
		break;
	case KERNEL:
		note_edit(world, 2);
		break;
	case BOOT:
		note_edit(world, 3);
		break;
	case UPDATE:
		note_edit(world, 4);
		break;
	case SPOIL:
		assert_int_equal(kt_fs_replace_file(world->store.dir, name, "\xff\n\n", 3, 0600, KT_ERROR_IGNORED), 0);
		break;
	case BLOCK:
		assert_int_equal(kt_fs_make_dirs(world->store.dir, name), 0);
		break;
	case DAMAGE:
		world->is_damaged = true;
		break;
	case END:
	case RESTART:
		break;
	}
	if (step->event == KERNEL || step->event == BOOT || step->event == UPDATE || step->event == RESTART)
		world->attempts = (struct kt_attempts){.failed_count = 0};
}

static void look(struct world *world, struct kt_desired *desired, struct kt_observed *observed)
{
	*desired = (struct kt_desired){.asked = true};
	(void)snprintf(desired->version, sizeof(desired->version), "%u", world->asked);
	(void)snprintf(desired->manifest_sha256, sizeof(desired->manifest_sha256), "%s", sha_of(world->asked));
	*observed = (struct kt_observed){.store_open = true, .proof.ran = !world->is_damaged};
	observed->inventory.is_ours = true;
	observed->inventory.is_whole = !world->is_damaged;
	(void)snprintf(observed->inventory.current, KT_VERSION_MAX, "%u", world->current);
	(void)snprintf(observed->inventory.manifest_sha256, KT_DIGEST_HEX, "%s", sha_of(world->current));
	kt_verdict_set(&observed->probe.kvm.verdict, true, KT_REASON_READY, "a guest runs");
	kt_verdict_set(&observed->probe.host.verdict, true, KT_REASON_READY, "as km needs it");
	kt_verdict_set(&observed->proof.verdict, true, KT_REASON_READY, "payloads run");
	observed->failed_before =
		kt_store_recall_failure(&world->store, desired->manifest_sha256, &observed->failure) == 1;
	kt_attempts_fill(&world->attempts, desired, world->now_ms, observed);
}

static void attempt(struct world *world, const struct kt_desired *desired)
{
	struct kt_error failure = {EPROTO, world->outcome[world->asked], "as played"};

	if (failure.reason == KT_REASON_NONE) {
		(void)kt_store_forget_failure(&world->store, desired->manifest_sha256, KT_ERROR_IGNORED);
		world->current = world->asked;
		world->is_damaged = false;
		kt_attempts_note(&world->attempts, desired->manifest_sha256, NULL, world->now_ms);
		return;
	}
	(void)kt_store_remember_failure(&world->store, desired->manifest_sha256, &failure, world->now_ms / 1000,
					KT_ERROR_IGNORED);
	kt_attempts_note(&world->attempts, desired->manifest_sha256, &failure, world->now_ms);
}

#define ABORTS KT_REASON_KM_ABORTED
#define HANGS  KT_REASON_KM_HUNG
#define FULL   KT_REASON_DISK_FULL
#define SLOW   KT_REASON_IO_ERROR
#define LOCK   KT_REASON_LOCKED
#define BUSY   KT_REASON_BUSY
#define READY  KT_REASON_READY
#define NONE   KT_REASON_NONE
#define BROKEN KT_REASON_ELF_INVALID
#define STAYS  false
#define LANDS  true

/* After a first time: until it is believed. */
#define DIES_AGAIN                                                                                        \
	{PASS, 5, NONE, LANDS, ABORTS}, {PASS, 10, NONE, LANDS, ABORTS}, {PASS, 20, NONE, LANDS, ABORTS}, \
		{PASS, 40, NONE, LANDS, ABORTS}, {PASS, 79, NONE, STAYS, ABORTS},                         \
	{                                                                                                 \
		PASS, 1, NONE, LANDS, ABORTS                                                              \
	}

/* The node begins with bundle 1, current and proven. */
static const struct {
	const char *name;
	struct step steps[24];
} histories[] = {
	{"what a bundle died of is remembered for this boot, when it did so over minutes",
	 {{FAILS, 2, ABORTS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, ABORTS},
	  DIES_AGAIN,
	  {PASS, 100000, NONE, STAYS, ABORTS},
	  {RESTART, 0, NONE, STAYS, ABORTS},
	  {WORKS, 2, NONE, STAYS, ABORTS}, /* nobody could know */
	  {BOOT, 0, NONE, LANDS, READY},
	  {BOOT, 0, NONE, STAYS, READY}}},
	{"and for this kernel",
	 {{FAILS, 2, ABORTS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, ABORTS},
	  DIES_AGAIN,
	  {KERNEL, 0, NONE, LANDS, ABORTS}, /* fails again: counted from the first */
	  {RESTART, 0, NONE, LANDS, ABORTS},
	  DIES_AGAIN,
	  {RESTART, 0, NONE, STAYS, ABORTS}}},
	{"and for this installer",
	 {{FAILS, 2, ABORTS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, ABORTS},
	  DIES_AGAIN,
	  {RESTART, 0, NONE, STAYS, ABORTS},
	  {WORKS, 2, NONE, STAYS, ABORTS},
	  {UPDATE, 0, NONE, LANDS, READY}}},
	{"one failure that passes costs seconds",
	 {{FAILS, 2, ABORTS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, ABORTS},
	  {WORKS, 2, NONE, STAYS, ABORTS},
	  {PASS, 4, NONE, STAYS, ABORTS},
	  {PASS, 1, NONE, LANDS, READY}}},
	{"also to an agent that starts anew",
	 {{FAILS, 2, ABORTS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, ABORTS},
	  {RESTART, 0, NONE, LANDS, ABORTS},
	  {RESTART, 0, NONE, LANDS, ABORTS},
	  {RESTART, 0, NONE, LANDS, ABORTS}, /* often, and within no time */
	  {PASS, 119, NONE, LANDS, ABORTS},
	  {WORKS, 2, NONE, STAYS, ABORTS},
	  {RESTART, 0, NONE, LANDS, READY}}},
	{"what worked in between is not counted",
	 {{FAILS, 2, ABORTS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, ABORTS},
	  {PASS, 5, NONE, LANDS, ABORTS},
	  {WORKS, 2, NONE, STAYS, ABORTS},
	  {PASS, 10, NONE, LANDS, READY},
	  {FAILS, 2, ABORTS, STAYS, READY},
	  {PASS, 1000, NONE, STAYS, READY},
	  {DAMAGE, 0, NONE, LANDS, ABORTS},
	  {PASS, 5, NONE, LANDS, ABORTS},
	  {PASS, 10, NONE, LANDS, ABORTS},
	  {RESTART, 0, NONE, LANDS, ABORTS}}},
	{"what its bytes show is remembered at once",
	 {{FAILS, 2, BROKEN, STAYS, READY},
	  {ASK, 2, NONE, LANDS, BROKEN},
	  {RESTART, 0, NONE, STAYS, BROKEN},
	  {PASS, 100000, NONE, STAYS, BROKEN}}},
	{"another bundle is tried, the bad one stays remembered, the old one can be had back",
	 {{FAILS, 2, ABORTS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, ABORTS},
	  DIES_AGAIN,
	  {ASK, 3, NONE, LANDS, READY},
	  {ASK, 2, NONE, STAYS, ABORTS},
	  {ASK, 1, NONE, LANDS, READY},
	  {ASK, 2, NONE, STAYS, ABORTS},
	  {ASK, 3, NONE, LANDS, READY}}},
	{"a full disk is tried again, each time later",
	 {{FAILS, 2, FULL, STAYS, READY},
	  {ASK, 2, NONE, LANDS, FULL},
	  {PASS, 4, NONE, STAYS, FULL},
	  {PASS, 1, NONE, LANDS, FULL},
	  {PASS, 9, NONE, STAYS, FULL},
	  {PASS, 1, NONE, LANDS, FULL},
	  {PASS, 19, NONE, STAYS, FULL},
	  {PASS, 1, NONE, LANDS, FULL},
	  {PASS, 100000, NONE, LANDS, FULL}, /* one attempt, however long it was away */
	  {WORKS, 2, NONE, STAYS, FULL},
	  {PASS, 79, NONE, STAYS, FULL},
	  {PASS, 1, NONE, LANDS, READY}}},
	{"a full disk is not remembered: a new start tries at once",
	 {{FAILS, 2, FULL, STAYS, READY},
	  {ASK, 2, NONE, LANDS, FULL},
	  {RESTART, 0, NONE, LANDS, FULL},
	  {WORKS, 2, NONE, STAYS, FULL},
	  {RESTART, 0, NONE, LANDS, READY}}},
	{"nor is a time-out of km",
	 {{FAILS, 2, HANGS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, HANGS},
	  {PASS, 1, NONE, STAYS, HANGS},
	  {RESTART, 0, NONE, LANDS, HANGS}}},
	{"nor a landing that was stopped",
	 {{FAILS, 2, SLOW, STAYS, READY},
	  {ASK, 2, NONE, LANDS, SLOW},
	  {PASS, 1, NONE, STAYS, SLOW},
	  {RESTART, 0, NONE, LANDS, SLOW}}},
	{"nor a KVM that another holds",
	 {{FAILS, 2, BUSY, STAYS, READY},
	  {ASK, 2, NONE, LANDS, BUSY},
	  {PASS, 1, NONE, STAYS, BUSY},
	  {RESTART, 0, NONE, LANDS, BUSY}}},
	{"what costs nothing is tried at each reconcile",
	 {{FAILS, 2, LOCK, STAYS, READY},
	  {ASK, 2, NONE, LANDS, LOCK},
	  {PASS, 0, NONE, LANDS, LOCK},
	  {PASS, 0, NONE, LANDS, LOCK},
	  {WORKS, 2, NONE, LANDS, READY}}},
	{"a wait is a bundle's own",
	 {{FAILS, 2, FULL, STAYS, READY},
	  {ASK, 2, NONE, LANDS, FULL},
	  {ASK, 3, NONE, LANDS, READY},
	  {ASK, 2, NONE, LANDS, FULL},
	  {ASK, 1, NONE, LANDS, READY},
	  {ASK, 2, NONE, LANDS, FULL},
	  {PASS, 5, NONE, LANDS, FULL}}},
	{"a transient cause may be followed by one that counts",
	 {{FAILS, 2, FULL, STAYS, READY},
	  {ASK, 2, NONE, LANDS, FULL},
	  {FAILS, 2, ABORTS, STAYS, FULL},
	  {PASS, 5, NONE, LANDS, ABORTS},
	  {PASS, 10, NONE, LANDS, ABORTS},
	  {PASS, 120, NONE, LANDS, ABORTS},
	  {PASS, 100000, NONE, STAYS, ABORTS}}},
	{"a note that cannot be read is no obstacle",
	 {{FAILS, 2, ABORTS, STAYS, READY},
	  {ASK, 2, NONE, LANDS, ABORTS},
	  DIES_AGAIN,
	  {WORKS, 2, NONE, STAYS, ABORTS},
	  {SPOIL, 0, NONE, STAYS, ABORTS}, /* this process knows it still, and only waits */
	  {RESTART, 0, NONE, LANDS, READY}}},
	{"a note that cannot be written makes no storm",
	 {{FAILS, 1, ABORTS, STAYS, READY},
	  {BLOCK, 0, NONE, STAYS, READY}, /* bundle 1's, which is asked for */
	  {DAMAGE, 0, NONE, LANDS, ABORTS},
	  {PASS, 4, NONE, STAYS, ABORTS},
	  {PASS, 1, NONE, LANDS, ABORTS},
	  {PASS, 9, NONE, STAYS, ABORTS},
	  {PASS, 1, NONE, LANDS, ABORTS}}},
	{"damage is repaired at once, and later again when that fails",
	 {{DAMAGE, 0, NONE, LANDS, READY},
	  {FAILS, 1, FULL, STAYS, READY},
	  {DAMAGE, 0, NONE, LANDS, FULL},
	  {PASS, 1, NONE, STAYS, FULL},
	  {WORKS, 1, NONE, STAYS, FULL},
	  {PASS, 4, NONE, LANDS, READY},
	  {DAMAGE, 0, NONE, LANDS, READY}}}, /* a success ends the waiting */
};

static void reconcile_run(struct world *world, const char *history, size_t at, const struct step *step)
{
	struct kt_desired desired;
	struct kt_observed observed;
	struct kt_plan plan;
	struct kt_verdict node, rollout;

	look(world, &desired, &observed);
	kt_plan(&desired, &observed, &plan);
	if (plan.step == KT_STEP_LAND)
		attempt(world, &desired);
	if ((plan.step == KT_STEP_LAND) != step->lands)
		fail_msg("%s: step %zu: %s (%s)", history, at, kt_step_name(plan.step), plan.obstacle.message);
	look(world, &desired, &observed);
	kt_judge(&desired, &observed, &node, &rollout);
	if (rollout.reason != step->rollout)
		fail_msg("%s: step %zu: %s: %s", history, at, kt_reason_name(rollout.reason), rollout.message);
	/* whatever becomes of the new one, what serves is told to serve */
	assert_int_equal(node.ok, !world->is_damaged);
}

static void test_histories(void **state)
{
	for (size_t i = 0; i < sizeof(histories) / sizeof(histories[0]); i++) {
		struct world *world;

		assert_int_equal(setup(state), 0);
		world = *state;
		if (!world)
			skip();
		for (size_t at = 0; histories[i].steps[at].event != END; at++) {
			happen(world, &histories[i].steps[at]);
			reconcile_run(world, histories[i].name, at, &histories[i].steps[at]);
		}
		assert_int_equal(teardown(state), 0);
		*state = NULL;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_grow_and_end),
		cmocka_unit_test_teardown(test_histories, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
