/* What guards the kernel of this host: facts to show, on which no verdict depends. */
#ifndef KT_NODE_SECURITY_H
#define KT_NODE_SECURITY_H

#include <stdbool.h>
#include <stddef.h>

#define KT_SECURITY_MAX 16

/* enforcing, permissive, disabled (the kernel has SELinux, and no policy is at work), absent, unknown. */
void kt_selinux_read(const char *host, char ret_word[KT_SECURITY_MAX]);
/* none, integrity, confidentiality, absent (the kernel has no lockdown), unknown (it cannot be seen from here). */
void kt_lockdown_read(const char *host, char ret_word[KT_SECURITY_MAX]);

/* The text of selinuxfs' enforce, NULL when there is none; is_known: /proc/filesystems lists selinuxfs. Pure. */
const char *kt_selinux_word(const char *enforce, bool is_known);

#endif
