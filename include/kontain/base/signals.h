/* The end of a resident program, as an event among others in its loop. */
#ifndef KONTAIN_SIGNALS_H
#define KONTAIN_SIGNALS_H

#include "kontain/base/error.h"

/* SIGTERM and SIGINT come by a descriptor (owned) from here on, and SIGPIPE not at all. */
int kt_signals_open(int *ret_fd, struct kt_error *err);
/* "SIGTERM" or "SIGINT"; NULL when there is none. */
const char *kt_signals_take(int fd);

#endif
