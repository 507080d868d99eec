/* A node made in advance (systemd makes /dev/kvm from modules.devname at boot) stays when its module goes, and is there
 * before it comes: no folder changes, and only the kernel tells.
 *
 * A message about a device without a network namespace of its own goes to all of them that belong to the first user
 * namespace (since Linux 4.18), so it reaches the empty one that the agent is in. In a user namespace of its own none
 * comes: then there are inotify and the slow look. */
#include "uevent.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kontain/base/own.h"
#include "kontain/node/node.h"

#define GROUP_KERNEL 1 /* the other one is udevd's, who speaks another language */
#define MESSAGE_MAX  8192
#define KEY          "DEVNAME="

bool kt_device_is_ours(const char *name)
{
	for (size_t i = 0; i < KT_DEVICE_COUNT; i++)
		if (strcmp(name, kt_device_names[i]) == 0)
			return true;
	return false;
}

bool kt_uevent_is_ours(const char *bytes, size_t size)
{
	/* KVM announces each virtual machine that is made or ends as a change of its device */
	if ((size < 4 || memcmp(bytes, "add@", 4) != 0) && (size < 7 || memcmp(bytes, "remove@", 7) != 0))
		return false;
	while (size > 0) {
		size_t length = strnlen(bytes, size);

		if (length == size) /* cut off */
			return false;
		if (strncmp(bytes, KEY, strlen(KEY)) == 0 && kt_device_is_ours(bytes + strlen(KEY)))
			return true;
		bytes += length + 1;
		size -= length + 1;
	}
	return false;
}

/* Where "add@" and "remove@" of a misc device have its name. */
#define MISC             "/devices/virtual/misc/"
#define ADDED_AT         (sizeof("add@" MISC) - 1)
#define REMOVED_AT       (sizeof("remove@" MISC) - 1)
#define WORD(a, b, c, d) ((unsigned)(a) << 24 | (unsigned)(b) << 16 | (unsigned)(c) << 8 | (d)) /* as BPF loads it */

/* Classic BPF (socket(7), SO_ATTACH_FILTER): the numbers of a jump are lines to skip. */
static struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'a', 0, 2),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ADDED_AT),
	BPF_STMT(BPF_JMP | BPF_JA, 2),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'r', 0, 5),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, REMOVED_AT),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WORD('k', 'v', 'm', '\0'), 2, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WORD('k', 'k', 'm', '\0'), 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, WORD('k', 'o', 'n', 't'), 0,
		 1), /* the rest is looked at when it has come */
	BPF_STMT(BPF_RET | BPF_K, MESSAGE_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

int kt_uevent_filter(int fd)
{
	const struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0 ? kt_negative_errno() : 0;
}

int kt_uevent_open(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL};
	KT_OWN(kt_close_fd)
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
		return kt_negative_errno();
	/* without it we are woken for nothing, no more */
	(void)kt_uevent_filter(fd);
	return kt_take_fd(&fd);
}

bool kt_uevent_take(int fd)
{
	char bytes[MESSAGE_MAX];
	bool is_ours = false;

	for (;;) {
		struct sockaddr_nl sender = {.nl_pid = 0};
		socklen_t sender_size = sizeof sender;
		ssize_t got = recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&sender, &sender_size);

		if (got < 0 && errno == ENOBUFS) /* the queue ran over: who knows what was in it */
			is_ours = true;
		else if (got < 0 && errno != EINTR)
			return is_ours;
		else if (got > 0 && sender.nl_pid == 0 && kt_uevent_is_ours(bytes, (size_t)got))
			is_ours = true;
	}
}
