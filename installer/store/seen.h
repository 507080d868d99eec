/* What is known of the files that lie here: .seen-<part>-<version> in the root, one for each component's version and
 * ("set") for each set. It is written by a deep verification alone and is a cache, no promise: without it, or when it
 * belongs to what lay there before, files are known by type, mode and size only and are to be read again. It never says
 * that something is damaged which is not: a stamp that differs is a reason to read the file, and its digest decides.
 *
 *   kontain-seen 1 <mark> <read at, Unix s> <files> <sha256 or ->
 *   <= or !><stamp> <path>       "=": its bytes were right under this stamp, "!": they were wrong; stamp 0: not known
 *   end <hash of all before>
 *
 * A stamp is a hash of inode, mtime, ctime, size and mode: whoever edits a file in place and sets its mtime back is seen
 * by the ctime, which nobody can set. */
#ifndef KT_STORE_SEEN_H
#define KT_STORE_SEEN_H

#include <sys/stat.h>

#include "layout.h"

#define KT_STORE_SEEN ".seen-"
#define KT_SEEN_SET   "set"
#define KT_STAMP_NONE UINT64_C(0)

/* Of a file or link as fstatat(AT_SYMLINK_NOFOLLOW) shows it; never KT_STAMP_NONE. */
uint64_t kt_stamp(const struct stat *info);
/* What ties a cache to the directory that it describes: of a component its record's stamp, of a set the directory's
 * inode. KT_STAMP_NONE when it cannot be read. */
uint64_t kt_seen_mark(int dir, const char *part);

struct kt_seen {
	char *text; /* owned */
	size_t size;
	int64_t read_at; /* Unix s: when all of it was read */
	size_t file_count;
	char digest[KT_DIGEST_HEX]; /* of the file km, or of the set's manifest; "" for none */
	char *body;                 /* into text */
};

struct kt_seen_file {
	const char *path; /* borrowed */
	uint64_t stamp;
	bool is_wrong;
};

/* -ENOENT when there is none, none that can be read, or another directory's. */
int kt_seen_read(const struct kt_store *store, const char *part, const char *version, uint64_t mark,
		 struct kt_seen *ret_seen);
void kt_seen_done(struct kt_seen *seen); /* for KT_OWN */
/* Takes bytes, which become the result's; they have a NUL behind them. -EINVAL leaves them to the caller. */
int kt_seen_parse(char *bytes, size_t size, uint64_t mark, struct kt_seen *ret_seen);
/* Walks the files once, from seen->body; false at the end. The lines are cut in place. */
bool kt_seen_next(char **cursor, struct kt_seen_file *ret_file);

/* Lock held. A path that is no line is never cached: -EINVAL. */
int kt_seen_write(const struct kt_store *store, const char *part, const char *version, uint64_t mark, int64_t read_at,
		  const char *digest, const struct kt_seen_file *files, size_t count, struct kt_error *err);
/* Removes the caches of what is there no more. Lock held. */
int kt_seen_sweep(const struct kt_store *store);

#endif
