/* A payload: a static x86-64 ELF, loaded into a guest with the first stack of the System V ABI. */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include "guest.h"

/* Both: 0, or the exit code after a message that names the path. */

/* Reads a whole file; the bytes are owned by the caller (free). */
int payload_read(const char *path, uint8_t **ret_bytes, size_t *ret_size);
/* Loads the bytes of an ELF and builds its stack. */
int payload_load(const char *path, const uint8_t *bytes, size_t size, char **argv, char **envp,
		 const struct guest *guest, uint64_t *ret_entry, uint64_t *ret_stack);

#endif
