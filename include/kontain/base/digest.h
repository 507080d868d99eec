/* SHA-256 through OpenSSL's EVP, in the one form that bundle and store need. */
#ifndef KONTAIN_DIGEST_H
#define KONTAIN_DIGEST_H

#include <stddef.h>

#define KT_DIGEST_BYTES 32
#define KT_DIGEST_HEX   65 /* 64 digits and NUL */

struct kt_digest; /* opaque */

struct kt_digest *kt_digest_new(void); /* NULL when memory is gone */
void kt_digest_add(struct kt_digest *digest, const void *bytes, size_t size);
/* Ends this digest and makes it ready for the next. */
void kt_digest_take(struct kt_digest *digest, char ret_hex[KT_DIGEST_HEX]);
void kt_digest_free(struct kt_digest **digest); /* for KT_OWN */

#endif
