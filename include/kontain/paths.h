/* Which names a bundle may hold. Pure. */
#ifndef KONTAIN_PATHS_H
#define KONTAIN_PATHS_H

#include "kontain/filelist.h"

#define KT_SHOWN_MAX 160

/* "has a control character", "is not UTF-8", or NULL. */
const char *kt_text_flaw(const char *text);

/* What is wrong with a path, as the end of a sentence about it; NULL when nothing is. */
const char *kt_path_flaw(const char *path);

/* What is wrong with a path as the name of something in that component: names that the store or the bundle keeps for
 * itself, in any case. */
const char *kt_path_reserved(const char *component, const char *path);

/* What is wrong with the target of the link at `path` of a component; NULL when nothing is. A relative target stays in
 * its own tree, but for km's links to ../tools/<the same path>; an absolute one lies under /opt/kontain. */
const char *kt_link_flaw(const char *component, const char *path, const char *target);

/* Looks at the files of one tree together: strictly sorted, no path twice or in another case, none below another.
 * Returns NULL, or what is wrong with files[*ret_index]; "out of memory" is an answer too. */
const char *kt_files_flaw(const struct kt_file *files, size_t count, size_t *ret_index);

/* A name for a message: one line, whole characters, cut to fit. Returns ret_shown. */
const char *kt_path_show(const char *path, char ret_shown[KT_SHOWN_MAX]);

#endif
