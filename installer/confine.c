/* Containers of a pod share its network. The privileged half leaves it before it reads anything, and the
 * filter then refuses setns, every socket but AF_UNIX and the kernel's uevent netlink, and the side doors
 * by which a socket could come back (io_uring, pidfd_getfd, ptrace). */
#include "confine.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/netlink.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* What the installer and its children need, and for what. */
static const unsigned kept_capabilities[] = {
	CAP_CHOWN,        /* landed files are root's */
	CAP_DAC_OVERRIDE, /* a store in a folder of odd modes */
	CAP_FOWNER,       /* fchmod of what another uid copied */
	CAP_KILL,         /* end a proof that runs as nobody */
	CAP_MKNOD,        /* the proof's own device node */
	CAP_SETGID, CAP_SETUID, CAP_SETPCAP, /* the proof runs as nobody, without capabilities */
	CAP_SYS_ADMIN,    /* the proof's mount view */
	CAP_SYS_MODULE,   /* load kvm and its vendor module */
	CAP_SYS_PTRACE,   /* whose processes run from a version: /host/proc/PID/exe */
};

static const int refused_calls[] = {
	SCMP_SYS(setns),          SCMP_SYS(ptrace),          SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),  SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open), SCMP_SYS(kexec_load),     SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),         SCMP_SYS(swapon),          SCMP_SYS(swapoff),
	SCMP_SYS(add_key),        SCMP_SYS(request_key),     SCMP_SYS(keyctl),
	SCMP_SYS(userfaultfd),    SCMP_SYS(open_by_handle_at), SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),  SCMP_SYS(delete_module),
};

static struct scmp_arg_cmp argument(unsigned number, enum scmp_compare how, uint64_t value)
{
	return (struct scmp_arg_cmp){.arg = number, .op = how, .datum_a = value};
}

static int refuse_sockets(scmp_filter_ctx filter)
{
	const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
	int failed = 0;

	for (int family = AF_UNSPEC; family <= AF_NETLINK && failed == 0; family++)
		if (family != AF_UNIX && family != AF_NETLINK)
			failed = seccomp_rule_add(filter, refuse, SCMP_SYS(socket), 1,
						  argument(0, SCMP_CMP_EQ, (uint64_t)family));
	if (failed == 0)
		failed = seccomp_rule_add(filter, refuse, SCMP_SYS(socket), 1, argument(0, SCMP_CMP_GT, AF_NETLINK));
	if (failed == 0)
		failed = seccomp_rule_add(filter, refuse, SCMP_SYS(socket), 2, argument(0, SCMP_CMP_EQ, AF_NETLINK),
					  argument(2, SCMP_CMP_NE, NETLINK_KOBJECT_UEVENT));
	return failed;
}

static int load_filter(struct kt_error *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int failed;

	if (filter == NULL)
		return kt_fail(err, ENOMEM, KT_REASON_INTERNAL, "cannot make the seccomp filter");
	failed = refuse_sockets(filter);
	for (size_t i = 0; i < sizeof refused_calls / sizeof *refused_calls && failed == 0; i++)
		failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused_calls[i], 0);
	if (failed == 0)
		failed = seccomp_load(filter); /* sets NoNewPrivs first */
	seccomp_release(filter);
	if (failed)
		return kt_fail_errno(err, -failed, KT_REASON_INTERNAL, "cannot load the seccomp filter");
	return 0;
}

static int drop_capabilities(struct kt_error *err)
{
	capng_clear(CAPNG_SELECT_ALL);
	for (size_t i = 0; i < sizeof kept_capabilities / sizeof *kept_capabilities; i++)
		/* One that the container was not given cannot be kept. */
		if (prctl(PR_CAPBSET_READ, kept_capabilities[i]) == 1)
			capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET,
				     kept_capabilities[i]);
	/* The bounding set first: it takes CAP_SETPCAP. */
	if (capng_apply(CAPNG_SELECT_BOUNDS) != 0 || capng_apply(CAPNG_SELECT_CAPS) != 0)
		return kt_fail(err, EPERM, KT_REASON_INTERNAL, "cannot drop capabilities: run as root");
	return 0;
}

int kt_confine(struct kt_error *err)
{
	int failed;

	if (unshare(CLONE_NEWNET) != 0)
		return kt_fail_errno(err, errno, KT_REASON_INTERNAL,
				     "cannot leave the network: run as root with CAP_SYS_ADMIN");
	failed = drop_capabilities(err);
	return failed ? failed : load_filter(err);
}
