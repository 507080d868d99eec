/* links: kt_node kt_contract kt_base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../installer/node/proof/words.h"

/* As km's log has it before its words: time, function, line, thread. */
#define AT "17:05:12.000123 km_machine_setup     512  km      "

#define DEVICE   KT_REASON_KM_DEVICE_FAILED
#define FAILED   KT_REASON_KM_FAILED
#define RESOURCE KT_REASON_KM_OUT_OF_RESOURCES

/* km's messages, as its sources have them (the file is at the row in words.c). */
static void test_messages(void **state)
{
	static const struct {
		const char *text;
		enum kt_reason reason;
		const char *line; /* the one that says it; NULL: the whole text */
	} rows[] = {
		{AT "Can't open default device file.: Permission denied", DEVICE, NULL},
		{AT "KVM: Can't open device file /dev/kvm: No such file or directory", DEVICE, NULL},
		{AT "KVM: Can't open /dev/kvm and /dev/kkm: No such file or directory", DEVICE, NULL},
		{AT "KVM: get API version failed: Inappropriate ioctl for device", DEVICE, NULL},
		{AT "KVM: API version mismatch", DEVICE, NULL},
		{AT "KVM: create VM failed: Invalid argument", DEVICE, NULL},
		{AT "KVM: suspicious VM memory region size 1, expecting at least 2", DEVICE, NULL},
		{AT "KVM: get supported CPUID failed: Argument list too long", DEVICE, NULL},
		{AT "KVM: set reserved region failed: Invalid argument", DEVICE, NULL},
		{AT "KVM: set identity map addr failed: Invalid argument", DEVICE, NULL},
		{AT "KVM_SET_MSRS: Invalid argument", DEVICE, NULL},
		{AT "KVM: vcpu run failedVCPU 0 RIP 0x1 RSP 0x2 CR2 0x0 : Bad address", DEVICE, NULL},
		{AT "KVM: unknown err 0x1VCPU 0 RIP 0x1", DEVICE, NULL},
		{AT "KVM: exit. reason=1 (KVM_EXIT_EXCEPTION)VCPU 0", DEVICE, NULL},
		{AT "KVM_EXIT_FAIL_ENTRY\n== KVM_GET_REGS ==\n" AT "KVM: fail entry 0x80000021VCPU 0\n", DEVICE,
		 AT "KVM: fail entry 0x80000021VCPU 0"},
		{AT "KVM: create VCPU 0 failed: Invalid argument\n" AT "VCPU init failed\n" AT
		    "Failed to get main vcpu",
		 DEVICE, AT "KVM: create VCPU 0 failed: Invalid argument"},
		{AT "Problem getting guest memory, wanted 0x100000, got 0x7f0000", DEVICE, NULL},
		{AT "Kernel 4.4.0-210-generic is too old. The oldest supported kernel is 4.15",
		 KT_REASON_KM_KERNEL_TOO_OLD, NULL},
		{AT "Unexpected kernel version format next", FAILED, NULL},
		{AT "Cannot determine kernel version.: Function not implemented", FAILED, NULL},
		{"Failed to determine payload name or find .km file for /payload\nkm: Kontain Monitor - runs "
		 "'payload-file'\n"
		 "Usage: km [options] payload-file[.km]\n",
		 FAILED, "Failed to determine payload name or find .km file for /payload"},
		{"km: invalid option -- 'k'\nkm: Kontain Monitor\nUsage: km [options] payload-file\n\t--version\n",
		 FAILED, "Usage: km [options] payload-file"},
		{AT "open /opt/kontain/runtime/libc.so failed: No such file or directory", FAILED, NULL},
		{AT "/payload is not an ELF object", FAILED, NULL},
		{AT "elf_begin() failed: invalid file descriptor", FAILED, NULL},
		{AT "error reading elf: Success", FAILED, NULL},
		{AT "PT_INTERP vaddr map error: vaddr=0x1 len=0x2 adjust=0x3", FAILED, NULL},
		{AT "failed to set guest memory protection: Invalid argument", FAILED, NULL},
		/* what passes */
		{AT "KVM: create VM failed: Device or resource busy", KT_REASON_BUSY, NULL},
		{AT "KVM: create VM failed: Resource busy", KT_REASON_BUSY, NULL},
		{AT "KVM: create VM failed: Cannot allocate memory\n", RESOURCE,
		 AT "KVM: create VM failed: Cannot allocate memory"},
		{AT "KVM: vcpu run failedVCPU 0 RIP 0x1 RSP 0x2 CR2 0x0 : Cannot allocate memory", RESOURCE, NULL},
		{AT "No memory to load elf: Out of memory", RESOURCE, NULL},
		{AT "Failed to get main vcpu: Resource temporarily unavailable", RESOURCE, NULL},
		{AT "Can't open default device file.: Too many open files in system", RESOURCE, NULL},
		{AT "KM: Failed to create machine intr_fd: Too many open files", RESOURCE, NULL},
		{"a\n" AT "words that nobody knows: Cannot allocate memory\nb", RESOURCE,
		 AT "words that nobody knows: Cannot allocate memory"},
		/* in another line than the words, it is another's */
		{AT "a warning: Cannot allocate memory\n" AT "KVM: API version mismatch\n", DEVICE,
		 AT "KVM: API version mismatch"},
		/* and only at its end */
		{AT "KVM: Cannot allocate memory for nothing", DEVICE, NULL},
		/* nothing that we know */
		{"", KT_REASON_NONE, ""},
		{"\n\n", KT_REASON_NONE, ""},
		{AT "Problems in performing post exec processing", KT_REASON_NONE, ""},
		{"the kernel is old and the device is KVM", KT_REASON_NONE, ""},
		{"open the door: it failed", KT_REASON_NONE, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		/* of its own size, so that a sanitizer sees what reads beyond */
		size_t size = strlen(rows[i].text);
		char *text = malloc(size + 1);
		const char *line = rows[i].line ? rows[i].line : rows[i].text;
		struct kt_words words;

		assert_non_null(text);
		memcpy(text, rows[i].text, size);
		text = realloc(text, size > 0 ? size : 1);
		kt_words_read(text, size, &words);
		if (words.reason != rows[i].reason || (words.reason == KT_REASON_NONE) != (words.line == NULL) ||
		    strlen(line) != words.line_size || (words.line && memcmp(words.line, line, words.line_size) != 0))
			fail_msg("%s: %s, %.*s", rows[i].text, kt_reason_name(words.reason), (int)words.line_size,
				 words.line ? words.line : "");
		assert_int_equal(words.reason == KT_REASON_NONE, words.meaning[0] == '\0');
		assert_false(words.is_emulation);
		free(text);
	}
}

static void test_emulation(void **state)
{
	static const struct {
		const char *text;
		bool is_emulation;
	} rows[] = {
		{AT "KVM: internal error, suberr 0x1VCPU 0 RIP 0x201000 RSP 0x7fff CR2 0x0 ", true},
		{"KVM: internal error, suberr 0x1", true},
		{"KVM: internal error, suberr 0x1\n", true},
		{"KVM: internal error, suberr 0x1 (payload at 0x201000)\n", true},
		{"KVM: internal error, suberr 0x10", false},
		{"KVM: internal error, suberr 0x1f", false},
		{"KVM: internal error, suberr 0x3VCPU 0", false},
		{"KVM: internal error", false},
		{"KVM: exit. reason=17 (KVM_EXIT_INTERNAL_ERROR)", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kt_words words;

		kt_words_read(rows[i].text, strlen(rows[i].text), &words);
		assert_int_equal(words.reason, DEVICE);
		if (words.is_emulation != rows[i].is_emulation)
			fail_msg("%s", rows[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_emulation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
