/* The compiler's command, made of what is asked for. Pure. */
#ifndef KT_CC_COMMAND_H
#define KT_CC_COMMAND_H

#include "tree.h"

struct kt_cc_command {
	char **words; /* owned, NULL-terminated */
	size_t count;
	size_t room;
};

/* compiler becomes the first word. -ENOMEM. */
int kt_cc_command_make(const struct kt_cc_request *request, const struct kt_cc_tree *tree, const char *compiler,
		       struct kt_cc_command *ret_command, struct kt_error *err);
void kt_cc_command_done(struct kt_cc_command *command); /* for KT_OWN */

/* An owned text that a shell reads back as these words; NULL when memory is gone. */
char *kt_cc_command_print(const struct kt_cc_command *command);

#endif
