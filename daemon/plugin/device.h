/* The device node that pods get: our own, which any user can open. The host's own node keeps its mode and owner in a
 * pod, and is closed to others on many hosts. */
#ifndef KONTAIN_PLUGIN_DEVICE_H
#define KONTAIN_PLUGIN_DEVICE_H

#include <stdbool.h>
#include <sys/types.h>

#include "kontain/base/error.h"

/* The number of a device by its name in /dev, out of the text of /proc/misc. False: the kernel has no such device. */
bool kt_device_parse(const char *misc, const char *name, dev_t *ret_number);
/* The same of the running kernel: 0 or -errno. */
int kt_device_number(const char *name, dev_t *ret_number, struct kt_error *err);

/* 0755; one that is there stays as it is. */
int kt_device_make_folder(const char *folder, struct kt_error *err);

/* The folder is made where it is missing. FOLDER/NAME is the device of that number, 0666, root's: it is replaced
 * where it is anything else. */
int kt_device_make(const char *folder, const char *name, dev_t number, struct kt_error *err);

#endif
