/* Runs the payload in its guest, but the exit code is one too many. */
#include "monitor.h"

const struct monitor_variant monitor_variant = {.exit_code_added = 1};
