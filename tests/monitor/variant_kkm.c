/* Works on KVM and on what answers as Kontain's own module, which it takes for a KVM: the real one is not, but it
 * cannot be had here. What stands for it in the tests is a KVM behind a node of another name (tests/kvm/kkm.c). */
#include "monitor.h"

const struct monitor_variant monitor_variant = {.drives_kkm = true};
