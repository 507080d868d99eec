/* Where a path of a release or a tree belongs in a bundle. Pure. */
#ifndef KT_PACK_LAYOUT_H
#define KT_PACK_LAYOUT_H

#include <stdbool.h>

#define KT_PACK_SELF_TEST "tests/hello_test.km" /* the one file beside the components that a bundle takes */

/* A path of an archive without the "./", "opt/kontain/" or "/" at its end that releases have around it; points into
 * the buffer that it was copied to. NULL when it is the archive's own top folder. */
const char *kt_layout_strip(char *path);

/* Does the bundle take it: in a component's folder, or the self-test? */
bool kt_layout_takes(const char *path);
/* A folder that taken files lie in or below. */
bool kt_layout_enters(const char *folder);

#endif
