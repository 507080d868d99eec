/* The device node: looked at before it is opened, and never through a link. */
#ifndef KT_NODE_DEVICE_H
#define KT_NODE_DEVICE_H

#include <stddef.h>
#include <sys/types.h>

#include "kontain/base/error.h"

#define KT_KVM_NODE  "kvm"
#define KT_KVM_MAJOR 10  /* misc */
#define KT_KVM_MINOR 232 /* KVM_MINOR of linux/miscdevice.h */

/* A node's path as the host names it: dev without the prefix host. */
void kt_device_name(const char *host, const char *dev, const char *node, char *name, size_t size);

/* dev/kvm is character device 10:232. *ret_mode (may be NULL) is its st_mode. name is for messages.
 * ENOENT with DeviceMissing; NotCharDevice; PermissionDenied. */
int kt_device_look(const char *dev, const char *name, mode_t *ret_mode, struct kt_error *err);

/* Looks, opens it to read and write, and looks again. *ret_fd is owned. Also -ENODEV, with DeviceMissing, when the node
 * is there and nothing behind it. */
int kt_device_open(const char *dev, const char *name, int *ret_fd, mode_t *ret_mode, struct kt_error *err);

#endif
