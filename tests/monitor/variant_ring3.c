/* Works, and runs its payload in ring 3. A KVM that emulates ring 0, on which no compiled program runs under km, may
 * run ring 3 on the processor itself: there this stands for the machine that is not at hand, one on which km would
 * work. */
#include "monitor.h"

const struct monitor_variant monitor_variant = {.ring = 3};
