/* What a bundle may be, in one place. The pod's installer container has 256Mi (manifests/base/daemonset.yaml), and a
 * landing child holds one bundle's lists at once:
 *   32 MiB of lists, 5 MiB of structs and order (52 bytes a file), and one list printed again: 70 MiB at the very
 * worst, beside the agent's and runner's few. tests/store/memory lands a bundle of 100,000 files in a cgroup of that
 * size. */
#ifndef KONTAIN_LIMITS_H
#define KONTAIN_LIMITS_H

/* kontain-bundle.json: seven components and a self-test's command line are some 2 KiB; jansson takes 100 bytes and more
 * of a value that takes three in the document. */
#define KT_MANIFEST_BYTES_MAX (64 * 1024)
/* Files and links of all components. A full alpine-lib has some 5,000. */
#define KT_MANIFEST_FILES_MAX 100000
/* All lists of a bundle together: 100,000 lines of a digest and a path of 230 bytes. */
#define KT_LISTS_BYTES_MAX (32 * 1024 * 1024)
/* Bytes of a path or of a link's target, NUL included: a quarter of PATH_MAX, so that any folder fits before it. */
#define KT_MANIFEST_PATH_MAX 1024
/* Of one file: far below where the sum over all files could overflow 64 bits. */
#define KT_FILE_BYTES_MAX (INT64_C(1) << 40)
/* A self-test's command line and its answer, which is one line. */
#define KT_SELF_TEST_ARGS_MAX 32
#define KT_SELF_TEST_TEXT_MAX 1024

#endif
