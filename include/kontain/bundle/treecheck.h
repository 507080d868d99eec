/* One definition of whole: a tree held against its list. Every question of that kind is asked here, by the store's
 * inventory, its landing and verification, by adopting, and by kontain-pack --check. */
#ifndef KONTAIN_TREECHECK_H
#define KONTAIN_TREECHECK_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>

#include "kontain/contract/filelist.h"
#include "kontain/contract/manifest.h"

/* ---- reading one file ---- */

struct kt_reader {
	struct kt_digest *digest; /* owned */
	char *buffer;             /* owned */
};

int kt_reader_init(struct kt_reader *ret_reader); /* -ENOMEM */
void kt_reader_done(struct kt_reader *reader);    /* for KT_OWN */

struct kt_reading {
	char sha256[KT_DIGEST_HEX];
	uint64_t size_bytes; /* read; a file that is longer than it was at first is read to one buffer behind that */
	struct stat info;    /* as it was before the first byte was read */
	bool is_steady;      /* and still was after the last */
	bool has_capabilities;
};
/* A regular file below parent, reached without a link. -errno: it could not be read to its end. */
int kt_reader_read(struct kt_reader *reader, int parent, const char *name, struct kt_reading *ret_reading);

/* ---- stamps: what a file or directory looked like while it was right ---- */

#define KT_STAMP_NONE UINT64_C(0)

/* A hash of inode, mtime, ctime, size, mode and owner, as fstatat(AT_SYMLINK_NOFOLLOW) shows them; never KT_STAMP_NONE.
 * Whoever edits a file in place and sets its mtime back is seen by the ctime, which nobody can set. */
uint64_t kt_stamp(const struct stat *info);
/* KT_STAMP_NONE when it changed so little before that it could change again unseen: within 2 s, as the coarsest times
 * of a filesystem that a store may lie on are whole seconds (ext4 with inodes of 128 bytes). */
uint64_t kt_stamp_settled(const struct stat *info);
/* The same for what this process made itself, under a name that nobody else knows: no write is under way then, so one
 * tick of the clock that the kernel takes its times from (CLOCK_REALTIME_COARSE) is enough, and is waited for here.
 * False when it does not come: a time in the future, or one that is in whole seconds. */
bool kt_stamp_await_tick(const struct stat *info);

/* What is known of a tree. Bytes <-> struct; the store keeps them as .seen-<part>-<version>:
 *
 *   kontain-seen 2 <read at, Unix s> <lines> <digest> <SHA-256 of the file km, or -> <contract, or ->
 *   <= or !><stamp> <path>       "=": it was right under this stamp, "!": its bytes were wrong; stamp 0: not known
 *   end <hash of all before>
 *
 * A path with a slash at its end is a directory whose names were right; "/" is the tree itself. It is a cache, no
 * promise: a stamp that differs is a reason to read, and the list's digest decides. */
struct kt_seen {
	char *text; /* owned */
	size_t size;
	int64_t read_at; /* Unix s: when all of it was read */
	size_t count;
	char digest[KT_DIGEST_HEX];    /* of the component's list; of the set's manifest */
	char km_digest[KT_DIGEST_HEX]; /* "" for none */
	char contract
		[KT_DIGEST_HEX]; /* among which others it kept the ELF contract (kt_elf_surroundings); "" for none */
	char *body;              /* into text */
};
struct kt_seen_file {
	const char *path; /* borrowed */
	uint64_t stamp;
	bool is_wrong;
};

/* Takes bytes, which become the result's; they have a NUL behind them. -EINVAL leaves them to the caller. */
int kt_seen_parse(char *bytes, size_t size, struct kt_seen *ret_seen);
/* An owned text; body: the lines of files, as kt_tree_check writes them. NULL when memory is gone. */
char *kt_seen_print(const struct kt_seen *head, const char *body, size_t body_size, size_t *ret_size);
/* Of the lines of files, before they are walked. */
size_t kt_seen_body_size(const struct kt_seen *seen);
void kt_seen_done(struct kt_seen *seen); /* for KT_OWN */
/* Walks the lines once, from seen->body; false at the end. They are cut in place. */
bool kt_seen_next(char **cursor, struct kt_seen_file *ret_file);

/* Is everything as it was when it was read last, and right? By stat(2) alone, and without the list. */
bool kt_tree_is_as_seen(int dir, struct kt_seen *seen);

/* ---- the check ---- */

/* Where a list's files lie. */
struct kt_tree {
	int dir;                        /* borrowed: the folder that paths begin in */
	const char *prefix;             /* before each path: "bin/" in a version of km, else "" */
	const struct kt_filelist *list; /* borrowed; NULL: only own */
	const struct kt_file *own;      /* what lies there beside it: the list itself; borrowed */
	size_t own_count;
	bool (*is_other)(const char *name); /* a name at the top that is another's; NULL: none is */
};

enum kt_depth {
	KT_DEPTH_STAT,    /* names, types, sizes, modes, owners, targets */
	KT_DEPTH_CHANGED, /* and what has another stamp than was noted is read */
	KT_DEPTH_ALL,     /* every byte is read */
};

enum kt_flaw {
	KT_FLAW_MISSING,
	KT_FLAW_TYPE,
	KT_FLAW_SIZE,
	KT_FLAW_CONTENT,
	KT_FLAW_LINK, /* a link with another target */
	KT_FLAW_MODE,
	KT_FLAW_CAPABILITIES, /* which no landed file has; ctime shows that somebody gave it some */
	KT_FLAW_OWNER,        /* not root's: only who may write counts, so the group does not */
	KT_FLAW_EXTRA,        /* a name that is not in the list */
	KT_FLAW_SKELETON,     /* likewise, and nothing but directories: a container runtime makes them for a hostPath */
	KT_FLAW_UNREADABLE,
};

struct kt_difference {
	const char *path; /* below the tree; borrowed. "" for the tree itself */
	enum kt_flaw flaw;
	bool is_folder;             /* of MODE and OWNER: a directory's, which is 0755; of TYPE: one is expected */
	const struct kt_file *file; /* NULL for directories and names */
	unsigned found;             /* mode (of a folder's TYPE: with its kind) or user ID, for texts */
	int code;                   /* errno of UNREADABLE */
};
/* StoreFileLost, StoreFileChanged or StoreDamaged. */
enum kt_reason kt_difference_reason(const struct kt_difference *difference);
/* "<where>/<path> has mode 0644, expected 0755" */
void kt_difference_print(const struct kt_difference *difference, const char *where, char *ret_text, size_t size);

/* Another value than 0 ends the check and is its answer. */
typedef int kt_difference_visit(void *context, const struct kt_difference *difference);

struct kt_tree_check {
	enum kt_depth depth;
	bool is_any_owner;       /* whose it is does not count: a bundle that somebody made */
	bool is_staged;          /* this process made it just now: kt_stamp_await_tick */
	struct kt_seen *seen;    /* borrowed, and walked; NULL: nothing is known */
	const uint64_t *stamps;  /* borrowed: what is known of the list's files by their number; NULL */
	uint64_t read_max_bytes; /* of what has changed; the rest is left is_unread. 0: no limit */
	kt_difference_visit *visit;
	void *context;
	FILE *notes; /* borrowed: the lines of a kt_seen are written there; NULL */
	/* answers */
	size_t note_count;
	bool is_unread; /* something is not known by its digest, or under another stamp than it has */
};
/* 0, visit's answer, or -ENOMEM. */
int kt_tree_check(const struct kt_tree *tree, struct kt_tree_check *check);

/* Puts right on the descriptor what can be: a mode, an owner, capabilities, a skeleton. -EINVAL: not that kind; it
 * is landed anew. The caller syncs. */
int kt_tree_mend(const struct kt_tree *tree, const struct kt_difference *difference);

/* ---- making a list ---- */

/* Of the tree below dir, which is the component's folder (of the extras the bundle's: what other components have is
 * left out). Without reads_content every digest is 0, for a look at names and kinds. An empty tree has no files. */
/* A link that leads out of the tree is told to left_out and is no part of the list; without left_out it is refused. */
typedef void kt_tree_left_out(void *context, const char *path, const char *how);
int kt_tree_scan(int dir, const char *component, bool reads_content, kt_tree_left_out *left_out, void *context,
		 struct kt_filelist *ret_list, struct kt_error *err);

#endif
