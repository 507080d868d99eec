/* links: kt_base */
/* On a kernel without Landlock every row is skipped: what is tested is what the kernel then refuses. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "kontain/base/landlock.h"
#include "kontain/base/own.h"

/* Not below /tmp, where a sanitizer may write. */
static char root[] = "/var/tmp/kt-landlock-XXXXXX";

static const char *in_root(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", root, name);
	return path;
}

static int opens(const char *path, int flags)
{
	KT_OWN(kt_close_fd) int fd = open(path, flags | O_CLOEXEC, 0644);

	return fd < 0 ? errno : 0;
}

static int renames(const char *from, const char *to)
{
	char old[128];

	snprintf(old, sizeof(old), "%s", in_root(from));
	return rename(old, in_root(to)) < 0 ? errno : 0;
}

#define EXPECT(what, wanted)                                                                                    \
	do {                                                                                                    \
		int got_ = (what);                                                                              \
		if (got_ != (wanted)) {                                                                         \
			fprintf(stderr, "%s: %s, and should be %s\n", #what, strerror(got_), strerror(wanted)); \
			return 1;                                                                               \
		}                                                                                               \
	} while (0)

static int confine(struct kt_landlock *set)
{
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || kt_landlock_enforce(set, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return 1;
	}
	return 0;
}

static int files_in_child(void)
{
	KT_OWN(kt_landlock_done) struct kt_landlock set = {.ruleset = -1};
	struct kt_error err = {.reason = KT_REASON_NONE};

	if (kt_landlock_begin(KT_LANDLOCK_FILES, &set, &err) < 0 ||
	    kt_landlock_allow(&set, in_root("read"), KT_LANDLOCK_READ, &err) < 0 ||
	    kt_landlock_allow(&set, in_root("one"), KT_LANDLOCK_READ, &err) < 0 ||
	    kt_landlock_allow(&set, in_root("none"), KT_LANDLOCK_READ, &err) < 0 ||
	    kt_landlock_allow(&set, in_root("write"), KT_LANDLOCK_WRITE, &err) < 0 ||
	    kt_landlock_allow_or_above(&set, in_root("above/later/still"), KT_LANDLOCK_READ, &err) < 0 ||
	    kt_landlock_allow(&set, "/dev/zero", KT_LANDLOCK_DEVICE, &err) < 0 || confine(&set))
		return 1;
	EXPECT(opens(in_root("read/file"), O_RDONLY), 0);
	EXPECT(opens(in_root("read"), O_RDONLY | O_DIRECTORY), 0);
	EXPECT(opens(in_root("read/file"), O_WRONLY), EACCES);
	EXPECT(opens(in_root("read/new"), O_WRONLY | O_CREAT), EACCES);
	EXPECT(unlink(in_root("read/file")) < 0 ? errno : 0, EACCES);
	EXPECT(opens(in_root("one"), O_RDONLY), 0);
	EXPECT(opens(in_root("other"), O_RDONLY), EACCES);
	EXPECT(opens(in_root("."), O_RDONLY | O_DIRECTORY), EACCES);
	EXPECT(opens("/etc/passwd", O_RDONLY), EACCES);
	EXPECT(opens("/etc/passwd", O_PATH), 0); /* names it, and can do nothing with it */
	EXPECT(opens(in_root("read/../other"), O_RDONLY), EACCES);
	EXPECT(opens(in_root("read/link"), O_RDONLY), EACCES); /* a link out of what is allowed */
	EXPECT(opens(in_root("write/new"), O_RDWR | O_CREAT | O_EXCL), 0);
	EXPECT(opens(in_root("write/new"), O_WRONLY | O_TRUNC), 0);
	EXPECT(renames("write/new", "write/newer"), 0);
	EXPECT(renames("write/newer", "read/newer"), EACCES);
	EXPECT(unlink(in_root("write/newer")) < 0 ? errno : 0, 0);
	EXPECT(mkdir(in_root("write/folder"), 0755) < 0 ? errno : 0, EACCES);
	EXPECT(mknod(in_root("write/device"), S_IFCHR | 0600, 0) < 0 ? errno : 0, EACCES);
	EXPECT(symlink("x", in_root("write/link")) < 0 ? errno : 0, EACCES);
	EXPECT(opens(in_root("above/file"), O_RDONLY), 0);
	EXPECT(opens("/dev/zero", O_RDWR), 0);
	EXPECT(opens("/dev/null", O_RDWR), EACCES);
	EXPECT(mount("kt-test", in_root("write"), "tmpfs", 0, NULL) < 0 ? errno : 0, EPERM);
	execl("/bin/true", "true", NULL);
	EXPECT(errno, EACCES);
	return 0;
}

/* 0: as it should be; a port that is free, by the kernel's choice. */
static int tcp_in_child(void)
{
	KT_OWN(kt_landlock_done) struct kt_landlock set = {.ruleset = -1};
	KT_OWN(kt_close_fd) int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	KT_OWN(kt_close_fd) int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	KT_OWN(kt_close_fd) int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	KT_OWN(kt_close_fd) int binder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			   second = address;
	socklen_t size = sizeof(address);

	if (bind(server, (void *)&address, size) < 0 || listen(server, 1) < 0 ||
	    getsockname(server, (void *)&address, &size) < 0 || bind(other, (void *)&second, size) < 0 ||
	    listen(other, 1) < 0 || getsockname(other, (void *)&second, &size) < 0)
		return 1;
	if (kt_landlock_begin(KT_LANDLOCK_TCP | KT_LANDLOCK_SIGNALS, &set, KT_ERROR_IGNORED) < 0 ||
	    kt_landlock_allow_connect(&set, ntohs(address.sin_port), KT_ERROR_IGNORED) < 0 ||
	    kt_landlock_allow_bind(&set, 0, KT_ERROR_IGNORED) < 0 || confine(&set))
		return 1;
	if (set.abi < 4)
		return 77;
	EXPECT(connect(client, (void *)&second, size) < 0 ? errno : 0, EACCES);
	EXPECT(connect(client, (void *)&address, size) < 0 ? errno : 0, 0);
	second.sin_port = htons(8081);
	EXPECT(bind(binder, (void *)&second, size) < 0 ? errno : 0, EACCES);
	second.sin_port = 0;
	EXPECT(bind(binder, (void *)&second, size) < 0 ? errno : 0, 0);
	EXPECT(opens("/etc/passwd", O_RDONLY), 0); /* not asked about */
	if (set.abi >= 6)
		EXPECT(kill(getppid(), 0) < 0 ? errno : 0, EPERM);
	return 0;
}

static void run(int (*in_child)(void))
{
	KT_OWN(kt_landlock_done) struct kt_landlock set = {.ruleset = -1};
	int status = 0;
	pid_t pid;

	assert_int_equal(kt_landlock_begin(KT_LANDLOCK_FILES, &set, KT_ERROR_IGNORED), 0);
	if (set.ruleset < 0) {
		print_message("%s\n", set.text);
		skip();
	}
	assert_int_equal(strncmp(set.text, "ABI ", 4), 0);
	pid = fork();
	if (pid == 0)
		_exit(in_child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_files(void **state)
{
	(void)state;
	run(files_in_child);
}

static void test_tcp(void **state)
{
	(void)state;
	run(tcp_in_child);
}

/* A set of a kernel that has none: nothing is asked of it, nothing fails. */
static void test_none(void **state)
{
	struct kt_landlock none = {.ruleset = -1, .text = "none here"};

	(void)state;
	assert_int_equal(kt_landlock_allow(&none, "/", KT_LANDLOCK_READ, KT_ERROR_IGNORED), 0);
	assert_int_equal(kt_landlock_allow_or_above(&none, "/no/such", KT_LANDLOCK_READ, KT_ERROR_IGNORED), 0);
	assert_int_equal(kt_landlock_allow_bind(&none, 80, KT_ERROR_IGNORED), 0);
	assert_int_equal(kt_landlock_enforce(&none, KT_ERROR_IGNORED), 0);
	kt_landlock_done(&none);
}

static int make_root(void **state)
{
	static const char *const files[] = {"read/file", "one", "other", "above/file"};
	static const char *const folders[] = {"read", "write", "above"};

	(void)state;
	if (!mkdtemp(root))
		return -1;
	for (size_t i = 0; i < 3; i++)
		if (mkdir(in_root(folders[i]), 0755) < 0)
			return -1;
	for (size_t i = 0; i < 4; i++)
		if (opens(in_root(files[i]), O_WRONLY | O_CREAT))
			return -1;
	return symlink("../other", in_root("read/link"));
}

static int remove_root(void **state)
{
	static const char *const names[] = {"read/file",  "read/link", "one",   "other",
					    "above/file", "read",      "write", "above"};
	int r = 0;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		r |= remove(in_root(names[i]));
	return r | rmdir(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
