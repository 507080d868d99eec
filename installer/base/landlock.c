/* By system calls: the C library has no wrappers, and headers of older kernels lack the later rights, so that their
 * numbers stand here (Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h of Linux 6.12). */
#include "kontain/base/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kontain/base/own.h"

#define FS_ALL_OF_ABI_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define FS_REFER        (1ULL << 13) /* ABI 2 */
#define FS_TRUNCATE     (1ULL << 14) /* ABI 3 */
#define FS_IOCTL_DEVICE (1ULL << 15) /* ABI 5 */
#define NET_BIND        (1ULL << 0)  /* ABI 4 */
#define NET_CONNECT     (1ULL << 1)
#define NET_PORT_RULE   2
#define SCOPE_ABSTRACT  (1ULL << 0) /* ABI 6 */
#define SCOPE_SIGNAL    (1ULL << 1)

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | FS_TRUNCATE)
#define DEVICE (LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEVICE)
/* A rule for a file may not name what only a folder has. */
#define OF_A_FILE                                                                                                  \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | \
	 FS_IOCTL_DEVICE)

struct ruleset_attr {
	uint64_t files, tcp, scoped;
};

struct port_attr {
	uint64_t access, port;
};

static const uint64_t rights[] = {
	[KT_LANDLOCK_READ] = READ,
	[KT_LANDLOCK_WRITE] = READ | WRITE,
	[KT_LANDLOCK_DEVICE] = READ | DEVICE,
	[KT_LANDLOCK_SOCKETS] =
		LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_SOCK,
	[KT_LANDLOCK_NODES] =
		LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR,
};

static uint64_t files_of_abi(int abi)
{
	return FS_ALL_OF_ABI_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
	       (abi >= 5 ? FS_IOCTL_DEVICE : 0);
}

/* The kernel refuses what it does not know, and a longer attribute than its own unless the rest is zero. */
static int ruleset_make(int abi, unsigned scopes, struct kt_landlock *set)
{
	struct ruleset_attr attr = {
		.files = scopes & KT_LANDLOCK_FILES ? files_of_abi(abi) : 0,
		.tcp = scopes & KT_LANDLOCK_TCP && abi >= 4 ? NET_BIND | NET_CONNECT : 0,
		.scoped = scopes & KT_LANDLOCK_SIGNALS && abi >= 6 ? SCOPE_ABSTRACT | SCOPE_SIGNAL : 0,
	};

	set->files = attr.files;
	return (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
}

static int rule_add(struct kt_landlock *set, int fd, const char *path, uint64_t access, struct kt_error *err)
{
	struct landlock_path_beneath_attr attr = {.parent_fd = fd};
	struct stat info;

	if (fstat(fd, &info) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot look at %s", path);
	attr.allowed_access = access & set->files & (S_ISDIR(info.st_mode) ? ~0ULL : OF_A_FILE);
	if (syscall(SYS_landlock_add_rule, set->ruleset, LANDLOCK_RULE_PATH_BENEATH, &attr, 0) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot allow %s by Landlock", path);
	return 0;
}

/* The folder that holds path: "/a/b" -> "/a" -> "/". False above the root, and where a relative name ends. */
static bool go_up(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash || path[1] == '\0')
		return false;
	slash[slash == path] = '\0';
	return true;
}

static int allow(struct kt_landlock *set, const char *path, enum kt_landlock_right right, bool or_above,
		 struct kt_error *err)
{
	char place[PATH_MAX];
	int fd;

	if (set->ruleset < 0 || set->files == 0)
		return 0;
	if (snprintf(place, sizeof(place), "%s", path) >= (int)sizeof(place))
		return kt_fail(err, ENAMETOOLONG, KT_REASON_INTERNAL, "%.100s...: the path is too long", path);
	do {
		fd = open(place, O_PATH | O_CLOEXEC);
	} while (fd < 0 && or_above && go_up(place));
	if (fd < 0)
		return 0; /* nothing there: nothing is allowed */

	KT_OWN(kt_close_fd) int owned = fd;

	return rule_add(set, owned, place, rights[right], err);
}

int kt_landlock_abi(void)
{
	return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

int kt_landlock_begin(unsigned scopes, struct kt_landlock *ret_set, struct kt_error *err)
{
	struct kt_landlock set = {.ruleset = -1};
	int r = 0;

	set.abi = kt_landlock_abi();
	if (set.abi < 1) {
		/* EOPNOTSUPP: built in, and not in the kernel's lsm= list; EPERM: a runtime's filter that is older */
		(void)snprintf(set.text, sizeof(set.text), "none here: %s", strerror(errno));
		set.abi = 0;
		*ret_set = set;
		return 0;
	}
	set.ruleset = ruleset_make(set.abi, scopes, &set);
	if (set.ruleset < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot make a Landlock ruleset (ABI %d)",
				     set.abi);
	(void)snprintf(set.text, sizeof(set.text), "ABI %d", set.abi);
	for (size_t i = 0; i < kt_landlock_sanitizer_count && r == 0; i++)
		r = allow(&set, kt_landlock_sanitizer[i].path, kt_landlock_sanitizer[i].right, false, err);
	if (r == 0)
		*ret_set = set;
	else
		kt_close_fd(&set.ruleset);
	return r;
}

int kt_landlock_allow(struct kt_landlock *set, const char *path, enum kt_landlock_right right, struct kt_error *err)
{
	return allow(set, path, right, false, err);
}

int kt_landlock_allow_or_above(struct kt_landlock *set, const char *path, enum kt_landlock_right right,
			       struct kt_error *err)
{
	return allow(set, path, right, true, err);
}

static int allow_port(struct kt_landlock *set, uint64_t access, uint16_t port, struct kt_error *err)
{
	struct port_attr attr = {.access = access, .port = port};

	if (set->ruleset < 0 || set->abi < 4)
		return 0;
	if (syscall(SYS_landlock_add_rule, set->ruleset, NET_PORT_RULE, &attr, 0) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot allow port %u by Landlock", port);
	return 0;
}

int kt_landlock_allow_bind(struct kt_landlock *set, uint16_t port, struct kt_error *err)
{
	return allow_port(set, NET_BIND, port, err);
}

int kt_landlock_allow_connect(struct kt_landlock *set, uint16_t port, struct kt_error *err)
{
	return allow_port(set, NET_CONNECT, port, err);
}

int kt_landlock_enforce(struct kt_landlock *set, struct kt_error *err)
{
	if (set->ruleset < 0)
		return 0;
	if (syscall(SYS_landlock_restrict_self, set->ruleset, 0) < 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL, "cannot confine this process by Landlock");
	return 0;
}

void kt_landlock_done(struct kt_landlock *set)
{
	kt_close_fd(&set->ruleset);
}
