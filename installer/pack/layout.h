/* Where a path of a release or a tree belongs in a bundle. Pure. */
#ifndef KT_PACK_LAYOUT_H
#define KT_PACK_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

/* What a source is. */
enum kt_layout {
	KT_LAYOUT_RELEASE, /* bin/, runtime/ ...: as a bundle has them */
	KT_LAYOUT_ROOT,    /* an Alpine root: its lib and usr/lib become alpine-lib/ */
	KT_LAYOUT_IMAGE,   /* an image archive, OCI's or docker's: its documents and layers, as they are */
};

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

/* Of an Alpine root: does alpine-lib take it; may what it takes lie in or below a folder? */
bool kt_layout_root_takes(const char *path);
bool kt_layout_root_enters(const char *folder);
/* Where a link of a root leads, seen from alpine-lib/: an absolute target below /lib or /usr/lib becomes relative.
 * Returns target, or ret_target. */
const char *kt_layout_root_target(const char *path, const char *target, char *ret_target, size_t size);
/* Of an image archive: the documents that say what its layers are, and the layers. */
bool kt_layout_image_takes(const char *path);

#endif
