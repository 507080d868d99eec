/* SHA-256 by OpenSSL. The algorithm is fetched once and the context used again for each file, as a fetch costs
 * more than a small file's digest. A digest that OpenSSL failed to compute reads "": it equals no real one. */
#include <stdlib.h>

#include <openssl/evp.h>

#include "kontain/base/digest.h"
#include "kontain/base/own.h"

struct kt_digest {
	EVP_MD_CTX *context; /* owned */
	EVP_MD *algorithm;   /* owned */
	int is_good;
};

struct kt_digest *kt_digest_new(void)
{
	KT_OWN(kt_digest_free) struct kt_digest *digest = calloc(1, sizeof(*digest));

	if (!digest)
		return NULL;
	digest->context = EVP_MD_CTX_new();
	digest->algorithm = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!digest->context || !digest->algorithm)
		return NULL;
	digest->is_good = EVP_DigestInit_ex2(digest->context, digest->algorithm, NULL);
	return digest->is_good ? kt_take_ptr(&digest) : NULL;
}

void kt_digest_add(struct kt_digest *digest, const void *bytes, size_t size)
{
	if (digest->is_good)
		digest->is_good = EVP_DigestUpdate(digest->context, bytes, size);
}

void kt_digest_take(struct kt_digest *digest, char ret_hex[KT_DIGEST_HEX])
{
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned size = 0;

	ret_hex[0] = '\0';
	if (digest->is_good && EVP_DigestFinal_ex(digest->context, bytes, &size) && size == KT_DIGEST_BYTES) {
		for (unsigned i = 0; i < size; i++) {
			ret_hex[2 * i] = digits[bytes[i] >> 4];
			ret_hex[2 * i + 1] = digits[bytes[i] & 15];
		}
		ret_hex[KT_DIGEST_HEX - 1] = '\0';
	}
	digest->is_good = EVP_DigestInit_ex2(digest->context, digest->algorithm, NULL);
}

void kt_digest_free(struct kt_digest **digest)
{
	if (!*digest)
		return;
	EVP_MD_CTX_free((*digest)->context);
	EVP_MD_free((*digest)->algorithm);
	free(*digest);
	*digest = NULL;
}
