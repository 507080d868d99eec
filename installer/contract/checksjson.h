/* Checks as a JSON array of {name, result, reason, value, message}. */
#ifndef KONTAIN_CONTRACT_CHECKSJSON_H
#define KONTAIN_CONTRACT_CHECKSJSON_H

#include <jansson.h>

#include "kontain/contract/checks.h"

/* Puts them under "checks"; -ENOMEM. */
int kt_checks_print(json_t *parent, const struct kt_checks *checks);

/* From under "checks"; StateInvalid. */
int kt_checks_take(const json_t *parent, struct kt_checks *ret_checks, struct kt_error *err);

#endif
