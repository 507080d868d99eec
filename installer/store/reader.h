/* Reading what is landed, and what it looked like while its bytes were right. */
#ifndef KT_STORE_READER_H
#define KT_STORE_READER_H

#include "seen.h"

struct kt_reader {
	struct kt_digest *digest; /* owned */
	char *buffer;             /* owned */
};

int kt_reader_init(struct kt_reader *ret_reader); /* -ENOMEM */
void kt_reader_done(struct kt_reader *reader);    /* for KT_OWN */

struct kt_reading {
	char sha256[KT_DIGEST_HEX];
	uint64_t size_bytes;
	uint64_t stamp; /* KT_STAMP_NONE when it changed meanwhile, or so little before that it could change again unseen */
};

/* A regular file below parent, reached without a link. -errno: it could not be read to its end. */
int kt_reader_read(struct kt_reader *reader, int parent, const char *name, struct kt_reading *ret_reading);

/* Of a link or file that is looked at and not read, with the same care for what may change again unseen. */
uint64_t kt_stamp_settled(const struct stat *info);

#endif
