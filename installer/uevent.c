/* A node made in advance (systemd makes /dev/kvm from modules.devname at boot) stays when its module goes, and is there
 * before it comes: no folder changes, and only the kernel tells.
 *
 * A message about a device without a network namespace of its own goes to all of them that belong to the first user
 * namespace (since Linux 4.18), so it reaches the empty one that the agent is in. In a user namespace of its own none
 * comes: then there are inotify and the slow look. */
#include "uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kontain/own.h"

#define GROUP_KERNEL 1 /* the other one is udevd's, who speaks another language */
#define MESSAGE_MAX  8192
#define KEY          "DEVNAME="

bool kt_device_is_ours(const char *name)
{
	return strcmp(name, "kvm") == 0 || strcmp(name, "kkm") == 0;
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

int kt_uevent_open(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = GROUP_KERNEL};
	KT_OWN(kt_close_fd) int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0)
		return -errno;
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
