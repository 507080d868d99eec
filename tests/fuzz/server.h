/* An honest API server in a few lines: a Node, and what the three kinds of patch that kontaind sends do to it. */
#ifndef KONTAIN_TESTS_FUZZ_SERVER_H
#define KONTAIN_TESTS_FUZZ_SERVER_H

#include <jansson.h>

#include "kube/client.h"

void fuzz_json_release(json_t **json); /* for KT_OWN */

/* A fresh Node of that name. */
json_t *fuzz_node_new(const char *name);
/* Does what the request asks and returns the answer's code; requires that it is one that kontaind may send of node
 * `name`, touching nothing but kontaind's own keys. */
int fuzz_server_answer(json_t *node, const char *name, const struct kt_kube_request *request);

#endif
