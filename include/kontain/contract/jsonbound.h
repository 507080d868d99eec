/* What a JSON document of others may cost in memory, asked before a library reads it whole: 2 MiB of "{}," become 160
 * MiB of objects. */
#ifndef KONTAIN_JSONBOUND_H
#define KONTAIN_JSONBOUND_H

#include <stdbool.h>
#include <stddef.h>

/* jansson's heap for one sign, measured (jansson 2.14, glibc): 117 bytes for "{}," and 135 for the worst, {"":{}}. The
 * unit test measures it again. */
#define KT_JSON_SIGN_BYTES 160

/* A state has some 800 signs, an API server's Node a few thousand, a big one 20,000: with these kontaind stays far
 * below the memory limit of its container (64Mi). */
#define KT_JSON_STATE_SIGNS_MAX 10000
#define KT_JSON_NODE_SIGNS_MAX  100000

/* Are there at most so many signs ({ [ , :) outside of strings? What is not JSON may be counted wrongly, but only
 * behind the point where a reader refuses it. */
bool kt_json_is_within(const char *bytes, size_t size, size_t signs_max);

#endif
