/* links: kt_node kt_contract kt_base */
/* The judge of the proof: km says what it likes and ends as it likes. Nothing but the one line and the one status is a
 * proof, and of what km said only what is fit to print goes on. The first bytes say how it ended, 0xff parts what it
 * wrote to stdout from what it wrote to stderr. */
#include <stdlib.h>
#include <string.h>

#include "../../../installer/node/proof/judge.h"
#include "fuzz.h"
#include "kontain/base/own.h"

#define HOST  "6.1.0-18-amd64"
#define PROOF "kontain-proof integer " HOST
#define HEAD  2

static bool is_proof(const struct kt_km_end *end)
{
	static const char *const lines[] = {PROOF ".kontain.KVM\n", PROOF ".kontain.KKM\n"};
	bool is_line = false;

	for (size_t i = 0; i < 2; i++)
		is_line = is_line || (end->child.output_size == strlen(lines[i]) &&
				      memcmp(end->child.output, lines[i], strlen(lines[i])) == 0);
	return is_line && !end->timed_out && end->exit_status == 42;
}

static void payload_check(const struct kt_km_end *end)
{
	char hypervisor[8] = "", release[96] = "";
	struct kt_error err = {.code = 0};
	int r = kt_judge_payload(end, "integer", HOST, hypervisor, release, &err);

	FUZZ_REQUIRE((r == 0) == is_proof(end));
	FUZZ_REQUIRE(memchr(release, '\0', sizeof(release)) && fuzz_is_one_line(release));
	FUZZ_REQUIRE(r < 0 ? !hypervisor[0] : strcmp(hypervisor, "kvm") == 0 || strcmp(hypervisor, "kkm") == 0);
	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(fuzz_is_one_line(err.text));
	} else {
		fuzz_taken++;
	}
}

static void own_check(const struct kt_km_end *end, const char *expect)
{
	struct kt_error err = {.code = 0};
	int r = kt_judge_own(end, "tests/hello_test.km", expect, &err);

	if (r < 0) {
		fuzz_check_refusal(r, &err);
		FUZZ_REQUIRE(fuzz_is_one_line(err.text));
		return;
	}
	fuzz_taken++;
	FUZZ_REQUIRE(!end->timed_out && end->exit_status == 0);
	if (!expect)
		return;
	FUZZ_REQUIRE(strncmp(end->child.output, expect, strlen(expect)) == 0);
	FUZZ_REQUIRE(strchr("\r\n", end->child.output[strlen(expect)])); /* and the line, or all of it, ends there */
}

/* Told by other code: the words are there, nothing makes the number another, and km ended by itself. */
static void emulation_check(const struct kt_km_end *end)
{
	static const char says[] = "KVM: internal error, suberr 0x1";
	char words[KT_JUDGE_WORDS_MAX];

	if (!kt_judge_is_emulation(end, words))
		return;
	fuzz_taken++;
	FUZZ_REQUIRE(memchr(words, '\0', sizeof(words)) && fuzz_is_one_line(words));
	FUZZ_REQUIRE(memmem(end->child.errors, end->child.errors_size, says, sizeof(says) - 1));
	FUZZ_REQUIRE(!end->timed_out &&
		     (end->signal == 6 || (end->exit_status >= 1 && end->exit_status <= 3) || end->exit_status == 134));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < HEAD)
		return 0;

	const uint8_t *said = bytes + HEAD, *cut = memchr(said, 0xff, size - HEAD);
	size_t output_size = cut ? (size_t)(cut - said) : size - HEAD,
	       errors_size = cut ? size - HEAD - output_size - 1 : 0;
	bool is_signal = bytes[0] & 1;
	/* as kt_child_run keeps them: a NUL behind each */
	KT_OWN(kt_free_mem) char *output = calloc(1, output_size + 1);
	KT_OWN(kt_free_mem) char *errors = calloc(1, errors_size + 1);
	struct kt_km_end end = {
		.timed_out = bytes[0] & 2,
		.exit_status = is_signal ? -1 : bytes[1],
		.signal = is_signal ? 1 + bytes[1] % 64 : 0,
		.child = {.output = output, .output_size = output_size, .errors = errors, .errors_size = errors_size},
	};

	FUZZ_REQUIRE(output && errors);
	memcpy(output, said, output_size);
	if (errors_size > 0)
		memcpy(errors, cut + 1, errors_size);
	payload_check(&end);
	own_check(&end, NULL);
	own_check(&end, "Hello, world");
	emulation_check(&end);
	return 0;
}
