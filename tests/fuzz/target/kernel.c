/* links: kt_agent kt_node kt_contract kt_base */
/* What the kernel says of itself in messages and small files, which a container may have put something else over. */
#include <stdlib.h>
#include <string.h>

#include "../../../installer/agent/uevent.h"
#include "../../../installer/node/host/security.h"
#include "../../../installer/node/kvm/refusal.h"
#include "fuzz.h"
#include "kontain/base/own.h"

/* Ours: it comes or goes, and a whole string of it names one of the devices. */
static bool is_ours(const char *bytes, size_t size)
{
	bool is_named = false;

	if (size < 7 || (strncmp(bytes, "add@", 4) != 0 && strncmp(bytes, "remove@", 7) != 0))
		return false;
	for (size_t at = 0, length; at < size; at += length + 1) {
		length = strnlen(bytes + at, size - at);
		if (at + length < size)
			is_named = is_named || strcmp(bytes + at, "DEVNAME=kvm") == 0 ||
				   strcmp(bytes + at, "DEVNAME=kontain") == 0 || strcmp(bytes + at, "DEVNAME=kkm") == 0;
	}
	return is_named;
}

static void lockdown_check(const char *text)
{
	static const char *const words[] = {"none", "integrity", "confidentiality"};
	char mode[24], word[8];

	memset(mode, 'x', sizeof(mode));
	kt_refusal_lockdown_parse(text, mode, sizeof(mode));
	FUZZ_REQUIRE(memchr(mode, '\0', sizeof(mode)) && !strpbrk(mode, "] \n"));
	FUZZ_REQUIRE(!mode[0] || strstr(text, mode));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(mode, words[i]) == 0)
			fuzz_taken++;
	kt_refusal_lockdown_parse(text, word, sizeof(word)); /* one that does not fit is none */
	FUZZ_REQUIRE(strlen(word) < sizeof(word) && (!word[0] || strcmp(word, mode) == 0));
	FUZZ_REQUIRE(kt_selinux_word(text, true) && kt_selinux_word(text, false));
}

static void refusal_check(const char *text)
{
	struct kt_refusal refusal = {.is_disabled = text[0] == '1'};
	struct kt_error err = {.code = 0};
	int r;

	strncpy(refusal.blacklist, text, sizeof(refusal.blacklist) - 1);
	kt_refusal_lockdown_parse(text, refusal.lockdown, sizeof(refusal.lockdown));
	r = kt_refusal_foresee(&refusal, "kvm_intel", &err);
	if (r < 0)
		fuzz_check_refusal(r, &err);
	FUZZ_REQUIRE(r == 0 || refusal.is_disabled || strstr(refusal.blacklist, "kvm_intel"));
	fuzz_check_refusal(kt_refusal_explain(&refusal, "kvm_intel", &err), &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	KT_OWN(kt_free_mem) char *text = strndup((const char *)bytes, size);

	FUZZ_REQUIRE(text != NULL);
	FUZZ_REQUIRE(kt_uevent_is_ours((const char *)bytes, size) == is_ours((const char *)bytes, size));
	fuzz_taken += is_ours((const char *)bytes, size);
	lockdown_check(text);
	refusal_check(text);
	return 0;
}
