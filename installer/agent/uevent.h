/* The kernel's announcements of devices (NETLINK_KOBJECT_UEVENT, lib/kobject_uevent.c). */
#ifndef KT_AGENT_UEVENT_H
#define KT_AGENT_UEVENT_H

#include <stdbool.h>
#include <stddef.h>

/* Does this message say that one of kt_device_names came or went? "ACTION@PATH" and KEY=VALUE, each with a NUL behind
 * it. Bytes of any kind. */
bool kt_uevent_is_ours(const char *bytes, size_t size);

/* The name of a device that payloads run on, as it is in the device folder. */
bool kt_device_is_ours(const char *name);

/* Lets only such messages through, so that a busy node (each virtual machine is announced) does not wake who waits. */
int kt_uevent_filter(int fd);

/* A socket that does not block, -errno when there is none. */
int kt_uevent_open(void);
/* Takes what has come; true when one of it is ours, or when something was lost. */
bool kt_uevent_take(int fd);

#endif
