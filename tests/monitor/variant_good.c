/* Does what it should. */
#include "monitor.h"

const struct monitor_variant monitor_variant = {0};
