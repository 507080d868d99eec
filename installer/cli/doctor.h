/* How `check` shows its rows to a person: a table, and for the first row that is broken what to do. */
#ifndef KT_CLI_DOCTOR_H
#define KT_CLI_DOCTOR_H

#include <stdbool.h>
#include <stdio.h>

#include "kontain/contract/state.h"

/* No row is broken, KVM and host have their verdicts, and compiled code runs, or need not. */
bool kt_doctor_is_fit(const struct kt_state *state, bool allow_emulated);

/* Plain ASCII, at most KT_DOCTOR_WIDTH columns. */
#define KT_DOCTOR_WIDTH 100
void kt_doctor_print(const struct kt_state *state, bool allow_emulated, FILE *out);

#endif
