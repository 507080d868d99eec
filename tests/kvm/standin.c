/* A stand-in for the KVMs that the test machine does not have: kt-kvm-standin RULE... -- PROGRAM ARGUMENT...
 *
 * Runs the program on the real /dev/kvm, and answers those of its ioctls (and its children's) that a rule names in
 * KVM's place. It does so by seccomp's user notification: a preloaded library would not reach a child, which has an
 * environment of its own, and a device of our own (CUSE) would have to be a whole KVM to let the other calls through.
 *
 *   IOCTL=13         returns this number          KVM_GET_API_VERSION=13
 *   IOCTL=EBUSY      fails so                     KVM_CREATE_VM=EBUSY
 *   IOCTL=hang       never comes back; a signal interrupts it
 *   IOCTL=stuck      never comes back; only SIGKILL ends it, for this rule and all others (Linux 5.19)
 *   IOCTL=kill       the caller is killed in it
 *   KVM_RUN=code:ebfe   the real KVM runs these instructions instead of the guest's own
 *   IOCTL:CAPABILITY=…  only for that argument    KVM_CHECK_EXTENSION:KVM_CAP_XCRS=0
 *   IOCTL#3=…           only the third time
 *   execve#2=EPERM   no ioctl: the second program that is executed, the first being PROGRAM; as a policy denies it
 *
 * The exit status is the program's. A rule that never applied is an error: 3. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define RULES_MAX 8
#define CODE_MAX  32
#define USAGE     2
#define UNUSED    3
#define EXECVE    1 /* in the place of an ioctl's number; none of KVM's is 1 */

enum what { RETURN, FAIL, HANG, STUCK, KILL, CODE };

struct rule {
	const char *text;
	unsigned long request;
	bool has_argument;
	unsigned long argument;
	unsigned nth; /* 0: each time */
	unsigned seen;
	bool applied;
	enum what what;
	long value; /* RETURN: the number; FAIL: the errno */
	unsigned char code[CODE_MAX];
	size_t code_size;
};

struct name {
	const char *name;
	unsigned long number;
};

#define NAME(number)              \
	{                         \
#number, (number) \
	}

static const struct name requests[] = {
	NAME(KVM_GET_API_VERSION),
	NAME(KVM_CREATE_VM),
	NAME(KVM_CHECK_EXTENSION),
	NAME(KVM_GET_VCPU_MMAP_SIZE),
	NAME(KVM_GET_SUPPORTED_CPUID),
	NAME(KVM_SET_TSS_ADDR),
	NAME(KVM_SET_USER_MEMORY_REGION),
	NAME(KVM_CREATE_VCPU),
	NAME(KVM_SET_CPUID2),
	NAME(KVM_GET_SREGS),
	NAME(KVM_SET_SREGS),
	NAME(KVM_SET_REGS),
	NAME(KVM_RUN),
	{"execve", EXECVE},
	{NULL, 0},
};
static const struct name arguments[] = {
	NAME(KVM_CAP_USER_MEMORY), NAME(KVM_CAP_NR_MEMSLOTS),  NAME(KVM_CAP_EXT_CPUID),
	NAME(KVM_CAP_XCRS),        NAME(KVM_CAP_SET_TSS_ADDR), {NULL, 0},
};
static const struct name errors[] = {
	NAME(EPERM),  NAME(EIO),    NAME(ENOMEM), NAME(EACCES), NAME(EFAULT), NAME(EBUSY), NAME(EEXIST),
	NAME(ENODEV), NAME(EINVAL), NAME(ENOTTY), NAME(E2BIG),  NAME(ENOSYS), {NULL, 0},
};
static const struct name words[] = {
	{"hang", HANG},
	{"stuck", STUCK},
	{"kill", KILL},
	{NULL, 0},
};

static struct rule rules[RULES_MAX];
static size_t rule_count;

/* What the guest's memory is, learnt from the calls that make it; for CODE. */
static uint64_t memory_start, guest_rip;

static bool find(const struct name *names, const char *text, size_t size, unsigned long *ret_number)
{
	for (; names->name; names++)
		if (strlen(names->name) == size && strncmp(names->name, text, size) == 0) {
			*ret_number = names->number;
			return true;
		}
	return false;
}

static bool take_code(const char *hex, struct rule *rule)
{
	for (; hex[0] && hex[1] && rule->code_size < CODE_MAX; hex += 2) {
		char byte[] = {hex[0], hex[1], '\0'}, *end;

		rule->code[rule->code_size++] = (unsigned char)strtoul(byte, &end, 16);
		if (*end)
			return false;
	}
	rule->what = CODE;
	return rule->code_size > 0 && !*hex;
}

static bool take_what(const char *text, struct rule *rule)
{
	unsigned long number;
	char *end;

	if (strncmp(text, "code:", 5) == 0)
		return take_code(text + 5, rule);
	if (find(words, text, strlen(text), &number)) {
		rule->what = (enum what)number;
		return true;
	}
	if (find(errors, text, strlen(text), &number)) {
		rule->what = FAIL;
		rule->value = (long)number;
		return true;
	}
	rule->value = strtol(text, &end, 10);
	rule->what = RETURN;
	return end != text && !*end;
}

static bool take_rule(const char *text)
{
	const char *equals = strchr(text, '='), *mark = text + strcspn(text, ":#=");
	struct rule *rule = &rules[rule_count];

	if (!equals || rule_count == RULES_MAX || !find(requests, text, (size_t)(mark - text), &rule->request))
		return false;
	rule->text = text;
	if (*mark == '#')
		rule->nth = (unsigned)strtoul(mark + 1, NULL, 10);
	else if (*mark == ':') {
		rule->has_argument = true;
		if (!find(arguments, mark + 1, (size_t)(equals - mark - 1), &rule->argument))
			return false;
	}
	rule_count++;
	return take_what(equals + 1, rule) && (*mark != '#' || rule->nth > 0);
}

/* Every ioctl of KVM's number asks us, whichever descriptor it is for, and every execve; all else goes by. x86-64
 * alone. */
static int filter_load(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, _IOC_TYPESHIFT),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, _IOC_TYPEMASK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVMIO, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;

	for (size_t i = 0; i < rule_count; i++)
		if (rules[i].what == STUCK)
			flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void fd_send(int socket, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.bytes = {0}};
	char byte = 0;
	struct iovec data = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	(void)sendmsg(socket, &message, 0);
}

/* -1 when the other side went without sending one. */
static int fd_receive(int socket)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec data = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0 || !CMSG_FIRSTHDR(&message))
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

static pid_t start(char *argv[], int *ret_listener)
{
	int sockets[2], listener;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) < 0)
		return -1;
	child = fork();
	if (child == 0) {
		listener = filter_load();
		if (listener < 0)
			perror("kt-kvm-standin: seccomp");
		else
			fd_send(sockets[1], listener);
		if (listener >= 0)
			(void)execv(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	(void)close(sockets[1]);
	*ret_listener = fd_receive(sockets[0]);
	(void)close(sockets[0]);
	return child;
}

static bool copy(pid_t pid, void *here, uint64_t there, size_t size, bool is_write)
{
	struct iovec local = {here, size}, remote = {(void *)(uintptr_t)there, size};
	ssize_t done = is_write ? process_vm_writev(pid, &local, 1, &remote, 1, 0) :
				  process_vm_readv(pid, &local, 1, &remote, 1, 0);

	return done == (ssize_t)size;
}

/* Where the guest's memory lies in its maker, and where the guest will start in it. */
static void learn(const struct seccomp_notif *call)
{
	struct kvm_userspace_memory_region region;
	struct kvm_regs regs;
	pid_t pid = (pid_t)call->pid;

	if (call->data.nr != SYS_ioctl)
		return;
	if (call->data.args[1] == KVM_SET_USER_MEMORY_REGION &&
	    copy(pid, &region, call->data.args[2], sizeof(region), false))
		memory_start = region.userspace_addr - region.guest_phys_addr;
	if (call->data.args[1] == KVM_SET_REGS && copy(pid, &regs, call->data.args[2], sizeof(regs), false))
		guest_rip = regs.rip;
}

static struct rule *rule_for(const struct seccomp_notif *call)
{
	unsigned request = call->data.nr == SYS_execve ? EXECVE : (unsigned)call->data.args[1];

	for (size_t i = 0; i < rule_count; i++) {
		struct rule *rule = &rules[i];

		if (rule->request != request || (rule->has_argument && rule->argument != call->data.args[2]))
			continue;
		rule->seen++;
		if (rule->nth == 0 || rule->nth == rule->seen)
			return rule;
	}
	return NULL;
}

static void answer(int listener, const struct seccomp_notif *call)
{
	struct seccomp_notif_resp reply = {.id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
	struct rule *rule = rule_for(call);

	learn(call);
	if (rule)
		rule->applied = true;
	switch (rule ? (int)rule->what : -1) {
	case HANG:
	case STUCK:
		return;
	case KILL:
		(void)kill((pid_t)call->pid, SIGKILL);
		return;
	case CODE:
		if (!copy((pid_t)call->pid, rule->code, memory_start + guest_rip, rule->code_size, true))
			perror("kt-kvm-standin: cannot write to the guest");
		break;
	case RETURN:
		reply.flags = 0;
		reply.val = rule->value;
		break;
	case FAIL:
		reply.flags = 0;
		reply.error = -(int)rule->value;
		break;
	}
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &reply); /* ENOENT: a signal took the caller out of it */
}

/* Until nobody is left whom the filter holds. */
static void serve(int listener)
{
	struct pollfd events = {.fd = listener, .events = POLLIN};

	for (;;) {
		struct seccomp_notif call = {.id = 0};

		if (poll(&events, 1, -1) < 0 && errno != EINTR)
			return;
		if (events.revents & POLLIN) {
			if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) == 0)
				answer(listener, &call);
		} else if (events.revents & (POLLHUP | POLLERR)) {
			return;
		}
	}
}

int main(int argc, char *argv[])
{
	int i = 1, listener = -1, status = 0, code;
	pid_t child;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (!take_rule(argv[i])) {
			fprintf(stderr, "kt-kvm-standin: %s: no such rule\n", argv[i]);
			return USAGE;
		}
	if (i + 1 >= argc || rule_count == 0) {
		fprintf(stderr, "usage: kt-kvm-standin IOCTL[:CAPABILITY|#N]=WHAT... -- PROGRAM [ARGUMENT]...\n");
		return USAGE;
	}
	child = start(argv + i + 1, &listener);
	if (child > 0 && listener >= 0)
		serve(listener);
	if (child < 0 || waitpid(child, &status, 0) < 0)
		return USAGE;
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	for (size_t n = 0; n < rule_count && listener >= 0; n++)
		if (!rules[n].applied) {
			fprintf(stderr, "kt-kvm-standin: %s never applied\n", rules[n].text);
			code = UNUSED;
		}
	return code;
}
