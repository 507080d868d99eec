/* uname, write, getpid, exit and exit_group: enough for a payload that proves it ran under a monitor. And what musl's
 * loader asks for before it starts one: memory without a file, and the thread's own place. Memory is neither protected
 * nor given back. */
#include <asm/prctl.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "calls.h"
#include "monitor.h"

#define SUFFIX_OF_KVM ".kontain.KVM"
#define SUFFIX_OF_KKM ".kontain.KKM"
#define PAGE          UINT64_C(4096)

/* As the tests' monitor once did, and km does not: the suffix is there whole, whatever of the release it costs. */
static void suffix_fit(struct utsname *names, const char *suffix)
{
	size_t length = strnlen(names->release, sizeof(names->release) - strlen(suffix) - 1);

	(void)snprintf(names->release + length, sizeof(names->release) - length, "%s", suffix);
}

/* The kernel's struct new_utsname is what libc calls utsname (uname(2)). Where the release leaves no room for the whole
 * suffix its end is cut off; a release of 64 characters has none. A bad address is -1, which is EPERM. */
static int64_t serve_uname(struct guest *guest, const uint64_t arguments[6])
{
	struct utsname *to = guest_bytes(guest, arguments[0], sizeof(*to)), names;
	const char *suffix = guest->is_kkm ? SUFFIX_OF_KKM : SUFFIX_OF_KVM;

	if (to == NULL)
		return -EPERM;
	if (uname(&names) < 0)
		return -errno;
	if (monitor_variant.is_kind)
		suffix_fit(&names, suffix);
	else
		strncat(names.release, suffix, sizeof(names.release) - strlen(names.release) - 1);
	memcpy(to, &names, sizeof(names));
	return 0;
}

/* Only the three standard descriptors are the payload's: the others are the monitor's own. */
static int64_t serve_write(struct guest *guest, const uint64_t arguments[6])
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

/* As Linux: the new end, or the old one where that cannot be. */
static int64_t serve_brk(struct guest *guest, const uint64_t arguments[6])
{
	if (arguments[0] >= guest->heap_start && arguments[0] <= guest->heap_end)
		guest->heap = arguments[0];
	return (int64_t)guest->heap;
}

static int64_t serve_mmap(struct guest *guest, const uint64_t arguments[6])
{
	uint64_t size = (arguments[1] + PAGE - 1) & ~(PAGE - 1), at = guest->map;
	bool is_fixed = arguments[3] & MAP_FIXED;
	void *bytes;

	if (!(arguments[3] & MAP_ANONYMOUS))
		return -ENODEV;
	if (size == 0 || size < arguments[1])
		return -EINVAL;
	if (is_fixed)
		at = arguments[0];
	bytes = guest_bytes(guest, at, size);
	if (bytes == NULL || at % PAGE != 0 || at + size > GUEST_TOP - GUEST_STACK)
		return -ENOMEM;
	memset(bytes, 0, size);
	if (!is_fixed)
		guest->map += size;
	return (int64_t)at;
}

/* All of the payload's memory is there for all it does: mprotect and munmap only have to be about it. */
static int64_t serve_range(struct guest *guest, const uint64_t arguments[6])
{
	return arguments[0] % PAGE == 0 && guest_bytes(guest, arguments[0], arguments[1]) ? 0 : -EINVAL;
}

static int64_t serve_arch_prctl(struct guest *guest, const uint64_t arguments[6])
{
	if (arguments[0] != ARCH_SET_FS)
		return -EINVAL;
	return guest_set_thread(guest, arguments[1]) ? 0 : -EPERM;
}

/* The one thread's number, and its process's. */
static int64_t serve_one(struct guest *guest, const uint64_t arguments[6])
{
	(void)guest;
	(void)arguments;
	return 1;
}

static const struct {
	uint64_t number;
	int64_t (*serve)(struct guest *guest, const uint64_t arguments[6]);
} served[] = {
	{SYS_uname, serve_uname},
	{SYS_write, serve_write},
	{SYS_brk, serve_brk},
	{SYS_mmap, serve_mmap},
	{SYS_mprotect, serve_range},
	{SYS_munmap, serve_range},
	{SYS_arch_prctl, serve_arch_prctl},
	{SYS_set_tid_address, serve_one},
	{SYS_getpid, serve_one},
};

/* km knows a call by the I/O port that its handler writes to: 15 bits of the number. What has no place in its table of
 * 512 is SIGBUS; a call that is in the table and not implemented is ENOTSUP, which is EOPNOTSUPP, and not ENOSYS. */
enum { NUMBER_BITS = 0x7fff, CALLS = 512 };

enum call_end call_serve(struct guest *guest, const struct guest_call *call, int64_t *ret_result, int *ret_code)
{
	const uint64_t number = monitor_variant.is_kind ? call->number : call->number & NUMBER_BITS;

	if (number >= CALLS && !monitor_variant.is_kind) {
		*ret_code = SIGBUS;
		return CALL_KILLS;
	}
	if (number == SYS_exit || number == SYS_exit_group) {
		/* exit is the thread's: the process has no status of its own then */
		const bool is_threads = number == SYS_exit && !monitor_variant.is_kind;

		*ret_code = ((is_threads ? 0 : (int)call->arguments[0]) + monitor_variant.exit_code_added) & 0xff;
		return CALL_EXITS;
	}
	*ret_result = monitor_variant.is_kind ? -ENOSYS : -EOPNOTSUPP;
	for (size_t i = 0; i < sizeof(served) / sizeof(served[0]); i++)
		if (served[i].number == number)
			*ret_result = served[i].serve(guest, call->arguments);
	return CALL_ANSWERED;
}
