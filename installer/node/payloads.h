/* The payloads of the proof: ELF programs that are part of this one. Two are static; the third needs the set's own
 * runtime/libc.so. */
#ifndef KT_NODE_PAYLOADS_H
#define KT_NODE_PAYLOADS_H

#include <stddef.h>

#define KT_PAYLOAD_WORD   "kontain-proof" /* first word of their only line */
#define KT_PAYLOAD_STATUS 42              /* 43 wrong sums, 44 no uname, 45 no write */

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
