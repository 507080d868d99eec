/* The tree that is linked against, as it lies on the disk: runtime/, lib/ and alpine-lib/ of a store or a bundle. */
#ifndef KT_CC_TREE_H
#define KT_CC_TREE_H

#include "request.h"

struct kt_cc_tree {
	char gcc[512]; /* gcc's own folder below alpine-lib ("usr/lib/gcc/TRIPLE/VERSION"); "": there is none */
};

/* Everything that this link takes from the tree can be read; the first that cannot is named. Looks for gcc's folder. */
int kt_cc_tree_look(const struct kt_cc_request *request, struct kt_cc_tree *ret_tree, struct kt_error *err);

/* A compiler of the PATH: gcc, else clang, or what KONTAIN_CC (KONTAIN_CXX) names. */
int kt_cc_find_compiler(const struct kt_cc_request *request, char *ret_path, size_t size, struct kt_error *err);

#endif
