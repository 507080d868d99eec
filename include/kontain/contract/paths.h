/* Which names a bundle may hold. Pure. */
#ifndef KONTAIN_PATHS_H
#define KONTAIN_PATHS_H

#include "kontain/contract/filelist.h"

/* Where payloads find the store, whatever its root on the host. */
#define KT_ROOT "/opt/kontain"

#define KT_SHOWN_MAX 160

/* "has a control character", "is not UTF-8", or NULL. */
const char *kt_text_flaw(const char *text);

/* What is wrong with a path, as the end of a sentence about it; NULL when nothing is. */
const char *kt_path_flaw(const char *path);

/* What is wrong with a path as the name of something in that component: names that the store or the bundle keeps for
 * itself. */
const char *kt_path_reserved(const char *component, const char *path);

/* Does the link at `path` of a component lead out of it? A relative target stays in its own tree, but for km's links to
 * ../tools/<the same path>; an absolute one lies under /opt/kontain. NULL, or how it leaves: real trees hold such
 * links, a bundle does not. */
const char *kt_link_escape(const char *component, const char *path, const char *target);
/* What is wrong with the target of the link at `path`; NULL when nothing is. kt_link_escape is asked last. */
const char *kt_link_flaw(const char *component, const char *path, const char *target);

/* Looks at the files of one tree together: strictly sorted, no path twice, none below another, none reserved.
 * Returns NULL, or what is wrong with files[*ret_index]; "out of memory" is an answer too. */
const char *kt_files_flaw(const struct kt_file *files, size_t count, size_t *ret_index);

/* A name for a message: one line, whole characters, what cannot be printed as "\xff", cut to fit. Returns ret_shown. */
const char *kt_path_show(const char *path, char ret_shown[KT_SHOWN_MAX]);

#endif
