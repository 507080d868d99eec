/* links: kt_contract kt_base mutates: state */
/* What the processes of the privileged half say to each other: the probe, the proof, an error, a request and a reply. A
 * document may be several of them. */
#include <string.h>

#include "fuzz.h"
#include "kontain/base/own.h"
#include "kontain/contract/message.h"
#include "kontain/contract/statejson.h"

static void probe_take(const char *bytes, size_t size)
{
	struct kt_probe probe, probe_again;
	struct kt_error err = {.code = 0};
	int r = kt_probe_parse(bytes, size, &probe, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		return;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(probe.kvm.api_version >= -1 && probe.checks.count <= KT_CHECKS_MAX);
	for (size_t i = 0; i < probe.checks.count; i++)
		FUZZ_REQUIRE((probe.checks.list[i].result == KT_CHECK_FAILED) ==
			     (probe.checks.list[i].reason != KT_REASON_NONE));

	KT_OWN(kt_free_mem) char *text = kt_probe_print(&probe);

	FUZZ_REQUIRE(text && !strchr(text, '\n')); /* one line, as whoever waits for it reads */
	FUZZ_REQUIRE(kt_probe_parse(text, strlen(text), &probe_again, KT_ERROR_IGNORED) == 0);

	KT_OWN(kt_free_mem) char *again = kt_probe_print(&probe_again);

	FUZZ_REQUIRE(fuzz_is_same(text, again));
	FUZZ_REQUIRE(probe.kvm.duration_us == probe_again.kvm.duration_us);
	FUZZ_REQUIRE(probe.host.file_limit == probe_again.host.file_limit);
	FUZZ_REQUIRE(strcmp(probe.kvm.verdict.message, probe_again.kvm.verdict.message) == 0);
}

static void proof_take(const char *bytes, size_t size)
{
	struct kt_state_proof proof, proof_again;
	struct kt_error err = {.code = 0};
	int r = kt_proof_parse(bytes, size, &proof, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		return;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(proof.at >= 0);

	KT_OWN(kt_free_mem) char *text = kt_proof_print(&proof);

	FUZZ_REQUIRE(text && kt_proof_parse(text, strlen(text), &proof_again, KT_ERROR_IGNORED) == 0);

	KT_OWN(kt_free_mem) char *again = kt_proof_print(&proof_again);

	FUZZ_REQUIRE(fuzz_is_same(text, again) && proof.at == proof_again.at);
}

static void error_take(const char *bytes, size_t size)
{
	struct kt_error failure, failure_again, err = {.code = 0};
	int r = kt_error_parse(bytes, size, &failure, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		return;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(failure.code >= 1 && failure.code <= 4095);
	FUZZ_REQUIRE(failure.reason > KT_REASON_NONE && failure.reason < KT_REASON_COUNT);

	KT_OWN(kt_free_mem) char *text = kt_error_print(&failure);

	FUZZ_REQUIRE(text && kt_error_parse(text, strlen(text), &failure_again, KT_ERROR_IGNORED) == 0);
	FUZZ_REQUIRE(failure.code == failure_again.code && failure.reason == failure_again.reason);
	FUZZ_REQUIRE(strcmp(failure.text, failure_again.text) == 0);
}

/* Of an agent that may have been taken over: what comes through is a short name, a version and a number. */
static void request_take(const char *bytes, size_t size)
{
	struct kt_request request, request_again;
	struct kt_error err = {.code = 0};
	int r = kt_request_parse(bytes, size, &request, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		return;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(size <= KT_REQUEST_BYTES_MAX && memchr(request.job, '\0', sizeof(request.job)));
	FUZZ_REQUIRE(request.version[0] == '\0' || kt_version_is_valid(request.version));

	KT_OWN(kt_free_mem) char *text = kt_request_print(&request);

	FUZZ_REQUIRE(text && kt_request_parse(text, strlen(text), &request_again, &err) == 0);
	FUZZ_REQUIRE(strcmp(request.job, request_again.job) == 0 && request.timeout_ms == request_again.timeout_ms);
}

static void reply_take(const char *bytes, size_t size)
{
	KT_OWN(kt_reply_done) struct kt_reply reply = {.cpu_us = 0}, reply_again = {.cpu_us = 0};
	struct kt_error err = {.code = 0};
	int r = kt_reply_parse(bytes, size, &reply, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		return;
	}
	fuzz_taken++;
	FUZZ_REQUIRE((reply.error.reason == KT_REASON_NONE) == (reply.ended.output != NULL));

	KT_OWN(kt_free_mem) char *text = kt_reply_print(&reply);

	FUZZ_REQUIRE(text && strchr(text, '\n') == text + strlen(text) - 1);
	FUZZ_REQUIRE(kt_reply_parse(text, strlen(text), &reply_again, &err) == 0);
	FUZZ_REQUIRE(reply.cpu_us == reply_again.cpu_us && reply.stuck.child == reply_again.stuck.child);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	probe_take((const char *)bytes, size);
	proof_take((const char *)bytes, size);
	error_take((const char *)bytes, size);
	request_take((const char *)bytes, size);
	reply_take((const char *)bytes, size);
	if (size > 0)
		return 0;

	/* nothing stands for what is printed now, which a corpus may be older than */
	const struct kt_probe probe = {.kvm = {.api_version = -1, .verdict.reason = KT_REASON_STARTING}};
	const struct kt_state_proof proof = {.verdict.reason = KT_REASON_STARTING};
	const struct kt_request request = {.job = "probe"};
	const struct kt_reply reply = {.ended.output = NULL};
	KT_OWN(kt_free_mem) char *request_text = kt_request_print(&request);
	KT_OWN(kt_free_mem) char *reply_text = kt_reply_print(&reply);
	KT_OWN(kt_free_mem) char *probe_text = kt_probe_print(&probe);
	KT_OWN(kt_free_mem) char *proof_text = kt_proof_print(&proof);

	FUZZ_REQUIRE(probe_text && proof_text && request_text && reply_text);
	request_take(request_text, strlen(request_text));
	reply_take(reply_text, strlen(reply_text));
	probe_take(probe_text, strlen(probe_text));
	proof_take(proof_text, strlen(proof_text));
	return 0;
}
