/* What km wrote to stderr when it ended by itself. Pure. */
#ifndef KT_NODE_WORDS_H
#define KT_NODE_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "kontain/contract/reason.h"

/* km ends itself with 1, 2 or 3, each for many causes: only its words tell them apart. */
#define KT_KM_STATUS_FIRST 1
#define KT_KM_STATUS_LAST  3

struct kt_words {
	enum kt_reason reason; /* NONE: none of the words that we know */
	const char *meaning;   /* static; "" with NONE */
	bool is_emulation;     /* KVM could not emulate an instruction of the guest's */
	const char *line;      /* borrowed from the text, not NUL-terminated: the line that says it; NULL with NONE */
	size_t line_size;
};

void kt_words_read(const char *text, size_t size, struct kt_words *ret_words);

#endif
