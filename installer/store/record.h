/* The record that makes a component's version be there: .kontain-component in versions/<component>/<version>/, written
 * last. It is the compact twin of the component's part of the manifest: lines, so that a tick over 5,000 files costs a
 * scan and not a JSON document.
 *
 *   kontain-component 1 <name> <version> <digest> <file count>
 *   f <mode, octal> <size> <sha256> <path>
 *   l <path>\t<target>
 *   end */
#ifndef KT_STORE_RECORD_H
#define KT_STORE_RECORD_H

#include "reader.h"

#define KT_RECORD_NAME ".kontain-component"

struct kt_record {
	char *text; /* owned */
	size_t size;
	char name[16];
	char version[KT_VERSION_MAX];
	char digest[KT_DIGEST_HEX];
	size_t file_count;
	const char *body; /* into text: the first line of a file */
};

struct kt_record_line {
	const char *path;   /* NUL-terminated, into the record */
	const char *link;   /* NULL for a file */
	const char *sha256; /* 64 digits, no NUL behind them */
	unsigned mode;
	uint64_t size_bytes;
};

/* dir: the version's directory. No sync: the tree's sync covers it. */
int kt_record_write(int dir, const struct kt_component *component, struct kt_error *err);
/* -ENOENT when there is none; StoreDamaged when it cannot be read as one. */
int kt_record_read(int dir, struct kt_record *ret_record, struct kt_error *err);
void kt_record_done(struct kt_record *record); /* for KT_OWN */
/* Walks the lines once: *cursor starts at record->body. false at the end or at a broken line (*cursor is NULL then). The
 * lines are cut in place, so a record can be walked once. */
bool kt_record_next(char **cursor, struct kt_record_line *ret_line);

struct kt_record_check {
	/* What is known of the files: one that still has the stamp under which its bytes were right is not read, one that has
	 * not is. Borrowed, and walked; NULL: types, modes, sizes and targets have to do. */
	struct kt_seen *seen;
	uint64_t read_max_bytes; /* of what has changed; the rest is left is_unread */
	/* answers */
	char km_digest[KT_DIGEST_HEX]; /* of the file "km", "" for none */
	bool is_unread;          /* something is not known by its digest, or under another stamp than it has */
};
/* Every file is there with its type, mode and size, every link with its target, and what changed since it was seen has its
 * digest. StoreFileLost and StoreFileChanged name the first that is not, StoreDamaged a record that is none. `place` is for
 * the text. */
int kt_record_check(struct kt_record *record, int version_dir, const char *place, struct kt_record_check *check,
		    struct kt_error *err);

#endif
