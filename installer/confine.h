/* The resident privileged half gives up what it does not need, and its way back to the network. */
#ifndef KT_INSTALLER_CONFINE_H
#define KT_INSTALLER_CONFINE_H

#include "kontain/error.h"

/* Leaves the network namespace, drops capabilities, sets NoNewPrivs and loads the seccomp filter; its
 * children inherit all of it. Before anything is read. */
int kt_confine(struct kt_error *err);

#endif
