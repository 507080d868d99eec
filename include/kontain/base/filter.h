/* A seccomp filter out of tables (seccomp(2), by libseccomp). It holds for this process, for each thread and each child
 * that it makes from then on, and nothing takes it away. */
#ifndef KONTAIN_FILTER_H
#define KONTAIN_FILTER_H

#include <stddef.h>
#include <stdint.h>

#include "kontain/base/error.h"

enum kt_filter_test {
	KT_FILTER_ANY,   /* no condition */
	KT_FILTER_MASK,  /* (argument & mask) == value */
	KT_FILTER_OTHER, /* argument != value */
	KT_FILTER_ABOVE, /* argument > value */
};

struct kt_filter_condition {
	enum kt_filter_test test;
	unsigned argument; /* 0 to 5 */
	uint64_t value;
	uint64_t mask;
};

/* A call, as <sys/syscall.h> has it, when both conditions hold. A call may have several rows. */
struct kt_filter_rule {
	int call;
	struct kt_filter_condition when[2];
};

/* Of an int: the kernel takes its 32 bits, whatever stands above them. */
#define KT_FILTER_IS(number, number_wanted)                       \
	{                                                         \
		KT_FILTER_MASK, number, number_wanted, UINT32_MAX \
	}

struct kt_filter_table {
	const struct kt_filter_rule *rules; /* borrowed */
	size_t count;
};

#define KT_FILTER_TABLE(rules)                            \
	{                                                 \
		rules, sizeof(rules) / sizeof((rules)[0]) \
	}

/* What a C library does for a program that reads files, waits, and tells the time; nothing that makes a process, a
 * socket, or a change to a file system. */
extern const struct kt_filter_table kt_filter_plain;

/* What a sanitizer's own work takes: empty in a build without. */
extern const struct kt_filter_table kt_filter_sanitizer;

/* What no table names gets ENOSYS: the answer of a kernel that has no such call, which every library has a way around.
 * clone3 is among it (its flags lie in memory, where a filter cannot look), and so the C library falls back to
 * clone. */
int kt_filter_allow_only(const struct kt_filter_table *const tables[], size_t count, struct kt_error *err);

/* What a table names gets EPERM, all else is allowed. */
int kt_filter_refuse(const struct kt_filter_table *const tables[], size_t count, struct kt_error *err);

#endif
