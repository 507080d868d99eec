/* A component's list: what its tree holds, one line a file or link, sorted bytewise by path. Bytes <-> struct, pure.
 *
 *   f<TAB>0755<TAB>2959872<TAB><64 hexadecimal digits><TAB>km
 *   l<TAB>-<TAB>-<TAB><target><TAB><path>
 *
 * No header and no trailer: that it is complete is said by its SHA-256, which is the component's digest. Directories
 * are implied by paths. In a bundle it is <component>.files, in the store .files of the component's version. */
#ifndef KONTAIN_FILELIST_H
#define KONTAIN_FILELIST_H

#include <stddef.h>
#include <stdint.h>

#include "kontain/base/digest.h"
#include "kontain/base/error.h"
#include "kontain/contract/limits.h"

/* One file or link; the texts are borrowed from the list. */
struct kt_file {
	const char *path;   /* relative, normalised: no "..", no "." */
	const char *link;   /* a symbolic link's target, NULL for a file */
	const char *sha256; /* NULL for a link */
	uint64_t size_bytes;
	uint32_t mode; /* 0644 or 0755 */
};

struct kt_filelist {
	char *text; /* owned, cut in place */
	size_t size;
	struct kt_file *files; /* owned, sorted by path */
	size_t count;
	char digest[KT_DIGEST_HEX]; /* of the list's bytes */
	uint64_t total_bytes;       /* of its files */
};

/* Takes *text (malloc'd, a NUL behind its size bytes; NULL afterwards, whatever the answer is). Strict: a line that is
 * not as kt_filelist_print writes it, a bad path or link, a wrong order is BundleInvalid and names the line. component
 * says which rules hold (kt_link_flaw, kt_path_reserved). */
int kt_filelist_parse(const char *component, char **text, size_t size, struct kt_filelist *ret_list,
		      struct kt_error *err);
/* An owned text of *ret_size bytes; NULL when memory is gone. */
char *kt_filelist_print(const struct kt_file *files, size_t count, size_t *ret_size);
void kt_filelist_done(struct kt_filelist *list); /* for KT_OWN; safe on a zeroed struct */

/* By exact path; borrowed, NULL when it is not there. */
const struct kt_file *kt_filelist_find(const struct kt_filelist *list, const char *path);

#endif
