/* How a state is shown to a person, or as its document. */
#ifndef KT_CLI_PRINT_H
#define KT_CLI_PRINT_H

#include "jobs/installer.h"
#include "agent/plan.h"

/* Prints the state to stdout as the options say; returns the exit status that belongs to it. */
int kt_print_state(const struct kt_options *options, const struct kt_state *state);

/* The document alone. */
void kt_print_document(const struct kt_state *state);

/* What is kept aside, a line each. */
void kt_print_kept(const struct kt_state_kept *kept, const char *prefix);

/* One line "kontain-installer: <text>" on stderr; returns the exit status that belongs to it. */
int kt_print_error(const struct kt_error *err);

#endif
