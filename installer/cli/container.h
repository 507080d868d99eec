/* What the agent of this container was started with, so that a person who is let into it need not say it again. */
#ifndef KT_CLI_CONTAINER_H
#define KT_CLI_CONTAINER_H

#include <stdbool.h>

#define KT_CONTAINER_WORDS_MAX 64

struct kt_container_agent {
	int argc;
	char *argv[KT_CONTAINER_WORDS_MAX + 1]; /* borrowed from text */
	char text[16384];
};

/* True when process 1 is this program and runs as the agent; argv is its command line then. */
bool kt_container_agent(struct kt_container_agent *ret_agent);

#endif
