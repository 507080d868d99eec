/* kt-uname RELEASE COMMAND [ARGUMENT...]
 *
 * COMMAND and its children are told by uname(2) that the kernel's release is RELEASE: a kernel that is too old, or one
 * with a long name. Up to 64 characters, as the kernel's field has room for. The exit status is the command's.
 *
 * By seccomp's user notification: it reaches static programs, and those whose environment is emptied or whose root is
 * another, which a preloaded library does not; and no name space has a release of its own. Static, as it also runs in
 * guests that have no libc. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char *what)
{
	fprintf(stderr, "kt-uname: %s: %s\n", what, strerror(errno));
	return 125;
}

/* uname comes to us, all else goes on. */
static int filter_install(void)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 2),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_uname, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	/* not root: a filter only for those who gain no rights */
	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
}

static void answer(int listener, struct utsname *names)
{
	struct seccomp_notif call;
	struct seccomp_notif_resp response;
	struct iovec here = {names, sizeof(*names)}, there = {NULL, sizeof(*names)};

	memset(&call, 0, sizeof(call));
	/* ENOENT: whoever asked is gone */
	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) < 0)
		return;
	response = (struct seccomp_notif_resp){.id = call.id};
	there.iov_base = (void *)(uintptr_t)call.data.args[0];
	if (process_vm_writev((pid_t)call.pid, &here, 1, &there, 1, 0) != (ssize_t)sizeof(*names))
		response.error = -EFAULT;
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

int main(int argc, char **argv)
{
	int listener, status;
	struct utsname names;
	pid_t child;

	if (argc < 3 || uname(&names) < 0 || strlen(argv[1]) >= sizeof(names.release)) {
		fprintf(stderr, "usage: kt-uname RELEASE COMMAND [ARGUMENT...], RELEASE of up to 64 characters\n");
		return 125;
	}
	/* the kernel's own ends in zeros */
	memset(names.release, 0, sizeof(names.release));
	memcpy(names.release, argv[1], strlen(argv[1]));
	listener = filter_install();
	if (listener < 0)
		return fail("cannot install a filter");
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(listener);
		(void)execvp(argv[2], argv + 2);
		_exit(fail(argv[2]));
	}
	if (child < 0)
		return fail("fork");

	int ended = (int)syscall(SYS_pidfd_open, child, 0);
	struct pollfd polled[2] = {{.fd = listener, .events = POLLIN}, {.fd = ended, .events = POLLIN}};

	while (poll(polled, 2, -1) >= 0 || errno == EINTR) {
		if (polled[0].revents & POLLIN)
			answer(listener, &names);
		else if (polled[1].revents)
			break;
	}
	if (waitpid(child, &status, 0) < 0)
		return fail("wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
