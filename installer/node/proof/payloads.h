/* The payloads of the proof: ELF programs that are part of this one. Two are static; the third needs the set's own
 * runtime/libc.so. */
#ifndef KT_NODE_PAYLOADS_H
#define KT_NODE_PAYLOADS_H

#include <stddef.h>

#define KT_PAYLOAD_WORD     "kontain-proof" /* first word of their only line */
#define KT_PAYLOAD_AS_FIRST "as-process-1"  /* its last, see payload.h */

#define KT_PAYLOAD_STATUS     42
#define KT_PAYLOAD_WRONG_SUMS 43
#define KT_PAYLOAD_NO_UNAME   44
#define KT_PAYLOAD_NO_WRITE   45

struct kt_payload {
	const char *name; /* second word of its line */
	const unsigned char *bytes;
	size_t size;
};

/* Filled at the first call; static. */
const struct kt_payload *kt_payload_integer(void);
const struct kt_payload *kt_payload_sse2(void);
const struct kt_payload *kt_payload_dynamic(void);

#endif
