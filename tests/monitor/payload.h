/* A payload: an x86-64 ELF and the interpreter that it names, loaded into a guest with the first stack of the System V
 * ABI. */
#ifndef PAYLOAD_H
#define PAYLOAD_H

#include "guest.h"

/* Both: 0, or the exit code after a message that names the path. */

/* Reads a whole file that begins as a payload does; the bytes are owned by the caller (free). */
int payload_read(const char *path, uint8_t **ret_bytes, size_t *ret_size);
/* Loads the bytes of an ELF, and its interpreter from the host's file of that name; builds its stack. */
int payload_load(const char *path, const uint8_t *bytes, size_t size, char **argv, char **envp, struct guest *guest,
		 uint64_t *ret_entry, uint64_t *ret_stack);

#endif
