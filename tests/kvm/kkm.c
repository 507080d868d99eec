/* kt-node-kkm [-v VERSION] COMMAND [ARGUMENT...]
 *
 * Stands for Kontain's kernel module, which cannot be had here: COMMAND and all that it starts find that a device whose
 * name ends in "/kkm" or "/kontain" answers the module's question for its identity, and with -v that it speaks another
 * API version (negative: an errno). What lies behind the node is the caller's matter: a KVM, for one.
 *
 * By seccomp's user notification: it reaches static programs, and those whose environment is emptied, which a preloaded
 * library does not; and CUSE, which would be a device of its own, is not in every kernel. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define IDENTITY_ASK    _IO(KVMIO, 0xff)
#define IDENTITY_ANSWER 0x6b6b6d

static int fail(const char *what)
{
	fprintf(stderr, "kt-node-kkm: %s: %s\n", what, strerror(errno));
	return 125;
}

/* The two questions come to us, all else goes on. */
static int filter_install(void)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IDENTITY_ASK, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_GET_API_VERSION, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static bool ends_in(const char *text, const char *end)
{
	size_t length = strlen(text), tail = strlen(end);

	return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* By the name it was opened under, in whatever root that was. */
static bool is_ours(const struct seccomp_notif *call)
{
	char link[64], name[256] = "";

	(void)snprintf(link, sizeof(link), "/proc/%u/fd/%d", call->pid, (int)call->data.args[0]);
	(void)!readlink(link, name, sizeof(name) - 1);
	return ends_in(name, "/kkm") || ends_in(name, "/kontain");
}

static void answer(int listener, const int *version)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp response;

	memset(&call, 0, sizeof(call));
	/* ENOENT: whoever asked is gone */
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return;
	response = (struct seccomp_notif_resp){.id = call.id};
	if (!is_ours(&call))
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if ((unsigned)call.data.args[1] == IDENTITY_ASK)
		response.val = IDENTITY_ANSWER;
	else if (!version)
		response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	else if (*version < 0)
		response.error = *version;
	else
		response.val = *version;
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int main(int argc, char **argv)
{
	int version = 0, listener, status, first = 1;
	bool has_version = argc > 3 && strcmp(argv[1], "-v") == 0;
	pid_t child;

	if (has_version) {
		version = atoi(argv[2]);
		first = 3;
	}
	if (argc <= first)
		return errno = EINVAL, fail("no command");
	/* which is closed by exec, and for our own calls nobody has to ask */
	listener = filter_install();
	if (listener < 0)
		return fail("cannot install a filter");
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)execvp(argv[first], argv + first);
		_exit(fail(argv[first]));
	}
	if (child < 0)
		return fail("fork");

	int ended = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd polled[2] = {{.fd = listener, .events = POLLIN}, {.fd = ended, .events = POLLIN}};

	while (poll(polled, 2, -1) >= 0 || errno == EINTR) {
		if (polled[0].revents & POLLIN)
			answer(listener, has_version ? &version : NULL);
		else if (polled[1].revents)
			break;
	}
	if (waitpid(child, &status, 0) < 0)
		return fail("wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
