/* Parts of the state document, for the jobs that answer with one part and the agent that reads it. */
#ifndef KONTAIN_STATEJSON_H
#define KONTAIN_STATEJSON_H

#include "kontain/contract/state.h"

/* Owned JSON of {"kvm": ..., "host": ..., "checks": ...}, one line without its end; NULL when memory is gone. */
char *kt_probe_print(const struct kt_probe *probe);
int kt_probe_parse(const char *bytes, size_t size, struct kt_probe *ret_probe, struct kt_error *err);
/* Owned JSON of {"proof": ...}. */
char *kt_proof_print(const struct kt_state_proof *proof);
int kt_proof_parse(const char *bytes, size_t size, struct kt_state_proof *ret_proof, struct kt_error *err);

/* Owned JSON of {"kept": ...}, as the state's store has it. */
char *kt_kept_print(const struct kt_state_kept *kept);
int kt_kept_parse(const char *bytes, size_t size, struct kt_state_kept *ret_kept, struct kt_error *err);

#endif
