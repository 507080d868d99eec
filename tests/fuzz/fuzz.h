/* What the fuzz targets share. A target is one function that takes any bytes; libFuzzer calls it with what it makes up,
 * replay.c with what files hold. It goes through the door that the program itself uses, and asks for more than that
 * nothing crashes: what a target requires is named where it is required. */
#ifndef KONTAIN_TESTS_FUZZ_H
#define KONTAIN_TESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"

/* libFuzzer's own names (llvm.org/docs/LibFuzzer.html). A target may have the second. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
/* What a mutator (mutate/) defines and calls. */
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t most, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t size, size_t most);

/* A promise: where it is broken, the run ends with its words. No build leaves it out. */
#define FUZZ_REQUIRE(held) fuzz_require((held), __FILE__, __LINE__, #held)
void fuzz_require(bool held, const char *file, int line, const char *words);

/* How many inputs were taken and not refused: a corpus of refusals alone has gone stale. */
extern size_t fuzz_taken;

/* How a refusal must look: -code, a reason that the table has, and a text. */
void fuzz_check_refusal(int r, const struct kt_error *err);

/* The two strings are there and the same. */
bool fuzz_is_same(const char *one, const char *two);
/* The code point at text, -1 for what is no UTF-8; *ret_size bytes were looked at. */
long fuzz_code_point(const char *text, size_t *ret_size);
/* UTF-8 without control characters of ASCII; the second: without those of U+0080..9f too. */
bool fuzz_is_one_line(const char *text);
bool fuzz_is_visible(const char *text);
/* As a bundle may hold it: relative, below KT_MANIFEST_PATH_MAX bytes, no empty, "." or ".." part, visible. */
bool fuzz_is_good_path(const char *path);
/* Where does the link at `path` lead by its words alone: does it ever climb above the tree? */
bool fuzz_is_leaving(const char *path, const char *target);
/* What a link of that component may say: visible, short, to its own tree or to /opt/kontain; km's to its tools too. */
bool fuzz_is_good_link(const char *component, const char *path, const char *target);
/* Is this a name that no file of that component may have? */
bool fuzz_is_reserved(const char *component, const char *path);

/* A folder of this process alone, in memory where there is /dev/shm; $FUZZ_SPACE says another. Removed at exit. */
const char *fuzz_space(void);
/* An owned descriptor of an unnamed file with these bytes. */
int fuzz_file(const void *bytes, size_t size);

#endif
