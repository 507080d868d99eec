/* The one table of reasons: every cause that a node, a command or a metric reports.
 * A reason's name is the condition's reason, the metric's label and the word in state.json. */
#ifndef KONTAIN_REASON_H
#define KONTAIN_REASON_H

#include <stdbool.h>

enum kt_reason {
	KT_REASON_NONE, /* no reason given: never leaves the program */
	KT_REASON_READY,
	KT_REASON_STARTING,
	KT_REASON_ABSENT,
	/* the device and KVM behind it */
	KT_REASON_DEVICE_MISSING,
	KT_REASON_MODULE_MISSING,
	KT_REASON_MODULE_BLOCKED,
	KT_REASON_VIRTUALIZATION_DISABLED,
	KT_REASON_NOT_OFFERED_BY_HYPERVISOR,
	KT_REASON_NOT_CHAR_DEVICE,
	KT_REASON_PERMISSION_DENIED,
	KT_REASON_API_VERSION_MISMATCH,
	KT_REASON_BUSY,
	KT_REASON_CAPABILITY_MISSING,
	KT_REASON_GUEST_FAILED,
	KT_REASON_GUEST_HUNG,
	KT_REASON_GUEST_EMULATED,
	KT_REASON_STUCK_IN_KERNEL,
	KT_REASON_UNSTEADY,
	KT_REASON_KKM_FAILED,
	/* the host, as km needs it */
	KT_REASON_XSAVE_MISSING,
	KT_REASON_MMAP_MIN_ADDR,
	KT_REASON_FILE_LIMIT,
	KT_REASON_PROC_MISSING,
	KT_REASON_KERNEL_TOO_OLD,
	/* the proof under km */
	KT_REASON_KM_FAILED,
	KT_REASON_EXEC_DENIED,
	KT_REASON_MKNOD_DENIED,
	KT_REASON_KM_DEVICE_FAILED,
	KT_REASON_KM_OUT_OF_RESOURCES,
	KT_REASON_KM_KERNEL_TOO_OLD,
	KT_REASON_KM_ABORTED,
	KT_REASON_KM_CRASHED,
	KT_REASON_KM_KILLED,
	KT_REASON_KM_HUNG,
	KT_REASON_KM_SILENT,
	KT_REASON_KM_GARBLED,
	KT_REASON_KM_PRETENDS,
	KT_REASON_KM_EXIT_WRONG,
	KT_REASON_RUNTIME_FAILED,
	KT_REASON_SELF_TEST_FAILED,
	/* the store */
	KT_REASON_STORE_READ_ONLY,
	KT_REASON_STORE_NOEXEC,
	KT_REASON_STORE_NOT_DIRECTORY,
	KT_REASON_STORE_UNSAFE,
	KT_REASON_STORE_UNSUPPORTED,
	KT_REASON_STORE_DAMAGED,
	KT_REASON_STORE_FILE_LOST,
	KT_REASON_STORE_FILE_CHANGED,
	KT_REASON_FOREIGN_INSTALLATION,
	KT_REASON_DISK_FULL,
	KT_REASON_DISK_SLOW,
	KT_REASON_IO_ERROR,
	KT_REASON_ACCESS_DENIED,
	KT_REASON_LOCKED,
	KT_REASON_VERSION_CONFLICT,
	KT_REASON_NO_VERSION,
	KT_REASON_IN_USE,
	KT_REASON_ROLLED_BACK,
	KT_REASON_CONTESTED,
	/* the bundle */
	KT_REASON_BUNDLE_MISSING,
	KT_REASON_BUNDLE_UNREADABLE,
	KT_REASON_BUNDLE_INVALID,
	KT_REASON_DIGEST_MISMATCH,
	KT_REASON_ARCH_MISMATCH,
	KT_REASON_ELF_INVALID,
	/* state, config, report */
	KT_REASON_CONFIG_INVALID,
	KT_REASON_STATE_MISSING,
	KT_REASON_STATE_INVALID,
	KT_REASON_STATE_OVERDUE,
	KT_REASON_STATE_OF_OTHER_BOOT,
	/* our own processes */
	KT_REASON_OUT_OF_MEMORY,
	KT_REASON_PROCESS_LIMIT,
	KT_REASON_JOB_KILLED,
	KT_REASON_INTERNAL,
	KT_REASON_COUNT
};

/* Whose fault it is. */
enum kt_fault {
	KT_FAULT_PASSING, /* nobody's: it passes by itself, or when a person is done, and is waited for */
	KT_FAULT_NOBODY,  /* all is as somebody wants it: nothing is waited for */
	KT_FAULT_NODE,    /* the node's own: another version would not help */
	KT_FAULT_SOURCE,  /* of what the bundle is read from: the image, its registry, their disk */
	KT_FAULT_VERSION, /* of what is asked for: the bundle or the config */
};

/* What runs payloads on the node now. */
enum kt_serves {
	KT_SERVES_NOTHING,
	KT_SERVES_OTHER, /* another version than the one asked for */
	KT_SERVES_ASKED,
	KT_SERVES_COUNT
};

struct kt_reason_info {
	const char *name; /* CamelCase, [A-Za-z]+ */
	enum kt_fault fault;
	bool retry;         /* worth another attempt without a change of bundle, boot or kernel */
	bool transient;     /* never remembered against a bundle */
	const char *remedy; /* one sentence, imperative; "" where nothing is to be done */
};

/* Never NULL; an unknown number is Internal's row. */
const struct kt_reason_info *kt_reason_get(enum kt_reason reason);
const char *kt_reason_name(enum kt_reason reason);
/* KT_REASON_COUNT when no row has that name. */
enum kt_reason kt_reason_find(const char *name);

/* Is a node with that reason done with the version asked for, so that a rollout need not wait for it? A node that
 * cannot have km for a cause of its own must not hold up all others; one that could keep an older version that works
 * holds the rollout, whatever the obstacle is: else an upgrade would end well that happened nowhere. */
bool kt_reason_is_settled(enum kt_reason reason, enum kt_serves serves);

#endif
