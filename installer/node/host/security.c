/* SELinux says "1" or "0" in a file system of its own, which a kernel that was started without SELinux does not have.
 * Lockdown's file is in securityfs, beside the list of security modules that every securityfs has. */
#include "security.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../kvm/refusal.h"
#include "kontain/base/proc.h"

#define FILESYSTEMS_MAX 4096

const char *kt_selinux_word(const char *enforce, bool is_known)
{
	if (!enforce)
		return is_known ? "disabled" : "absent";
	return strcmp(enforce, "1") == 0 ? "enforcing" : strcmp(enforce, "0") == 0 ? "permissive" : "unknown";
}

void kt_selinux_read(const char *host, char ret_word[KT_SECURITY_MAX])
{
	char enforce[8], filesystems[FILESYSTEMS_MAX];
	const char *word = "unknown";

	if (kt_sys_read(host, "fs/selinux/enforce", enforce, sizeof(enforce)) >= 0)
		word = kt_selinux_word(enforce, true);
	else if (kt_proc_read(host, "filesystems", filesystems, sizeof(filesystems)) >= 0)
		word = kt_selinux_word(NULL, strstr(filesystems, "selinuxfs"));
	(void)snprintf(ret_word, KT_SECURITY_MAX, "%s", word);
}

void kt_lockdown_read(const char *host, char ret_word[KT_SECURITY_MAX])
{
	char text[64];
	int r = kt_sys_read(host, "kernel/security/lockdown", text, sizeof(text));

	ret_word[0] = '\0';
	if (r >= 0)
		kt_refusal_lockdown_parse(text, ret_word, KT_SECURITY_MAX);
	else if (r == -ENOENT && kt_sys_read(host, "kernel/security/lsm", text, sizeof(text)) >= 0)
		(void)snprintf(ret_word, KT_SECURITY_MAX, "absent");
	if (ret_word[0] == '\0')
		(void)snprintf(ret_word, KT_SECURITY_MAX, "unknown");
}
