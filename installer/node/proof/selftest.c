/* The only honest proof: programs run under the landed km and say so themselves. The first needs nothing but integer
 * code, so that its failure shows what the second adds: where KVM emulates, vector instructions are what it lacks. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "judge.h"
#include "kmrun.h"
#include "kontain/base/clock.h"
#include "kontain/base/own.h"
#include "kontain/node/node.h"
#include "payloads.h"
#include "view.h"

#define OWN_WORDS_MAX 64

/* Folders of the bundle that have a link in the root. Of the other components tools has one in the set, and what lies
 * in no component's folder is of the extras. */
static const char *const component_folders[] = {"bin", "runtime", "alpine-lib", "lib", "shim"};

static int payload_run(const struct kt_selftest *test, const struct kt_payload *payload, const char *wanted,
		       struct kt_km_end *ret_end, struct kt_error *err)
{
	const struct kt_view view = {.store_path = test->store_path,
				     .version = test->version,
				     .dev = test->dev,
				     .payload = payload->bytes,
				     .payload_size = payload->size,
				     .wanted = wanted};
	const char *const argv[] = {KT_VIEW_KM, "-k", "stderr", KT_VIEW_PAYLOAD, NULL};

	return kt_km_run(&view, argv, test->timeout_ms, ret_end, err);
}

static int prove_integer(const struct kt_selftest *test, const char *host_release, struct kt_state_proof *proof,
			 struct kt_error *err)
{
	const struct kt_payload *payload = kt_payload_integer();
	KT_OWN(kt_km_end_done) struct kt_km_end end = {.exit_status = -1};
	int r = payload_run(test, payload, NULL, &end, err);

	if (r == 0)
		r = kt_judge_payload(&end, payload->name, host_release, proof->hypervisor, proof->release, err);
	proof->integer_ok = r == 0;
	return r;
}

/* Of a run after the integer payload's: true when it ended because KVM could not emulate an instruction of the program,
 * named in *program. That says nothing of the bundle: *ret is 0 where it is allowed, else GuestEmulated. */
static bool is_emulated(const struct kt_selftest *test, const struct kt_km_end *end, const char *program,
			struct kt_state_proof *proof, int *ret, struct kt_error *err)
{
	char words[KT_JUDGE_WORDS_MAX];

	if (!kt_judge_is_emulation(end, words))
		return false;
	proof->emulated = true;
	*ret = 0;
	if (!test->allow_emulated)
		*ret = kt_fail(err, EOPNOTSUPP, KT_REASON_GUEST_EMULATED,
			       "km runs integer code here, but not %s: this KVM emulates (%s)", program, words);
	return true;
}

static int prove_sse2(const struct kt_selftest *test, const char *host_release, struct kt_state_proof *proof,
		      struct kt_error *err)
{
	const struct kt_payload *payload = kt_payload_sse2();
	KT_OWN(kt_km_end_done) struct kt_km_end end = {.exit_status = -1};
	int r = payload_run(test, payload, NULL, &end, err);

	if (r < 0 || is_emulated(test, &end, "SSE2 and rdtscp, which compiled programs use", proof, &r, err))
		return r;
	r = kt_judge_payload(&end, payload->name, host_release, proof->hypervisor, proof->release, err);
	proof->sse_ok = r == 0;
	return r;
}

/* Where the view has a file of the bundle. */
static void own_place(const char *path, char *place, size_t size)
{
	size_t first = strcspn(path, "/");

	for (size_t i = 0; i < sizeof(component_folders) / sizeof(component_folders[0]); i++) {
		if (strlen(component_folders[i]) != first || strncmp(path, component_folders[i], first) != 0)
			continue;
		(void)snprintf(place, size, KT_VIEW_STORE "/%s", path);
		return;
	}
	(void)snprintf(place, size, KT_VIEW_STORE "/current/%s%s", strncmp(path, "tools/", 6) == 0 ? "" : "extras/",
		       path);
}

/* What static programs have shown of km is not asked again: a bad end here is the runtime's, but for what is no
 * bundle's fault (a km that something killed, a lack of memory, a time-out) and a km that pretends. */
static int prove_dynamic(const struct kt_selftest *test, const char *host_release, struct kt_state_proof *proof,
			 struct kt_error *err)
{
	const struct kt_payload *payload = kt_payload_dynamic();
	KT_OWN(kt_km_end_done) struct kt_km_end end = {.exit_status = -1};
	struct kt_error how = {.reason = KT_REASON_NONE};
	int r = payload_run(test, payload, KT_VIEW_LIBC, &end, &how);

	if (r == -ENOPKG)
		return 0;
	if (r < 0) {
		*err = how;
		return r;
	}
	if (is_emulated(test, &end, "a program through the set's runtime/libc.so", proof, &r, err))
		return r;
	r = kt_judge_payload(&end, payload->name, host_release, proof->hypervisor, proof->release, &how);
	proof->dynamic_ok = r == 0 ? KT_ANSWER_YES : KT_ANSWER_NO;
	if (r == 0)
		return 0;
	if (!kt_judge_blames_bundle(how.reason) || how.reason == KT_REASON_KM_PRETENDS) {
		*err = how;
		return r;
	}
	return kt_fail(err, EPROTO, KT_REASON_RUNTIME_FAILED, "the set's runtime/libc.so runs no program: %s",
		       how.text);
}

static int prove_own(const struct kt_selftest *test, struct kt_state_proof *proof, bool *ret_passed,
		     struct kt_error *err)
{
	const struct kt_view view = {.store_path = test->store_path, .version = test->version, .dev = test->dev};
	const char *argv[OWN_WORDS_MAX + 5] = {KT_VIEW_KM, "-k", "stderr"};
	KT_OWN(kt_km_end_done) struct kt_km_end end = {.exit_status = -1};
	char place[PATH_MAX];
	size_t count = 0;
	int r;

	own_place(test->own_argv[0], place, sizeof(place));
	argv[3] = place;
	while (test->own_argv[++count]) {
		if (count == OWN_WORDS_MAX)
			return kt_fail(err, E2BIG, KT_REASON_SELF_TEST_FAILED,
				       "the bundle's self-test has more than %d arguments", OWN_WORDS_MAX - 1);
		argv[3 + count] = test->own_argv[count];
	}
	r = kt_km_run(&view, argv, test->timeout_ms, &end, err);
	if (r < 0 || is_emulated(test, &end, "the bundle's self-test", proof, &r, err))
		return r;
	r = kt_judge_own(&end, test->own_argv[0], test->own_expect, err);
	*ret_passed = r == 0;
	return r;
}

static int prove(const struct kt_selftest *test, struct kt_state_proof *proof, bool *ret_own_passed,
		 struct kt_error *err)
{
	struct utsname host;
	int r;

	if (uname(&host) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot ask for the kernel's release");
	r = prove_integer(test, host.release, proof, err);
	if (r == 0)
		r = prove_sse2(test, host.release, proof, err);
	if (r == 0)
		r = prove_dynamic(test, host.release, proof, err);
	if (r == 0 && test->own_argv && test->own_argv[0])
		r = prove_own(test, proof, ret_own_passed, err);
	return r;
}

void kt_selftest_run(const struct kt_selftest *test, struct kt_state_proof *ret_proof)
{
	struct kt_state_proof proof = {.ran = true, .at = time(NULL)};
	struct kt_error err = {.reason = KT_REASON_NONE};
	bool own_passed = false;
	int64_t start = kt_clock_ms();
	int r = prove(test, &proof, &own_passed, &err);
	const char *own = own_passed ? ", and the bundle's self-test passed" : "";
	const char *dynamic = proof.dynamic_ok == KT_ANSWER_YES ? ", one through runtime/libc.so too" : "";

	proof.duration_ms = (unsigned)(kt_clock_ms() - start);
	if (r < 0)
		kt_verdict_fail(&proof.verdict, &err);
	else if (proof.emulated)
		kt_verdict_set(&proof.verdict, true, KT_REASON_READY, "emulated: %s ran under km (%s)%s%s",
			       proof.sse_ok ? "not every instruction runs; integer and SSE2 code" :
					      "integer code only; a program",
			       proof.release, dynamic, own);
	else
		kt_verdict_set(&proof.verdict, true, KT_REASON_READY, "integer and SSE2 code ran under km (%s)%s%s",
			       proof.release, dynamic, own);
	*ret_proof = proof;
}
