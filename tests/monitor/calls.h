/* The system calls of a payload: those that this monitor serves, and what km does with the rest. */
#ifndef CALLS_H
#define CALLS_H

#include <stdint.h>

#include "guest.h"

enum call_end {
	CALL_ANSWERED, /* with *ret_result: -errno or a result */
	CALL_EXITS,    /* the payload asked to end, with *ret_code */
	CALL_KILLS,    /* the payload dies by the signal *ret_code */
};

enum call_end call_serve(struct guest *guest, const struct guest_call *call, int64_t *ret_result, int *ret_code);

#endif
