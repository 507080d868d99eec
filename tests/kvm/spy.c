/* Stands where km stands and tells what it may do there, or misbehaves, as the file `mode` of its set says: a word, and
 * a number and words where the mode wants them. What it tells is short: only km's last words are kept. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

extern char **environ;

static int compare(const struct dirent **one, const struct dirent **other)
{
	return strcmp((*one)->d_name, (*other)->d_name);
}

static void tell_folder(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, compare);

	for (int i = 0; i < count; i++)
		if (names[i]->d_name[0] != '.')
			fprintf(stderr, "%s,", names[i]->d_name);
}

/* Lines of /proc/self/status. */
static void tell_status(const char *key)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, key, strlen(key)) == 0)
			fprintf(stderr, "%s ", line + strlen(key) + strspn(line + strlen(key), ":\t "));
	if (file)
		fclose(file);
}

/* Only what is open already: the folder's own descriptor is not counted. */
static void tell_descriptors(void)
{
	for (int fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			fprintf(stderr, "%d,", fd);
}

static int mode_identity(int number)
{
	(void)number;
	fprintf(stderr, "uid %d:%d gid %d:%d groups %d ppid %d dumb %d caps ", getuid(), geteuid(), getgid(), getegid(),
		getgroups(0, NULL), getppid(), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	tell_status("CapPrm");
	tell_status("CapBnd");
	return 1;
}

/* Of the rest of its rights: what exec could give back, and whether a filter came along. */
static int mode_rights(int number)
{
	(void)number;
	fprintf(stderr, "caps ");
	tell_status("CapInh");
	tell_status("CapEff");
	tell_status("CapAmb");
	fprintf(stderr, "seccomp ");
	tell_status("Seccomp:");
	fprintf(stderr, "sockets %s%s%s", socket(AF_INET, SOCK_STREAM, 0) >= 0 ? "inet," : "",
		socket(AF_NETLINK, SOCK_RAW, 0) >= 0 ? "netlink," : "",
		socket(AF_PACKET, SOCK_RAW, 0) >= 0 ? "packet," : "");
	return 1;
}

static int mode_surroundings(int number)
{
	(void)number;
	fprintf(stderr, "root ");
	tell_folder("/");
	fprintf(stderr, " dev ");
	tell_folder("/dev");
	fprintf(stderr, " fds ");
	tell_descriptors();
	fprintf(stderr, " env ");
	for (char **one = environ; *one; one++)
		fprintf(stderr, "%.*s,", (int)strcspn(*one, "="), *one);
	fprintf(stderr, " net ");
	tell_folder("/proc/self/net/dev_snmp6");
	return 1;
}

static int mode_limits(int number)
{
	static const struct {
		int resource;
		const char *name;
	} rows[] = {
		{RLIMIT_CORE, "core"}, {RLIMIT_NOFILE, "files"}, {RLIMIT_STACK, "stack"},     {RLIMIT_AS, "space"},
		{RLIMIT_DATA, "data"}, {RLIMIT_FSIZE, "file"},   {RLIMIT_NPROC, "processes"}, {RLIMIT_CPU, "time"},
	};

	(void)number;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rlimit limit = {0, 0};

		getrlimit(rows[i].resource, &limit);
		if (limit.rlim_cur == RLIM_INFINITY)
			fprintf(stderr, "%s none, ", rows[i].name);
		else
			fprintf(stderr, "%s %lu, ", rows[i].name, (unsigned long)limit.rlim_cur);
	}
	return 1;
}

static int mode_store(int number)
{
	char target[64] = "";

	(void)number;
	fprintf(stderr, "store ");
	tell_folder("/opt/kontain");
	(void)!readlink("/opt/kontain/current", target, sizeof(target) - 1);
	fprintf(stderr, " current %s versions ", target);
	tell_folder("/opt/kontain/versions/km");
	return 1;
}

static void attempt(const char *what, int has_worked)
{
	if (has_worked)
		fprintf(stderr, "COULD %s ", what);
}

/* Each of these must fail. */
static int mode_escape(int number)
{
	(void)number;
	attempt("mount", mount("x", "/tmp", "tmpfs", 0, NULL) == 0);
	attempt("remount", mount(NULL, "/opt/kontain/versions", NULL, MS_REMOUNT | MS_BIND, NULL) == 0);
	attempt("umount", umount2("/proc", MNT_DETACH) == 0);
	attempt("mknod", mknod("/tmp/sda", S_IFBLK | 0666, makedev(8, 0)) == 0);
	attempt("setuid", setuid(0) == 0);
	attempt("chroot", chroot("/tmp") == 0);
	attempt("write km", open("/opt/kontain/bin/km", O_WRONLY) >= 0);
	attempt("make a file in the store", open("/opt/kontain/versions/x", O_WRONLY | O_CREAT, 0600) >= 0);
	attempt("make a file in /", open("/x", O_WRONLY | O_CREAT, 0600) >= 0);
	attempt("make a file in /dev", open("/dev/x", O_WRONLY | O_CREAT, 0600) >= 0);
	attempt("kill init", kill(1, SIGKILL) == 0);
	attempt("kill all", kill(-1, SIGKILL) == 0);
	attempt("trace init", ptrace(PTRACE_SEIZE, 1, NULL, NULL) == 0);
	attempt("read init's memory", open("/proc/1/mem", O_RDONLY) >= 0);
	attempt("see init's root", open("/proc/1/root/etc", O_RDONLY) >= 0);
	attempt("join its parent's mounts", open("/proc/1/ns/mnt", O_RDONLY) >= 0);
	fprintf(stderr, "tried all ");
	attempt("nothing: /tmp is open", open("/tmp/x", O_WRONLY | O_CREAT, 0600) < 0);
	attempt("nothing: the KVM node is open", open("/dev/kvm", O_RDWR) < 0);
	attempt("nothing: /dev/null is open", open("/dev/null", O_RDWR) < 0);
	return 1;
}

/* Leaves a process that left the group and the session, and holds the pipes. */
static int mode_daemon(int number)
{
	(void)number;
	if (fork() == 0) {
		setsid();
		if (fork() == 0)
			for (;;)
				pause();
		_exit(0);
	}
	usleep(50000);
	return 42;
}

__attribute__((noreturn)) static int mode_flood(int number)
{
	char block[4096];

	(void)number;
	memset(block, 'x', sizeof(block));
	for (;;) {
		(void)!write(1, block, sizeof(block));
		(void)!write(2, block, sizeof(block));
	}
}

__attribute__((noreturn)) static int mode_stubborn(int number)
{
	sigset_t all;

	(void)number;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	for (;;)
		pause();
}

/* As km ends: its words on stderr, the last lines of which count. */
static int mode_exit(int number)
{
	fprintf(stderr, "spy: starts\nspy: ends with %d\n\n", number);
	return number;
}

static int mode_signal(int number)
{
	fprintf(stderr, "spy: ends by signal %d\n", number);
	raise(number);
	return 0;
}

/* What is no text, with the payload's own status. */
static int mode_binary(int number)
{
	static const char bytes[] = "\x7f"
				    "ELF\0\1\2\xff\xfe\033[2J";

	(void)number;
	(void)!write(1, bytes, sizeof(bytes));
	(void)!write(2, bytes, sizeof(bytes));
	return 42;
}

/* The right status and far more than a line: that many blocks of 4 KiB. */
static int mode_babble(int number)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	for (int i = 0; i < number; i++)
		(void)!write(1, block, sizeof(block));
	fprintf(stderr, "spy: said it all\n");
	return 42;
}

static int claim(const char *payload, const char *suffix)
{
	struct utsname names;

	uname(&names);
	printf("kontain-proof %s %s%s\n", payload, names.release, suffix);
	return 42;
}

/* The payload's line by heart, with a suffix that no km has. */
static int mode_claim(int number)
{
	(void)number;
	return claim("integer", ".kontain.XXX");
}

/* Which program of the proof this is: 1 and 2 built in, 3 built in and dynamic, 4 the bundle's own. The second is
 * the one with rdtscp, an instruction, as a compiler may take its words apart; the third names an interpreter. */
static int program_number(void)
{
	static const char rdtscp[] = {'\x0f', '\x01', '\xf9'}, interpreter[] = "/opt/kontain/runtime/libc.so";
	static char bytes[64 * 1024];
	int fd = open("/payload", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? 0 : read(fd, bytes, sizeof(bytes));

	if (fd < 0)
		return 4;
	close(fd);
	if (memmem(bytes, (size_t)size, interpreter, sizeof(interpreter) - 1))
		return 3;
	return memmem(bytes, (size_t)size, rdtscp, sizeof(rdtscp)) ? 2 : 1;
}

static char words[160]; /* behind the number */

/* As km ends: its words on stderr, at once, and that status. */
static int mode_say(int number)
{
	fprintf(stderr, "spy: starts %s\n", words);
	return number;
}

/* Claims of each program before that one that it ran; at that one does what the words say: "say 1 oh dear", or "9", a
 * signal. */
static int program_at(int at, int number)
{
	static const char *const names[] = {"", "integer", "sse2", "dynamic"};
	int program = program_number();
	char rest[sizeof(words)];

	if (program < at)
		return claim(names[program], ".kontain.KVM");
	if (sscanf(words, "say %d %159[^\n]", &number, rest) < 1)
		return mode_signal(number);
	if (sscanf(words, "say %d %159[^\n]", &number, rest) == 1)
		rest[0] = '\0';
	strcpy(words, rest);
	return mode_say(number);
}

static int mode_second(int number)
{
	return program_at(2, number);
}

static int mode_third(int number)
{
	return program_at(3, number);
}

static int mode_own(int number)
{
	return program_at(4, number);
}

static const struct {
	const char *name;
	int (*run)(int number);
} modes[] = {
	{"identity", mode_identity}, {"rights", mode_rights}, {"surroundings", mode_surroundings},
	{"limits", mode_limits},     {"store", mode_store},   {"escape", mode_escape},
	{"daemon", mode_daemon},     {"flood", mode_flood},   {"stubborn", mode_stubborn},
	{"exit", mode_exit},         {"signal", mode_signal}, {"binary", mode_binary},
	{"babble", mode_babble},     {"claim", mode_claim},   {"say", mode_say},
	{"second", mode_second},     {"third", mode_third},   {"own", mode_own},
};

/* Beside the set's folders, or beside km where a bundle brought it. */
static void mode_read(char *mode, size_t size)
{
	static const char *const places[] = {"/opt/kontain/current/mode", "/opt/kontain/bin/mode"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int fd = open(places[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			continue;
		(void)!read(fd, mode, size - 1);
		close(fd);
		return;
	}
}

int main(void)
{
	char mode[192] = "", name[32] = "";
	int number = 0;

	mode_read(mode, sizeof(mode));
	if (sscanf(mode, "%31s %d %159[^\n]", name, &number, words) < 2)
		(void)sscanf(mode, "%31s %159[^\n]", name, words);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (strcmp(modes[i].name, name) == 0)
			return modes[i].run(number);
	fprintf(stderr, "spy: no mode \"%s\"\n", name);
	return 3;
}
