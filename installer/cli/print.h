/* How a state is shown to a person, or as its document. */
#ifndef KT_CLI_PRINT_H
#define KT_CLI_PRINT_H

#include "agent/plan.h"
#include "jobs/installer.h"

/* Prints the state to stdout as the options say; returns the exit status that belongs to it. */
int kt_print_state(const struct kt_options *options, const struct kt_state *state);

/* The document alone. */
void kt_print_document(const struct kt_state *state);

/* What is kept aside, a line each. */
void kt_print_kept(const struct kt_state_kept *kept, const char *prefix);

/* What a command other than status did: for -o json its document, {"kind": "CommandResult", "command", "dryRun",
 * "changed", "message", "items"}, whose items are begun before; the message alone else, unless quiet. Returns the
 * exit status. */
struct kt_document;
void kt_print_result_begin(struct kt_document *document);
int kt_print_result(const struct kt_options *options, struct kt_document *document, const char *command,
		    bool is_changed, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* What is kept aside, as a list of the document. */
void kt_document_kept(struct kt_document *document, const char *list, const struct kt_state_kept *kept);

/* "1 file", "2 files": the s. */
const char *kt_plural(size_t count);

/* One line "kontain-installer: <text>" on stderr; returns the exit status that belongs to it. */
int kt_print_error(const struct kt_error *err);

#endif
