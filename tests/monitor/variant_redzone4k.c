/* Harder than km: a system call overwrites 4 KiB below the stack pointer and not 56 bytes. Whatever a payload keeps in
 * its red zone (128 bytes) is lost, wherever its compiler put it. */
#include "monitor.h"

const struct monitor_variant monitor_variant = {.below_stack = 4096 - MONITOR_BELOW_STACK};
