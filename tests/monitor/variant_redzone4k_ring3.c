/* As redzone4k, with the payload in ring 3 (variant_ring3.c): so compiled programs are tested too where KVM emulates
 * ring 0. */
#include "monitor.h"

const struct monitor_variant monitor_variant = {.ring = 3, .below_stack = 4096 - MONITOR_BELOW_STACK};
