/* In the pod the container's security context has done some of this already; on a host, and in a manifest that somebody
 * changed, nobody has. And a runtime's seccomp profile is for all of the world's programs: this one is for ours
 * alone. */
#include "confine.h"

#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kontain/base/filter.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/privileges.h"

#define TYPE_MASK 0xf /* of socket(2)'s second argument; flags are above */
#define NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define DNS_PORT 53

#define SOCKET(family, type)                                                                                  \
	{                                                                                                     \
		.call = SYS_socket, .when = { KT_FILTER_IS(0, family), {KT_FILTER_MASK, 1, type, TYPE_MASK} } \
	}

/* Beside what every program does: TCP and UDP, and the resolver's thread. No process, no program, no other family. */
/* clang-format off */
static const struct kt_filter_rule networked[] = {
	SOCKET(AF_INET, SOCK_STREAM),  SOCKET(AF_INET, SOCK_DGRAM),
	SOCKET(AF_INET6, SOCK_STREAM), SOCKET(AF_INET6, SOCK_DGRAM),
	/* getaddrinfo(3) asks which addresses the machine has */
	{.call = SYS_socket, .when = {KT_FILTER_IS(0, AF_NETLINK), KT_FILTER_IS(2, NETLINK_ROUTE)}},
	/* by which curl wakes itself */
	{.call = SYS_socketpair, .when = {KT_FILTER_IS(0, AF_UNIX)}},
	{.call = SYS_bind},	   {.call = SYS_listen},      {.call = SYS_accept},	 {.call = SYS_accept4},
	{.call = SYS_connect},	   {.call = SYS_shutdown},    {.call = SYS_getsockname}, {.call = SYS_getpeername},
	{.call = SYS_getsockopt},  {.call = SYS_setsockopt},  {.call = SYS_sendto},	 {.call = SYS_sendmsg},
	{.call = SYS_sendmmsg},	   {.call = SYS_recvfrom},    {.call = SYS_recvmsg},	 {.call = SYS_recvmmsg},
	{.call = SYS_clone, .when = {{KT_FILTER_MASK, 0, CLONE_THREAD, CLONE_THREAD | NAMESPACES}}},
	{.call = SYS_set_robust_list}, {.call = SYS_rseq},
	{.call = SYS_prctl, .when = {KT_FILTER_IS(0, PR_SET_NAME)}},
};
/* clang-format on */

static const struct kt_filter_table networked_table = KT_FILTER_TABLE(networked);

int kt_daemon_confine(struct kt_error *err)
{
	const struct kt_filter_table *const tables[] = {&kt_filter_plain, &networked_table, &kt_filter_sanitizer};
	int r = kt_privileges_keep(0, err);

	if (r < 0)
		return r;
	return kt_filter_allow_only(tables, sizeof(tables) / sizeof(tables[0]), err);
}

/* What the C library's resolver and its plug-ins read, and OpenSSL's configuration, where there is one. No folder of
 * secrets: each file of /etc by itself. */
static const char *const library_files[] = {
	"/etc/resolv.conf",
	"/etc/hosts",
	"/etc/nsswitch.conf",
	"/etc/host.conf",
	"/etc/gai.conf",
	"/etc/services",
	"/etc/ld.so.cache",
	"/etc/localtime",
	"/etc/ssl",
	"/usr/lib",
	"/lib",
	"/lib64",
	"/usr/lib64",
	"/usr/share/zoneinfo",
	"/proc/sys/kernel/random/boot_id", /* read once, at the start */
	"/dev/null",
};

static bool is_address(const char *host)
{
	return strchr(host, ':') || strspn(host, "0123456789.") == strlen(host);
}

static int allow_files(struct kt_landlock *set, const struct kt_daemon_needs *needs, struct kt_error *err)
{
	char folder[PATH_MAX];
	int r;

	kt_fs_folder_of(needs->state, folder);
	/* It may come later than we do. */
	r = kt_landlock_allow_or_above(set, folder, KT_LANDLOCK_READ, err);
	if (r == 0 && needs->credentials)
		r = kt_landlock_allow_or_above(set, needs->credentials, KT_LANDLOCK_READ, err);
	for (size_t i = 0; i < sizeof(library_files) / sizeof(library_files[0]) && r == 0; i++)
		r = kt_landlock_allow(set, library_files[i], KT_LANDLOCK_READ, err);
	return r;
}

static int allow_ports(struct kt_landlock *set, const struct kt_daemon_needs *needs, struct kt_error *err)
{
	int r = kt_landlock_allow_bind(set, needs->listen_port, err);

	if (r == 0 && needs->api_host)
		r = kt_landlock_allow_connect(set, needs->api_port, err);
	/* An answer too long for UDP. */
	if (r == 0 && needs->api_host && !is_address(needs->api_host))
		r = kt_landlock_allow_connect(set, DNS_PORT, err);
	return r;
}

int kt_daemon_confine_files(const struct kt_daemon_needs *needs, char ret_text[KT_LANDLOCK_TEXT_MAX],
			    struct kt_error *err)
{
	KT_OWN(kt_landlock_done) struct kt_landlock set = {.ruleset = -1};
	int r = kt_landlock_begin(KT_LANDLOCK_FILES | KT_LANDLOCK_TCP | KT_LANDLOCK_SIGNALS, &set, err);

	if (r == 0)
		r = allow_files(&set, needs, err);
	if (r == 0)
		r = allow_ports(&set, needs, err);
	if (r == 0)
		r = kt_landlock_enforce(&set, err);
	memcpy(ret_text, set.text, KT_LANDLOCK_TEXT_MAX);
	return r;
}
