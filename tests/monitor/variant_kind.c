/* Kinder than km, as this monitor once was: an internal error aborts, what a payload keeps below its stack pointer
 * stays, every number is a system call, the release always ends in the whole suffix, SIGTERM ends it, the first device
 * counts and a missing payload is 2. What passes here alone passes on no node; tests/monitor/run must find that out. */
#include "monitor.h"

const struct monitor_variant monitor_variant = {.is_kind = true};
