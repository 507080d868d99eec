/* As kontaind, in another way: no network at all, and a capability that it cannot do without. */
#include "confine.h"

#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kontain/base/filter.h"
#include "kontain/base/fs.h"
#include "kontain/base/own.h"
#include "kontain/base/privileges.h"
#include "plugin/device.h"

/* Misc devices, as KVM is one, and no disk and no memory. The number's parts lie in it as the kernel has them
 * (new_encode_dev in include/linux/kdev_t.h). */
#define MISC  0x00a00
#define MAJOR 0xfff00

/* Beside what every program does: UNIX sockets, and nodes and sockets in a folder. */
/* clang-format off */
static const struct kt_filter_rule plugged[] = {
	{.call = SYS_socket, .when = {KT_FILTER_IS(0, AF_UNIX)}},
	{.call = SYS_bind},	   {.call = SYS_listen},      {.call = SYS_accept4},	 {.call = SYS_connect},
	{.call = SYS_getsockopt},  {.call = SYS_sendto},
	{.call = SYS_mkdir},	   {.call = SYS_unlink},      {.call = SYS_unlinkat},
	{.call = SYS_rename},	   {.call = SYS_renameat},    {.call = SYS_renameat2},
	{.call = SYS_umask},
	{.call = SYS_mknodat, .when = {{KT_FILTER_MASK, 2, S_IFCHR, S_IFMT}, {KT_FILTER_MASK, 3, MISC, MAJOR}}},
};
/* clang-format on */

static const struct kt_filter_table plugged_table = KT_FILTER_TABLE(plugged);

static int allow_files(struct kt_landlock *set, const struct kt_plugin_needs *needs, struct kt_error *err)
{
	/* The libraries are loaded, and no other is. */
	static const char *const files[] = {
		"/etc/localtime", "/usr/share/zoneinfo", "/proc/sys/kernel/random/boot_id", "/proc/misc", "/dev/null",
	};
	char folder[PATH_MAX];
	int r;

	kt_fs_folder_of(needs->state, folder);
	/* It may come later than we do. */
	r = kt_landlock_allow_or_above(set, folder, KT_LANDLOCK_READ, err);
	if (r == 0)
		r = kt_landlock_allow(set, needs->kubelet_folder, KT_LANDLOCK_SOCKETS, err);
	if (r == 0)
		r = kt_landlock_allow(set, needs->device_folder, KT_LANDLOCK_NODES, err);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && r == 0; i++)
		r = kt_landlock_allow(set, files[i], KT_LANDLOCK_READ, err);
	return r;
}

int kt_plugin_confine(const struct kt_plugin_needs *needs, char ret_text[KT_LANDLOCK_TEXT_MAX], struct kt_error *err)
{
	const struct kt_filter_table *const tables[] = {&kt_filter_plain, &plugged_table, &kt_filter_sanitizer};
	KT_OWN(kt_landlock_done) struct kt_landlock set = {.ruleset = -1};
	int r;

	/* A rule needs what it names. */
	r = kt_device_make_folder(needs->device_folder, err);
	if (r < 0)
		return r;
	/* Without it, as on a host where nobody is root, nodes that are there already serve. */
	r = kt_privileges_keep(UINT64_C(1) << CAP_MKNOD, err);
	if (r == 0)
		r = kt_filter_allow_only(tables, sizeof(tables) / sizeof(tables[0]), err);
	if (r == 0)
		r = kt_landlock_begin(KT_LANDLOCK_FILES | KT_LANDLOCK_TCP | KT_LANDLOCK_SIGNALS, &set, err);
	if (r == 0)
		r = allow_files(&set, needs, err);
	if (r == 0)
		r = kt_landlock_enforce(&set, err);
	memcpy(ret_text, set.text, KT_LANDLOCK_TEXT_MAX);
	return r;
}
