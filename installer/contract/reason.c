/* The one table of reasons.
 *
 * fault:     whose it is. With what serves now it says whether a rollout waits for this node (kt_reason_is_settled).
 * retry:     another attempt may go better though nobody changed bundle, boot or kernel.
 * transient: says nothing about a bundle, so no bundle is remembered as failed for it.
 *
 * Remedies speak to the person who reads `kubectl describe node`. */
#include <string.h>

#include "kontain/contract/reason.h"

#define NOBODY    .fault = KT_FAULT_NOBODY
#define NODE      .fault = KT_FAULT_NODE
#define SOURCE    .fault = KT_FAULT_SOURCE
#define VERSION   .fault = KT_FAULT_VERSION
#define RETRY     .retry = true
#define TRANSIENT .transient = true

/* clang-format off */
static const struct kt_reason_info reasons[KT_REASON_COUNT] = {
	[KT_REASON_NONE] = {"None", .retry = true, .transient = true, .remedy = ""},
	[KT_REASON_READY] = {"Ready", NOBODY, RETRY, TRANSIENT, .remedy = ""},
	[KT_REASON_STARTING] = {"Starting", RETRY, TRANSIENT, .remedy = ""},
	[KT_REASON_ABSENT] = {"Absent", NOBODY, RETRY, TRANSIENT, .remedy = ""},

	[KT_REASON_DEVICE_MISSING] =
		{"DeviceMissing", NODE, RETRY, TRANSIENT,
		 .remedy = "Create the device node as described above, or use a machine that has /dev/kvm."},
	[KT_REASON_MODULE_MISSING] =
		{"ModuleMissing", NODE, RETRY, TRANSIENT,
		 .remedy = "Install the kernel package that has kvm_amd or kvm_intel for the running kernel."},
	[KT_REASON_MODULE_BLOCKED] =
		{"ModuleBlocked", NODE, RETRY, TRANSIENT,
		 .remedy = "Lift what the message names (a rule in modprobe.d, the kernel command line), or load the module "
			   "by hand."},
	[KT_REASON_VIRTUALIZATION_DISABLED] =
		{"VirtualizationDisabled", NODE, RETRY, TRANSIENT,
		 .remedy = "Switch on AMD-V (SVM) or Intel VT-x in the firmware setup and start the machine again."},
	[KT_REASON_NOT_OFFERED_BY_HYPERVISOR] =
		{"NotOfferedByHypervisor", NODE, RETRY, TRANSIENT,
		 .remedy = "Switch on nested virtualization for this virtual machine, or choose an instance type that has it."},
	[KT_REASON_NOT_CHAR_DEVICE] =
		{"NotCharDevice", NODE, RETRY, TRANSIENT,
		 .remedy = "Remove what lies at /dev/kvm and make the device node anew with udevadm trigger or mknod."},
	[KT_REASON_PERMISSION_DENIED] =
		{"PermissionDenied", NODE, RETRY, TRANSIENT,
		 .remedy = "Let the agent open /dev/kvm: look at its mode, the device cgroup and the security module's log."},
	[KT_REASON_API_VERSION_MISMATCH] =
		{"ApiVersionMismatch", NODE, RETRY, TRANSIENT,
		 .remedy = "Use a kernel whose KVM speaks API version 12, as every one since Linux 2.6.22 does."},
	[KT_REASON_BUSY] = {"Busy", RETRY, TRANSIENT,
			    .remedy = "Stop the other hypervisor on this machine that holds the CPU's virtualization."},
	[KT_REASON_CAPABILITY_MISSING] =
		{"CapabilityMissing", NODE, RETRY, TRANSIENT,
		 .remedy = "Use a newer kernel: its KVM lacks a capability that km needs."},
	[KT_REASON_GUEST_FAILED] =
		{"GuestFailed", NODE, RETRY, TRANSIENT,
		 .remedy = "Look at the kernel log for KVM's complaint; a guest of a few instructions does not run here."},
	[KT_REASON_GUEST_HUNG] =
		{"GuestHung", NODE, RETRY, TRANSIENT,
		 .remedy = "Look at the kernel log and the outer hypervisor: KVM, or a guest of a few instructions, does not end."},
	[KT_REASON_GUEST_EMULATED] =
		{"GuestEmulated", NODE, RETRY, TRANSIENT,
		 .remedy = "Use a machine with hardware virtualization, or set proof.allowEmulated for integer code only."},
	[KT_REASON_STUCK_IN_KERNEL] =
		{"StuckInKernel", NODE, RETRY, TRANSIENT,
		 .remedy = "Look at the kernel log and /proc/PID/stack of that process; if it does not go, reboot the node."},
	[KT_REASON_UNSTEADY] =
		{"Unsteady", NODE, RETRY, TRANSIENT,
		 .remedy = "Check the kernel log and the installer's log for what fails again and again. The node becomes "
			   "Ready once it has been stable."},
	[KT_REASON_KKM_FAILED] =
		{"KkmFailed", NODE, RETRY, TRANSIENT,
		 .remedy = "Load a kkm.ko that fits this kernel and processor, or use a machine that has KVM."},

	[KT_REASON_XSAVE_MISSING] = {"XsaveMissing", NODE, RETRY, TRANSIENT,
				     .remedy = "Expose the CPU's XSAVE feature to this machine; km cannot run without it."},
	[KT_REASON_MMAP_MIN_ADDR] = {"MmapMinAddr", NODE, RETRY, TRANSIENT,
				     .remedy = "Set the sysctl vm.mmap_min_addr to 131072 or less."},
	[KT_REASON_FILE_LIMIT] = {"FileLimit", NODE, RETRY, TRANSIENT,
				  .remedy = "Raise the limit of open files (RLIMIT_NOFILE to 1024 or more, fs.file-max)."},
	[KT_REASON_PROC_MISSING] = {"ProcMissing", NODE, RETRY, TRANSIENT,
				    .remedy = "Mount proc at /proc; km reads its own maps there."},
	[KT_REASON_KERNEL_TOO_OLD] = {"KernelTooOld", NODE, RETRY, TRANSIENT,
				      .remedy = "Use Linux 5.8 or later on this node."},

	[KT_REASON_KM_FAILED] = {"KmFailed", VERSION, RETRY,
				 .remedy = "Read km's output in the message; run bin/km --version on the node to see if it starts."},
	/* whose mode or policy it is, the bundle is not to blame */
	[KT_REASON_EXEC_DENIED] =
		{"ExecDenied", NODE, RETRY, TRANSIENT,
		 .remedy = "Give others the right to enter the folder named in the message, or look at the log of the "
			   "security module."},
	[KT_REASON_MKNOD_DENIED] =
		{"MknodDenied", NODE, RETRY, TRANSIENT,
		 .remedy = "Run the installer as root of the host with CAP_MKNOD: a user namespace or a container without "
			   "mknod cannot run the proof."},
	[KT_REASON_KM_DEVICE_FAILED] =
		{"KmDeviceFailed", VERSION, RETRY,
		 .remedy = "Read km's output in the message: guests run on this node, but not in the way that this km asks for."},
	[KT_REASON_KM_OUT_OF_RESOURCES] =
		{"KmOutOfResources", RETRY, TRANSIENT,
		 .remedy = "Free memory on this node, or raise the limit that the message names; it is tried again by itself."},
	[KT_REASON_KM_KERNEL_TOO_OLD] =
		{"KmKernelTooOld", VERSION, RETRY,
		 .remedy = "Use a newer kernel on this node, or a bundle whose km supports the one that it has."},
	[KT_REASON_KM_ABORTED] =
		{"KmAborted", VERSION, RETRY,
		 .remedy = "Use a bundle whose km supports this node's kernel and CPU; km ended itself by a signal."},
	[KT_REASON_KM_CRASHED] =
		{"KmCrashed", VERSION, RETRY,
		 .remedy = "Use another bundle; this km accessed memory that it does not have."},
	/* whoever ended it, the bundle is not to blame */
	[KT_REASON_KM_KILLED] =
		{"KmKilled", RETRY, TRANSIENT,
		 .remedy = "Look at the kernel log: something ended km from outside, a lack of memory most likely."},
	/* transient: a time-out may be the node's slowness as well as the bundle's fault */
	[KT_REASON_KM_HUNG] = {"KmHung", VERSION, RETRY, TRANSIENT,
			       .remedy = "Use another bundle, or raise proof.timeoutSeconds if this node is only slow."},
	[KT_REASON_KM_SILENT] = {"KmSilent", VERSION, RETRY,
				 .remedy = "Use another bundle; this km ended well but its payload said nothing."},
	[KT_REASON_KM_GARBLED] = {"KmGarbled", VERSION, RETRY,
				  .remedy = "Use another bundle; this km ended well but alters what its payload says."},
	[KT_REASON_KM_PRETENDS] =
		{"KmPretends", VERSION, RETRY,
		 .remedy = "Replace the bundle; its km runs payloads natively on the host and isolates nothing."},
	[KT_REASON_KM_EXIT_WRONG] = {"KmExitWrong", VERSION, RETRY,
				     .remedy = "Use another bundle; a program under this km does not exit as it does elsewhere."},
	[KT_REASON_RUNTIME_FAILED] =
		{"RuntimeFailed", VERSION, RETRY,
		 .remedy = "Correct the bundle's runtime/libc.so; static programs run under its km, those that need this libc "
			   "do not."},
	[KT_REASON_SELF_TEST_FAILED] =
		{"SelfTestFailed", VERSION, RETRY,
		 .remedy = "Correct the bundle; the self-test that it brings along fails on this node."},

	[KT_REASON_STORE_READ_ONLY] = {"StoreReadOnly", NODE, RETRY, TRANSIENT,
				       .remedy = "Make the store's filesystem writable, or name another folder in store.roots."},
	[KT_REASON_STORE_NOEXEC] =
		{"StoreNoexec", NODE, RETRY, TRANSIENT,
		 .remedy = "Mount the store's filesystem without noexec, or name another folder in store.roots."},
	[KT_REASON_STORE_NOT_DIRECTORY] =
		{"StoreNotDirectory", NODE, RETRY, TRANSIENT,
		 .remedy = "Remove the file or link in the store's place, or name another folder in store.roots."},
	[KT_REASON_STORE_UNSAFE] =
		{"StoreUnsafe", NODE, RETRY, TRANSIENT,
		 .remedy = "Give the store's folder to root and take write permission from group and others."},
	[KT_REASON_STORE_UNSUPPORTED] =
		{"StoreUnsupported", NODE, RETRY, TRANSIENT,
		 .remedy = "Name a folder on a filesystem that can do what the message says in store.roots, or do as it says "
			   "by hand."},
	[KT_REASON_STORE_DAMAGED] =
		{"StoreDamaged", RETRY, TRANSIENT,
		 .remedy = "Find out what changed what the message names, and put it right where the message says how. What "
			   "belongs to a version is landed anew, by the agent with its bundle or by install."},
	[KT_REASON_STORE_FILE_LOST] =
		{"StoreFileLost", RETRY, TRANSIENT,
		 .remedy = "Find out what removed the file named in the message; the agent with its bundle, or install, lands "
			   "it anew."},
	[KT_REASON_STORE_FILE_CHANGED] =
		{"StoreFileChanged", RETRY, TRANSIENT,
		 .remedy = "Find out what wrote to the file named in the message; the agent with its bundle, or install, "
			   "lands it anew."},
	[KT_REASON_FOREIGN_INSTALLATION] =
		{"ForeignInstallation", NODE, RETRY, TRANSIENT,
		 .remedy = "Move away what another tool installed in the store's folder, or install with --force."},
	[KT_REASON_DISK_FULL] = {"DiskFull", NODE, RETRY, TRANSIENT,
				 .remedy = "Make room on the store's filesystem: the message says how much is missing."},
	/* who is slow, the store's disk or what the bundle is read from, is not known: so nobody calls it settled */
	[KT_REASON_DISK_SLOW] = {"DiskSlow", RETRY, TRANSIENT,
				 .remedy = "Look at what the bundle is read from (image, registry), at the load of the store's disk, and at the "
					   "kernel log."},
	[KT_REASON_IO_ERROR] = {"IoError", NODE, RETRY, TRANSIENT,
				.remedy = "Look at the kernel log: if it has errors of this disk, replace the disk."},
	[KT_REASON_ACCESS_DENIED] =
		{"AccessDenied", NODE, RETRY, TRANSIENT,
		 .remedy = "Look at the path named in the message for its mode and those of the folders above it (without "
			   "Landlock the agent sees only what user 65531 may see), for the immutable attribute (lsattr), and "
			   "at the log of the security module."},
	[KT_REASON_LOCKED] = {"Locked", RETRY, TRANSIENT,
			      .remedy = "Wait until the other installer on this node has ended, or end it."},
	/* transient: it goes with the version that is in the way, and is known before a byte is copied */
	[KT_REASON_VERSION_CONFLICT] =
		{"VersionConflict", VERSION, RETRY, TRANSIENT,
		 .remedy = "Give the bundle a new version; other content already lies here under the same one."},
	[KT_REASON_NO_VERSION] = {"NoVersion", RETRY, TRANSIENT,
				  .remedy = "Install a bundle, or name a version that kontain-installer list shows."},
	[KT_REASON_IN_USE] = {"InUse", RETRY, TRANSIENT,
			      .remedy = "End the payloads or unmount the folder named in the message, then try again."},
	[KT_REASON_ROLLED_BACK] =
		{"RolledBack", NOBODY, TRANSIENT,
		 .remedy = "Roll out another bundle, or make it current by kontain-installer rollback --to on this node."},
	[KT_REASON_CONTESTED] =
		{"Contested", RETRY, TRANSIENT,
		 .remedy = "Remove one of the two agents: the message names the other one and its version; a node has one."},

	[KT_REASON_BUNDLE_MISSING] = {"BundleMissing", SOURCE, RETRY, TRANSIENT,
				      .remedy = "Use an image that has a bundle in it, or name its folder with --bundle."},
	[KT_REASON_BUNDLE_UNREADABLE] =
		{"BundleUnreadable", SOURCE, RETRY, TRANSIENT,
		 .remedy = "Look at the kernel log and the container runtime's log for what the image lies on; delete the pod "
			   "to have it read anew."},
	/* transient: what is remembered is remembered by the manifest, and a folder that differs from it may be mended */
	[KT_REASON_BUNDLE_INVALID] = {"BundleInvalid", VERSION, TRANSIENT, .remedy = "Pack the bundle again with "
			   "kontain-pack."},
	[KT_REASON_DIGEST_MISMATCH] =
		{"DigestMismatch", SOURCE, RETRY, TRANSIENT,
		 .remedy = "Pull or pack the bundle again; a file in it is not what its manifest says."},
	[KT_REASON_ARCH_MISMATCH] = {"ArchMismatch", VERSION,
				     .remedy = "Use a bundle for this node's architecture; Kontain's are for x86_64 only."},
	[KT_REASON_ELF_INVALID] =
		{"ElfInvalid", VERSION, .remedy = "Correct the file named in the message and pack the bundle again."},

	[KT_REASON_CONFIG_INVALID] = {"ConfigInvalid", VERSION, RETRY, TRANSIENT,
				      .remedy = "Correct the lines of the config file that the message names."},
	[KT_REASON_STATE_MISSING] =
		{"StateMissing", RETRY, TRANSIENT,
		 .remedy = "Look at the log of the installer container: it has not written the node's state yet."},
	[KT_REASON_STATE_INVALID] =
		{"StateInvalid", RETRY, TRANSIENT,
		 .remedy = "Run both containers from the same image; one cannot read what the other wrote."},
	[KT_REASON_STATE_OVERDUE] =
		{"StateOverdue", RETRY, TRANSIENT,
		 .remedy = "Look at the log of the installer container: it should have written the state anew by now."},
	[KT_REASON_STATE_OF_OTHER_BOOT] =
		{"StateOfOtherBoot", RETRY, TRANSIENT,
		 .remedy = "Look at the log of the installer container if this lasts: nothing is proven since the boot."},
	[KT_REASON_OUT_OF_MEMORY] =
		{"OutOfMemory", RETRY, TRANSIENT,
		 .remedy = "Free memory on this node, or raise the memory limit of the container."},
	[KT_REASON_PROCESS_LIMIT] =
		{"ProcessLimit", NODE, RETRY, TRANSIENT,
		 .remedy = "Find out what uses up the processes or namespaces of this node, or raise the limit (pids cgroup, "
			   "podPidsLimit, kernel.threads-max, user.max_*_namespaces)."},
	[KT_REASON_JOB_KILLED] =
		{"JobKilled", RETRY, TRANSIENT,
		 .remedy = "Look at the kernel log for what killed it: most likely a lack of memory, then raise the "
			   "container's memory limit."},
	[KT_REASON_INTERNAL] = {"Internal", RETRY, TRANSIENT,
				.remedy = "Report the message and the log of both containers as a bug."},
};
/* clang-format on */

const struct kt_reason_info *kt_reason_get(enum kt_reason reason)
{
	if ((unsigned)reason >= KT_REASON_COUNT || !reasons[reason].name)
		return &reasons[KT_REASON_INTERNAL];
	return &reasons[reason];
}

const char *kt_reason_name(enum kt_reason reason)
{
	return kt_reason_get(reason)->name;
}

enum kt_reason kt_reason_find(const char *name)
{
	for (unsigned i = 0; i < KT_REASON_COUNT; i++)
		if (reasons[i].name && strcmp(reasons[i].name, name) == 0)
			return (enum kt_reason)i;
	return KT_REASON_COUNT;
}

bool kt_reason_is_settled(enum kt_reason reason, enum kt_serves serves)
{
	enum kt_fault fault = kt_reason_get(reason)->fault;

	return serves == KT_SERVES_ASKED || fault == KT_FAULT_NOBODY ||
	       (fault == KT_FAULT_NODE && serves == KT_SERVES_NOTHING);
}
