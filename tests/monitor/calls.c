/* uname, write, exit and exit_group: enough for a payload that proves it ran under a monitor. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "calls.h"
#include "monitor.h"

#define SUFFIX ".kontain.KVM"

/* The kernel's struct new_utsname is what libc calls utsname (uname(2)). A release that has no room keeps its head. */
static int64_t serve_uname(const struct guest *guest, const uint64_t arguments[6])
{
	struct utsname *to = guest_bytes(guest, arguments[0], sizeof(*to)), names;
	size_t length;

	if (to == NULL)
		return -EFAULT;
	if (uname(&names) < 0)
		return -errno;
	length = strnlen(names.release, sizeof(names.release) - sizeof(SUFFIX));
	memcpy(names.release + length, SUFFIX, sizeof(SUFFIX));
	memcpy(to, &names, sizeof(names));
	return 0;
}

/* Only the three standard descriptors are the payload's: the others are the monitor's own. */
static int64_t serve_write(const struct guest *guest, const uint64_t arguments[6])
{
	const void *bytes = guest_bytes(guest, arguments[1], arguments[2]);
	ssize_t written;

	if (arguments[0] > STDERR_FILENO)
		return -EBADF;
	if (bytes == NULL)
		return -EFAULT;
	if (monitor_variant.swallows_output)
		return (int64_t)arguments[2];
	written = write((int)arguments[0], bytes, arguments[2]);
	return written < 0 ? -errno : written;
}

static const struct {
	uint64_t number;
	int64_t (*serve)(const struct guest *guest, const uint64_t arguments[6]);
} served[] = {
	{SYS_uname, serve_uname},
	{SYS_write, serve_write},
};

bool call_serve(const struct guest *guest, const struct guest_call *call, int64_t *ret_result, int *ret_code)
{
	if (call->number == SYS_exit || call->number == SYS_exit_group) {
		*ret_code = ((int)call->arguments[0] + monitor_variant.exit_code_added) & 0xff;
		return true;
	}
	for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++) {
		if (served[i].number == call->number) {
			*ret_result = served[i].serve(guest, call->arguments);
			return false;
		}
	}
	*ret_result = -ENOSYS;
	return false;
}
