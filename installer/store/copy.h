/* Copying a component's files out of a bundle, and reading back what was written. */
#ifndef KT_STORE_COPY_H
#define KT_STORE_COPY_H

#include <sys/types.h>

#include "kontain/bundle/treecheck.h"
#include "layout.h"

/* Reads files back while others are still being copied: a child of this process, on another core where there is one. */
struct kt_verifier {
	pid_t pid;
	struct kt_verifier_word *word; /* owned: shared with the child */
};

/* Memory that the child writes and its maker reads: what each file looked like while it was right (kt_stamp). NULL when
 * there is none. */
uint64_t *kt_stamps_new(size_t count);
void kt_stamps_free(uint64_t *stamps, size_t count);

/* tree: directory that the files are written below; list: what they are; stamps: one a file. All are borrowed. */
int kt_verifier_start(int tree, const struct kt_filelist *list, uint64_t *stamps, struct kt_verifier *ret_verifier,
		      struct kt_error *err);
/* The next file of the list is written (links are passed over). Never fails: a verifier that is gone is found out at
 * the end. */
void kt_verifier_offer(struct kt_verifier *verifier);
/* After the last file: waits for the answer: 0, DigestMismatch, or why it could not tell. */
int kt_verifier_finish(struct kt_verifier *verifier, struct kt_error *err);
void kt_verifier_done(struct kt_verifier *verifier); /* for KT_OWN: ends a child that nobody waits for any more */

struct kt_copy {
	kt_store_progress *progress;
	void *context;
	const char *part; /* borrowed: what is being copied */
	uint64_t done_bytes;
	uint64_t total_bytes;
};

/* Tells progress, if anybody listens. */
void kt_copy_tell(const struct kt_copy *copy);

/* Copies files and links from source to tree (both borrowed), verified when it returns 0; nothing is synced, but
 * write-back has begun. `what` names the source in texts; stamps from kt_stamps_new, one a file,
 * or NULL. */
int kt_copy_files(int source, int tree, const char *what, const struct kt_filelist *list, uint64_t *stamps,
		  struct kt_copy *copy, struct kt_error *err);

/* A whole version below `partial`, a name in the root: files and links copied from source and verified, and the list,
 * written last. `what` is the source's name for texts. */
int kt_version_stage(const struct kt_store *store, int source, const char *what, const char *partial,
		     const struct kt_component *component, uint64_t *stamps, struct kt_copy *copy,
		     struct kt_error *err);

#endif
