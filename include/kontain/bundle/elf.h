/* The ELF contract of a bundle (x86-64 only). The reader takes bytes; the contract walks a tree. */
#ifndef KONTAIN_ELF_H
#define KONTAIN_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"
#include "kontain/contract/manifest.h"

#define KT_ELF_NEEDED_MAX 64

/* What a file says of itself; strings point into the bytes (borrowed). Of an object file (ET_REL) the type alone. */
struct kt_elf {
	uint16_t type;           /* ET_REL 1, ET_EXEC 2, ET_DYN 3, ET_CORE 4 (elf(5)) */
	bool is_executable_dyn;  /* ET_DYN with an entry point */
	const char *interpreter; /* PT_INTERP or NULL */
	const char *runpath;     /* DT_RUNPATH, else DT_RPATH, or NULL */
	const char *soname;      /* DT_SONAME or NULL */
	size_t needed_count;
	const char *needed[KT_ELF_NEEDED_MAX];
};

bool kt_elf_is_elf(const void *bytes, size_t size);
/* ElfInvalid names what is wrong; ArchMismatch for another machine or class. */
int kt_elf_read(const void *bytes, size_t size, struct kt_elf *ret_elf, struct kt_error *err);

/* A separate debug file: its sections say that nothing of what would be loaded is in it. Most do not read as ELF files
 * that can be loaded, which is what kt_elf_read holds them to. */
bool kt_elf_is_debug(const void *bytes, size_t size);

/* Told of each finding that does not stop a landing. */
typedef void kt_elf_finding(void *context, const char *path, const char *text);

/* Checks the tree of a set before it may become current. `component_fd[i]` is a directory descriptor of
 * manifest->components[i]'s files, or -1 for one that need not be read again: then it only serves the others' lookups.
 * Errors stop (ElfInvalid, ArchMismatch, names file and entry); findings are reported; strict makes findings errors.
 * found may be NULL. */
int kt_elf_check(const struct kt_manifest *manifest, const int component_fd[], bool strict, kt_elf_finding *found,
		 void *context, struct kt_error *err);

/* A digest of all that a file's contract depends on beside its own bytes: which paths the set has and where its links
 * lead. A component that kept the contract keeps it for as long as this and its own digest are the same. -ENOMEM. */
int kt_elf_surroundings(const struct kt_manifest *manifest, char ret_hex[KT_DIGEST_HEX]);

#endif
