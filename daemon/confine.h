/* What this process gives up before it reads anything. */
#ifndef KONTAIN_DAEMON_CONFINE_H
#define KONTAIN_DAEMON_CONFINE_H

#include "kontain/error.h"

/* No new privileges by exec, no capability, also not for a root that started us by hand. */
int kt_daemon_confine(struct kt_error *err);

#endif
