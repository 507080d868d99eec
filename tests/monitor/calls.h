/* The system calls of a payload that this monitor serves; the rest is ENOSYS. */
#ifndef CALLS_H
#define CALLS_H

#include <stdbool.h>

#include "guest.h"

/* Serves one. True: the payload asked to end, with *ret_code; false: go on with *ret_result (-errno or a result). */
bool call_serve(struct guest *guest, const struct guest_call *call, int64_t *ret_result, int *ret_code);

#endif
