/* kt-store-noflags COMMAND...: runs it where renameat2(2) takes no flags, as zfs before 2.2 and some FUSE servers
 * take none: EINVAL. A seccomp filter answers in the filesystem's place. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(member)              BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (count))
#define ANSWER(what)              BPF_STMT(BPF_RET | BPF_K, (what))

int main(int argc, char **argv)
{
	struct sock_filter filter[] = {
		LOAD(arch),
		SKIP_UNLESS(AUDIT_ARCH_X86_64, 4),
		LOAD(nr),
		SKIP_UNLESS(SYS_renameat2, 2),
		LOAD(args[4]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		ANSWER(SECCOMP_RET_ALLOW),
		ANSWER(SECCOMP_RET_ERRNO | EINVAL),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (argc < 2)
		return 2;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		fprintf(stderr, "kt-store-noflags: %s\n", strerror(errno));
		return 2;
	}
	execv(argv[1], argv + 1);
	fprintf(stderr, "kt-store-noflags: %s: %s\n", argv[1], strerror(errno));
	return 2;
}
