/* What a person who mistyped a word may have meant. */
#ifndef KT_CLI_NEAR_H
#define KT_CLI_NEAR_H

#include <stdbool.h>

/* At most two letters differ (put in, left out, exchanged with the next, another), and no more than a third of them. */
bool kt_is_near(const char *typed, const char *word);

#endif
