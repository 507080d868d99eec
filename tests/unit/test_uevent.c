/* links: kt_cli kt_agent kt_jobs kt_store kt_bundle kt_node kt_contract kt_base */
/* Which announcements of the kernel are about a device that payloads run on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../installer/agent/uevent.h"

#define MESSAGE(name, text, ours)                  \
	{                                          \
		name, text, sizeof(text) - 1, ours \
	}

static const struct {
	const char *name;
	const char *bytes;
	size_t size;
	bool is_ours;
} rows[] = {
	MESSAGE("kvm is added",
		"add@/devices/virtual/misc/kvm\0ACTION=add\0DEVPATH=/devices/virtual/misc/kvm\0SUBSYSTEM=misc\0"
		"MAJOR=10\0MINOR=232\0DEVNAME=kvm\0SEQNUM=1\0",
		true),
	MESSAGE("kvm is removed", "remove@/devices/virtual/misc/kvm\0ACTION=remove\0DEVNAME=kvm\0SEQNUM=2\0", true),
	MESSAGE("kkm", "add@/devices/virtual/misc/kkm\0DEVNAME=kkm\0", true),
	MESSAGE("the other name of the same module", "add@/devices/virtual/misc/kontain\0DEVNAME=kontain\0", true),
	MESSAGE("it goes", "remove@/devices/virtual/misc/kontain\0ACTION=remove\0DEVNAME=kontain\0", true),
	MESSAGE("no more than that", "add@\0DEVNAME=kvm\0", true),
	MESSAGE("a virtual machine was made",
		"change@/devices/virtual/misc/kvm\0ACTION=change\0DEVNAME=kvm\0CREATED=1\0COUNT=1\0EVENT=create\0",
		false),
	MESSAGE("no action", "DEVNAME=kvm\0", false),
	MESSAGE("a loop device", "add@/devices/virtual/block/loop0\0ACTION=add\0DEVNAME=loop0\0", false),
	MESSAGE("a module without a device", "add@/module/kvm\0ACTION=add\0DEVPATH=/module/kvm\0SUBSYSTEM=module\0",
		false),
	MESSAGE("a longer name", "add@\0DEVNAME=kvm2\0", false),
	MESSAGE("another key", "add@\0XDEVNAME=kvm\0", false),
	MESSAGE("cut within the name", "add@\0DEVNAME=kvm", false),
	MESSAGE("udevd's", "libudev\0\xfe\xed\xca\xfe", false),
	MESSAGE("empty words", "\0\0\0\0", false),
	MESSAGE("nothing", "", false),
};

static void test_rows(void **context)
{
	(void)context;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		/* of its own size, so that a byte read behind the end is seen */
		char *bytes = malloc(rows[i].size > 0 ? rows[i].size : 1);

		assert_non_null(bytes);
		memcpy(bytes, rows[i].bytes, rows[i].size);
		if (kt_uevent_is_ours(bytes, rows[i].size) != rows[i].is_ours)
			fail_msg("%s", rows[i].name);
		free(bytes);
	}
}

/* What reaches a socket with the filter. A pair of our own stands in for the kernel's end. */
static void test_filter(void **context)
{
	int ends[2];

	(void)context;
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
	assert_int_equal(kt_uevent_filter(ends[0]), 0);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		bool is_full = memmem(rows[i].bytes, rows[i].size, "/misc/k", 7) != NULL;
		char bytes[512];
		ssize_t got;

		if (rows[i].size == 0)
			continue;
		(void)send(ends[1], rows[i].bytes, rows[i].size, 0); /* refused where nothing takes it */
		got = recv(ends[0], bytes, sizeof bytes, MSG_DONTWAIT);
		if ((got > 0) != (rows[i].is_ours && is_full))
			fail_msg("%s", rows[i].name);
		if (got > 0)
			assert_memory_equal(bytes, rows[i].bytes, rows[i].size);
	}
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows), cmocka_unit_test(test_filter)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
