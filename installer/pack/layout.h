/* Where a path of a release or a tree belongs in a bundle. Pure. */
#ifndef KT_PACK_LAYOUT_H
#define KT_PACK_LAYOUT_H

#include <stdbool.h>

#define KT_PACK_SELF_TEST "tests/hello_test.km" /* what releases bring to be run as a test */

/* A path of an archive without the "./" and "/" around it; points into the buffer that it was copied to. NULL when it
 * is the archive's own top folder. */
const char *kt_layout_strip(char *path);

/* Does it lie in a component's folder, or is it one? */
bool kt_layout_in_component(const char *path);
/* Does the bundle take it: in a component's folder, the releases' self-test, or another (a path or NULL)? */
bool kt_layout_takes(const char *path, const char *self_test);
/* A folder that taken files may lie in or below. */
bool kt_layout_enters(const char *folder, const char *self_test);

#endif
